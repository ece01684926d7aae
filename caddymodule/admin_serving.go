package caddymodule

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/scopegate/scopegate/proxy"
	"github.com/scopegate/scopegate/scopes"
)

// served is an operation of the management API, and the route that serves it.
type served struct {
	operation scopes.Operation
	handler   caddy.AdminHandler
	// wildcards are those of the route's pattern: each stands for the segment of the
	// operation's path at a position.
	wildcards map[string]int
}

// serveOperations finds the route of each operation of the management API, once
// and for all: a request is then routed by what was decided on, and no mux reads
// its path again. A route that no operation leads to is not served.
func serveOperations(routes []caddy.AdminRoute) map[string]*served {
	serving := make(map[string]*served)
	for _, op := range scopes.ManagementAPI().Operations {
		var best *served
		for _, route := range routes {
			wildcards, ok := matchPattern(route.Pattern, op.Path)
			if ok && (best == nil || len(wildcards) < len(best.wildcards)) {
				best = &served{op, route.Handler, wildcards}
			}
		}
		if best != nil {
			serving[op.Name] = best
		}
	}
	return serving
}

// matchPattern matches a pattern of [http.ServeMux] with the path of an operation,
// segment by segment, and tells which segment each of its wildcards stands for.
func matchPattern(pattern, path string) (wildcards map[string]int, ok bool) {
	segments := strings.Split(path[1:], "/")
	parts := strings.Split(pattern[1:], "/")
	if len(parts) != len(segments) {
		return nil, false
	}
	wildcards = make(map[string]int)
	for i, part := range parts {
		if name, isWildcard := strings.CutPrefix(part, "{"); isWildcard {
			wildcards[strings.TrimSuffix(name, "}")] = i
		} else if part != segments[i] {
			return nil, false
		}
	}
	return wildcards, true
}

// name gives the route the values of its wildcards, from the target that was
// decided on. It reports false if the request is no longer that one.
func (s *served) name(r *http.Request, v *proxy.Verdict) bool {
	segments, ok := s.operation.Values(v.Target)
	if !ok || !v.Unchanged(r) {
		return false
	}
	for wildcard, at := range s.wildcards {
		r.SetPathValue(wildcard, segments[at])
	}
	return true
}
