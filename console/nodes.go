package console

import (
	"fmt"
	"net/http"
	"time"
)

// node is one server that decides, as the route of the status tells it.
type node struct {
	ID               string    `json:"id"`
	Name             string    `json:"name"`
	Revision         uint64    `json:"revision"`
	StalenessSeconds float64   `json:"staleness_seconds"`
	Version          string    `json:"version"`
	LastSeen         time.Time `json:"last_seen"`
}

// nodeStatus is what the route of the status tells of the nodes.
type nodeStatus struct {
	Revision uint64 `json:"revision"`
	Mode     string `json:"mode"`
	Stale    bool   `json:"stale"`
	Nodes    []node `json:"nodes"`
	Pending  int    `json:"pending"`
	Problem  string `json:"problem"`
	Store    struct {
		Path     string `json:"path"`
		Bytes    uint64 `json:"bytes"`
		ReadOnly bool   `json:"read_only"`
	} `json:"store"`
}

// From when on a node is said to lag, and to be gone: a node asks every second, and tells
// about itself as often.
const (
	lateAfter = 5 * time.Second
	goneAfter = time.Minute
	// never is longer than any node has been up: it has not heard of the others at all.
	never = 1e9 * time.Second
)

// standing is how a node stands to the others, and what an operator does about it.
type standing struct {
	node
	Kind, Text string // of the badge
	Staleness  string
	Behind     uint64   // revisions
	Advice     []string // nil if all is well
}

// nodesPage is what the page of the nodes shows.
type nodesPage struct {
	nodeStatus
	Nodes   []standing
	Advised bool // some node needs somebody to look at it
}

// showNodes shows the nodes with their staleness.
func showNodes(v *visit) error {
	var s nodeStatus
	if err := ask(v.client, "/scopegate/status", &s); err != nil {
		return err
	}
	p := nodesPage{nodeStatus: s, Nodes: standingsOf(s.Nodes, s.Revision)}
	for i := range p.Nodes {
		p.Advised = p.Advised || p.Nodes[i].Advice != nil
	}
	return v.show(http.StatusOK, "nodes", "Nodes", Root+"nodes", p)
}

// standingsOf tells how nodes stand, where this one has a revision.
func standingsOf(nodes []node, newest uint64) []standing {
	for i := range nodes {
		newest = max(newest, nodes[i].Revision)
	}
	all := make([]standing, len(nodes))
	for i := range nodes {
		all[i] = standingOf(&nodes[i], newest, time.Now())
	}
	return all
}

// standingOf tells how a node stands, where newest is the highest revision of all.
func standingOf(n *node, newest uint64, now time.Time) standing {
	s := standing{node: *n, Behind: newest - n.Revision}
	stale := time.Duration(n.StalenessSeconds * float64(time.Second))
	unheard := now.Sub(n.LastSeen)
	s.Staleness = fmt.Sprintf("%.1f s", n.StalenessSeconds)
	if n.StalenessSeconds >= never.Seconds() {
		s.Staleness = "not since it was started"
	}
	switch {
	case unheard > goneAfter:
		s.Kind, s.Text = "bad", "not heard of"
		s.Advice = []string{
			"Is the server up? If it was taken out of service on purpose, it is no longer waited for, and leaves this list by itself.",
			"If it is up, it does not reach Redis: its log says why, and it answers 503 when max_staleness is over, unless on_stale says serve.",
		}
	case stale > goneAfter:
		s.Kind, s.Text = "bad", "stale"
		s.Advice = []string{
			"It does not hear of the changes of the others, and answers 503 when max_staleness is over, unless on_stale says serve.",
			"Is Redis up, and reachable from there? Is its clock right? Its log says why, and so does caddy scopegate status, run there.",
		}
	case stale > lateAfter:
		s.Kind, s.Text = "warn", "late"
		s.Advice = []string{"It hears of changes late. If that stays so, look at Redis, and at the network in between: a node asks every second."}
	case s.Behind > 0:
		s.Kind, s.Text = "info", "catching up"
	default:
		s.Kind, s.Text = "good", "up to date"
	}
	return s
}
