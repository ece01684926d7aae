package scopes_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// routeAPIs are the APIs that the operations of a fuzzed route belong to, by letter.
var routeAPIs = []scopes.API{
	{Name: "a"},
	{Name: "b", FoldCase: true},
	{Name: "c", Hosts: []string{"h.example"}},
	{Name: "d", EncodedSlash: true},
	{Name: "e", Hosts: []string{"h.example:81", "x.example"}, FoldCase: true, EncodedSlash: true},
}

// routeHosts are the hosts that a fuzzed request is for, and those of
// routeAPIs that each is served by.
var routeHosts = []struct{ host, served string }{
	{"", "abd"},
	{"h.example", "abcd"},
	{"H.example:80", "abcd"},
	{"h.example.", "abcd"},
	{"h.example:81", "abcde"},
	{"X.EXAMPLE", "abde"},
	{"hh.example", "abd"},
	{"h.example.:81", "abcde"},
}

var routeMethods = []string{"GET", "HEAD", "POST", "PUT", "BREW", "TRACE"}

// FuzzRoute holds the router to a matcher that compares every template with the
// whole path. The operations are lines such as "a GET|PUT /x/{id}".
func FuzzRoute(f *testing.F) {
	seeds := []struct {
		operations, target string
	}{
		{"a GET /", "/"},
		{"a GET /x\na GET /x/\na GET /x/**\na GET /**", "/x/"},
		{"a GET /x/{id}\na POST /x/new\nb GET /X/new", "/x/new"},
		{"a GET /Foo/{x}\nb GET /foo/bar", "/Foo/bar"},
		{"c GET /x\na GET /x\ne HEAD /x", "/x"},
		{"d GET /x/{id}/y\na GET /x/**", "/x/a%2Fb/y"},
		{"d GET /x/**\na GET /x/{id}", "/x/a%2Fb"},
		{"a GET /{a}/x/{b}\na GET /{a}/**\na PUT /y/x/{b}", "/y/x/z"},
		{"a GET /caf\u00e9\na GET /{x}", "/caf%C3%A9"},
		{"a HEAD /x/{a}\na GET /x/{b}", "/x/1"},
	}
	for _, seed := range seeds {
		for host := range routeHosts {
			f.Add(seed.operations, seed.target, host%len(routeMethods), host)
		}
	}
	f.Fuzz(func(t *testing.T, operations, target string, method, host int) {
		if method < 0 || host < 0 || len(operations) > 2000 {
			return
		}
		checkRoute(t, parseRouteOperations(operations), routeMethods[method%len(routeMethods)], target, host%len(routeHosts))
	})
}

// TestRouteRandomly does as FuzzRoute, with templates and paths that meet often.
func TestRouteRandomly(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from string) string { all := strings.Fields(from); return all[random.IntN(len(all))] }
	for range 5000 {
		var operations, templates []string
		for range 1 + random.IntN(8) {
			template := ""
			for range random.IntN(4) {
				template += "/" + pick("x y X xy {p} {q} {r} {s}")
			}
			templates = append(templates, template+pick("/ /** /x /y /X /{z}"))
			operations = append(operations, pick("a b c d e a")+" "+pick("GET POST HEAD GET|HEAD *")+" "+templates[len(templates)-1])
		}
		segments := strings.Split(templates[random.IntN(len(templates))], "/")
		for i, segment := range segments[1:] {
			if segment != "" && random.IntN(3) == 0 || strings.ContainsAny(segment, "{*") {
				segments[1+i] = pick("x y X xy %78 %58y z x%2Fy x/y")
			}
		}
		target := strings.Join(segments, "/")
		checkRoute(t, parseRouteOperations(strings.Join(operations, "\n")), pick("GET HEAD POST PUT"), target, random.IntN(len(routeHosts)))
		if t.Failed() {
			return
		}
	}
}

// routeOperation is one operation of the reference.
type routeOperation struct {
	api      *scopes.API
	name     string
	methods  scopes.Methods
	template []string // its segments
}

// parseRouteOperations skips lines that are no operation, and templates with
// {version}, which only mean something to an API that has versions.
func parseRouteOperations(lines string) []routeOperation {
	var operations []routeOperation
	for line := range strings.SplitSeq(lines, "\n") {
		fields := strings.SplitN(line, " ", 3)
		if len(fields) != 3 || len(fields[0]) != 1 || fields[0] < "a" || fields[0] > "e" || strings.Contains(line, "{version}") {
			continue
		}
		methods := scopes.AllMethods
		if fields[1] != "*" {
			methods = 0
			for name := range strings.SplitSeq(fields[1], "|") {
				methods |= scopes.MethodOf(name)
			}
		}
		if _, err := scopes.ParseTemplate(fields[2]); err != nil || methods == 0 {
			continue
		}
		operations = append(operations, routeOperation{
			api: &routeAPIs[fields[0][0]-'a'], name: fmt.Sprint(len(operations)), methods: methods,
			template: strings.Split(fields[2][1:], "/"),
		})
	}
	// In the order of a catalog: API by API.
	slices.SortStableFunc(operations, func(x, y routeOperation) int { return cmp.Compare(x.api.Name, y.api.Name) })
	return operations
}

// checkRoute decides on a request with a token that has everything.
func checkRoute(t *testing.T, operations []routeOperation, method, target string, host int) {
	t.Helper()
	apis := slices.Clone(routeAPIs)
	for _, op := range operations {
		i := slices.IndexFunc(apis, func(a scopes.API) bool { return a.Name == op.api.Name })
		apis[i].Operations = append(slices.Clone(apis[i].Operations),
			scopes.Operation{Name: op.name, Methods: op.methods, Path: "/" + strings.Join(op.template, "/")})
	}
	catalog, err := scopes.NewCatalog(apis)
	if collide := routesCollide(operations); collide != errors.As(err, new(scopes.Conflicts)) || !collide && err != nil {
		t.Fatalf("%s\nNewCatalog: %v, but operations collide: %t", showRoutes(operations), err, collide)
	}
	if err != nil {
		return
	}
	request := scopes.Request{Method: method, Target: target, Host: routeHosts[host].host, Now: time.Unix(1, 0)}
	grant := scopes.Grant{State: scopes.Active, Access: scopes.ReadWrite}
	decision := catalog.View().Decide(&request, &grant)
	if got, want := describe(&decision), plainRoute(operations, method, target, routeHosts[host].served); got != want {
		t.Fatalf("%s\n%s %s on %q\n\tgot  %s\n\twant %s", showRoutes(operations), method, target, request.Host, got, want)
	}
}

func showRoutes(operations []routeOperation) string {
	var b strings.Builder
	for _, op := range operations {
		fmt.Fprintf(&b, "%s/%s %s /%s\n", op.api.Name, op.name, op.methods, strings.Join(op.template, "/"))
	}
	return b.String()
}

// plainRoute is the decision by the contract's words: of the operations that
// match host, path and method the most specific, else of those that match host
// and path.
func plainRoute(operations []routeOperation, method, target, served string) string {
	path, _, _ := strings.Cut(target, "?")
	encodedSlash := strings.Contains(strings.ToLower(path), "%2f")
	if !plainlyWellFormed(target) {
		return "malformed_request"
	}
	var best, near *routeOperation
	for i := range operations {
		op := &operations[i]
		if !strings.Contains(served, op.api.Name) || !op.matches(path) {
			continue
		}
		if op.methods.WithHead().Has(scopes.MethodOf(method)) && (best == nil || op.before(best, path, method)) {
			best = op
		}
		if near == nil || op.before(near, path, "") {
			near = op
		}
	}
	switch {
	case encodedSlash && (near == nil || best == nil && !near.api.EncodedSlash || best != nil && !best.api.EncodedSlash):
		return "malformed_request"
	case best != nil:
		return "allow " + best.api.Name + "/" + best.name
	case near != nil:
		return "method_not_granted " + near.api.Name + "/-"
	}
	return "no_api"
}

// plainlyWellFormed leaves the judgment on targets to a catalog that has no
// operation that could matter: FuzzTarget is about them.
func plainlyWellFormed(target string) bool {
	request := scopes.Request{Method: "GET", Target: target}
	d := anyTarget().Decide(&request, &scopes.Grant{State: scopes.Active, Access: scopes.ReadWrite})
	return d.Allowed()
}

var anyTarget = sync.OnceValue(func() *scopes.View {
	catalog, err := scopes.NewCatalog([]scopes.API{
		{Name: "any", EncodedSlash: true, Operations: []scopes.Operation{{Name: "any", Methods: scopes.AllMethods, Path: "/**"}}},
	})
	if err != nil {
		panic(err)
	}
	return catalog.View()
})

func (op *routeOperation) matches(path string) bool {
	segments := strings.Split(path[1:], "/")
	template := op.template
	if last := len(template) - 1; template[last] == "**" {
		if template = template[:last]; len(segments) < len(template) {
			return false
		}
		segments = segments[:len(template)]
	}
	if len(segments) != len(template) {
		return false
	}
	for i, segment := range segments {
		if op.rankOf(template[i], segment) < 0 {
			return false
		}
	}
	return true
}

// rankOf tells how specifically a template's segment matches a raw one: 0 is a
// literal, 1 one whose case is folded, 2 a parameter; negative is no match.
func (op *routeOperation) rankOf(template, raw string) int {
	decoded, err := url.PathUnescape(raw)
	switch {
	case err != nil:
		return -1
	case strings.HasPrefix(template, "{"):
		if raw == "" {
			return -1
		}
		return 2
	case strings.Contains(strings.ToLower(raw), "%2f"):
		return -1
	case op.api.FoldCase && template != "":
		if foldASCII(decoded) == foldASCII(template) {
			return 1
		}
	case decoded == template:
		return 0
	}
	return -1
}

func foldASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, s)
}

// ranks has the rank of each segment of the template, 3 for "**".
func (op *routeOperation) ranks(path string) []int {
	segments := strings.Split(path[1:], "/")
	var ranks []int
	for i, template := range op.template {
		if template == "**" {
			return append(ranks, 3)
		}
		ranks = append(ranks, op.rankOf(template, segments[i]))
	}
	return ranks
}

// before reports whether op is more specific than other, which stands before it.
func (op *routeOperation) before(other *routeOperation, path, method string) bool {
	if order := slices.Compare(op.ranks(path), other.ranks(path)); order != 0 {
		return order < 0
	}
	if hosts, others := len(op.api.Hosts) > 0, len(other.api.Hosts) > 0; hosts != others {
		return hosts
	}
	declared := scopes.MethodOf(method)
	return op.methods.Has(declared) && !other.methods.Has(declared)
}

// routesCollide reports whether two operations match the same requests with the
// same method and host, neither being more specific.
func routesCollide(operations []routeOperation) bool {
	for i, x := range operations {
		for _, y := range operations[i+1:] {
			if x.methods&y.methods != 0 && x.sameShape(&y) && sharedHosts(x.api.Name, y.api.Name) {
				return true
			}
		}
	}
	return false
}

func (op *routeOperation) sameShape(other *routeOperation) bool {
	return slices.EqualFunc(op.template, other.template, func(a, b string) bool {
		switch {
		case strings.HasPrefix(a, "{") || strings.HasPrefix(b, "{"):
			return strings.HasPrefix(a, "{") && strings.HasPrefix(b, "{")
		case a == "**" || b == "**" || a == "" || b == "":
			return a == b
		case op.api.FoldCase && other.api.FoldCase:
			return foldASCII(a) == foldASCII(b)
		}
		return a == b && op.api.FoldCase == other.api.FoldCase
	})
}

// sharedHosts reports whether neither of two of routeAPIs comes first for its
// hosts, and a host is served by both.
func sharedHosts(x, y string) bool {
	hosted := func(name string) bool { return name == "c" || name == "e" }
	return hosted(x) == hosted(y) && slices.ContainsFunc(routeHosts, func(h struct{ host, served string }) bool {
		return strings.Contains(h.served, x) && strings.Contains(h.served, y)
	})
}
