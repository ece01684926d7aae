package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scopegate/scopegate/store"
)

// The header fields of the answer to a change: the revision that the store is at, and how
// many tokens' revocations the other nodes have yet to get.
const (
	revisionField = "Scopegate-Revision"
	pendingField  = "Scopegate-Pending"
)

// answered is an answer to a change, with what its header tells.
type answered struct {
	value    any
	revision uint64
	pending  int
}

func (a *answered) tell(h http.Header) {
	h.Set(revisionField, strconv.FormatUint(a.revision, 10))
	h.Set(pendingField, strconv.Itoa(a.pending))
}

func (a *answered) answer() any { return a.value }

// told makes a verb that changes something tell how far that has come.
func (m *management) told(change verb) verb {
	return func(r *http.Request) (any, error) {
		value, err := change(r)
		if err != nil {
			return nil, err
		}
		a := &answered{value: value}
		s, err := m.store()
		if err != nil {
			return a.value, nil //nolint:nilerr // the change was made all the same
		}
		if snapshot := s.Snapshot(); snapshot != nil {
			a.revision = snapshot.Revision()
		}
		if state, ok := s.Replication(); ok {
			a.pending = state.Pending
		}
		return a, nil
	}
}

// tellAll makes all verbs that change something tell how far that has come.
func (m *management) tellAll(routes []caddy.AdminRoute) []caddy.AdminRoute {
	for _, route := range routes {
		verbs := route.Handler.(resource) //nolint:forcetypeassert // all of them are
		for method, change := range verbs {
			if method != http.MethodGet {
				verbs[method] = m.told(change)
			}
		}
	}
	return routes
}

// clusterRoutes are the routes about several nodes. They are Caddy's admin endpoint's only.
func (m *management) clusterRoutes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/scopegate/health", Handler: resource{http.MethodGet: m.health}},
		{Pattern: "/scopegate/wait", Handler: resource{http.MethodGet: m.wait}},
		{Pattern: "/scopegate/cluster/reset", Handler: resource{http.MethodPost: m.resetCluster}},
	}
}

// errStale: the node does not know whether it has all revocations.
var errStale = errors.New("this node is stale: it has not heard of the other nodes for max_staleness; look at the log and at Redis")

// health is how a node that may decide answers; any other answers 503.
type health struct {
	Healthy bool `json:"healthy"`
}

func (m *management) health(r *http.Request) (any, error) {
	s, err := m.onlyStore(r)
	if err != nil {
		return nil, err
	}
	if err := healthOf(s); err != nil {
		return nil, unavailable(err)
	}
	return health{true}, nil
}

// healthOf returns why nothing can be decided with a store, or nil.
func healthOf(s *store.Store) error {
	switch {
	case s.Snapshot() == nil:
		return errors.Join(errNotOpen, s.Err())
	case s.Stale(steadyNow()):
		return errStale
	}
	return nil
}

// waited is what came of waiting.
type waited struct {
	Revision uint64 `json:"revision"` // that every node which may decide has
}

// longestWait bounds how long the route waits, and is the default.
const longestWait = time.Minute

// wait answers once every node that may decide has a revision.
func (m *management) wait(r *http.Request) (any, error) {
	values, err := parameters(r, "revision", "timeout")
	if err != nil {
		return nil, err
	}
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	revision, err := strconv.ParseUint(values.Get("revision"), 10, 64)
	if err != nil {
		return nil, failf(http.StatusBadRequest, "revision is the number of a revision, not %q", values.Get("revision"))
	}
	timeout := longestWait
	if values.Has("timeout") {
		if timeout, err = time.ParseDuration(values.Get("timeout")); err != nil || timeout <= 0 || timeout > longestWait {
			return nil, failf(http.StatusBadRequest, "timeout is a duration up to %s, such as 30s", longestWait)
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	if err := s.Wait(ctx, revision); err != nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusGatewayTimeout, Err: err}
	}
	return waited{revision}, nil
}

// resetCluster drops all that the cluster has.
func (m *management) resetCluster(r *http.Request) (any, error) {
	values, err := parameters(r, "force")
	if err != nil {
		return nil, err
	}
	force, err := switched(values, "force")
	if err != nil {
		return nil, err
	}
	if err := noBody(r); err != nil {
		return nil, err
	}
	if !force {
		return nil, failf(http.StatusBadRequest, "this drops every API, account and token on every node, for ever; say force=true to do it")
	}
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	if err := s.Reset(r.Context()); err != nil {
		return nil, err
	}
	st, err := s.Status()
	return waited{st.Revision}, err
}
