package caddymodule

import (
	"cmp"
	"context"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/scopegate/scopegate/notify"
	"github.com/scopegate/scopegate/store"
)

// status is the state of the store and of the nodes that decide with it.
type status struct {
	Revision uint64      `json:"revision"`
	Mode     string      `json:"mode"`  // "single" or "cluster"
	Stale    bool        `json:"stale"` // nothing can be decided on
	Nodes    []node      `json:"nodes"`
	Store    storeStatus `json:"store"`
	Working  *working    `json:"working,omitempty"` // what takes long, while it does
	Pending  int         `json:"pending,omitempty"` // tokens whose revocation other nodes have yet to get
	Problem  string      `json:"problem,omitempty"` // why the other nodes cannot be followed
	// Messages is how it is with messages to people; nil if nobody is told anything.
	Messages *notify.Status `json:"messages,omitempty"`
}

// working is how far a plan or an apply is.
type working struct {
	What  string `json:"what"` // "plan" or "apply"
	Done  int    `json:"done"`
	Total int    `json:"total"`
}

// node is one server that decides. A single node lists itself.
type node struct {
	ID               string    `json:"id"`             // for a single node, the host's name
	Name             string    `json:"name,omitempty"` // what people call it
	Revision         uint64    `json:"revision"`
	StalenessSeconds float64   `json:"staleness_seconds"` // 0 for a single node: it has the only copy
	Version          string    `json:"version"`           // of Scopegate
	LastSeen         time.Time `json:"last_seen"`
}

// storeStatus is what the store holds.
type storeStatus struct {
	Path     string      `json:"path"`
	Bytes    int64       `json:"bytes"`
	ReadOnly bool        `json:"read_only"` // opened for reading only: it cannot be changed
	APIs     int         `json:"apis"`
	Accounts int         `json:"accounts"`
	Tokens   tokenCounts `json:"tokens"`
}

// tokenCounts are numbers of tokens by state.
type tokenCounts struct {
	Active   int `json:"active"`
	Inactive int `json:"inactive"`
	Damaged  int `json:"damaged"` // their records cannot be read: they are refused
}

// status tells the state of the store.
func (m *management) status(r *http.Request) (any, error) {
	s, err := m.onlyStore(r)
	if err != nil {
		return nil, err
	}
	st, err := s.Status()
	if err != nil {
		return nil, err
	}
	told := status{
		Revision: st.Revision,
		Mode:     "single",
		Stale:    healthOf(s) != nil,
		Nodes: []node{{
			ID:       hostname(),
			Revision: st.Revision,
			Version:  version(),
			LastSeen: time.Now().UTC().Truncate(time.Second),
		}},
		Store: storeStatus{
			Path:     st.Path,
			Bytes:    st.Size,
			ReadOnly: st.ReadOnly,
			APIs:     st.APIs,
			Accounts: st.Accounts,
			Tokens:   tokenCounts(st.Tokens),
		},
		Working: workingOf(s),
	}
	if state, ok := s.Replication(); ok {
		told.tellNodes(r.Context(), s, &state)
	}
	told.Messages, err = m.messagesStatus()
	return told, err
}

// messagesStatus returns how it is with messages; nil if nobody is told anything.
func (m *management) messagesStatus() (*notify.Status, error) {
	if m.messages == nil {
		return nil, nil //nolint:nilnil // as the comment says
	}
	n, err := m.messages()
	if err != nil || n == nil {
		return nil, err
	}
	found, err := n.Status()
	return &found, err
}

// tellNodes tells how the nodes stand to each other. Where they cannot be asked, a node
// knows of itself alone.
func (s *status) tellNodes(ctx context.Context, from *store.Store, state *store.Replication) {
	s.Mode, s.Pending = "cluster", state.Pending
	if state.Err != nil {
		s.Problem = state.Err.Error()
	}
	self := &s.Nodes[0]
	self.ID, self.Name, self.Revision = state.NodeID, state.NodeName, state.Position.Revision
	self.StalenessSeconds = neverVerified
	if !state.Verified.IsZero() {
		self.StalenessSeconds = max(0, steadyNow().Sub(state.Verified).Seconds())
	}
	reports, err := from.Nodes(ctx)
	if err != nil {
		return
	}
	for i := range reports {
		if r := &reports[i]; r.ID != state.NodeID {
			s.Nodes = append(s.Nodes, nodeOf(r))
		}
	}
	slices.SortFunc(s.Nodes, func(a, b node) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID)) })
}

// neverVerified is the staleness, in seconds, of a node that has not heard of the others
// since it was started.
const neverVerified = 1e9

func nodeOf(r *store.Report) node {
	n := node{
		ID: r.ID, Name: r.Name, Revision: r.Revision, Version: r.Version,
		StalenessSeconds: neverVerified, LastSeen: r.At.UTC().Truncate(time.Second),
	}
	if r.Staleness >= 0 {
		n.StalenessSeconds = r.Staleness.Seconds()
	}
	return n
}

func workingOf(s *store.Store) *working {
	if w, ok := s.Working(); ok {
		return &working{w.What, w.Done, w.Total}
	}
	return nil
}

const unknown = "unknown"

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return unknown
	}
	return name
}

// version returns that of the module as it was built in.
func version() string {
	const module = "github.com/scopegate/scopegate"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	if info.Main.Path == module {
		return info.Main.Version
	}
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return unknown
}
