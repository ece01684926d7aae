package scopes

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Catalog is a set of APIs, compiled, and the built-in API [Management]. It is
// immutable and safe for concurrent use.
type Catalog struct {
	apis   []compiledAPI // the built-in one last
	byName map[string]int
	all    *View // of the declared ones

	everythingOnce sync.Once // guards everything
	everything     *View
}

// compiledAPI is an API with what the decision would otherwise search for.
type compiledAPI struct {
	API
	index     uint16
	hosts     []host
	templates []Template     // of each operation
	opIndex   map[string]int // operation name to its position
}

// OperationRef names an operation of an API.
type OperationRef struct{ API, Operation string }

// String returns "api/operation".
func (r OperationRef) String() string { return r.API + "/" + r.Operation }

// Conflict is a pair of operations that match the same requests with the same
// method and host.
type Conflict struct {
	A, B    OperationRef // A stands before B
	Methods Methods      // those both have
	Path    string       // B's template
}

// Error says which operations collide and what to do.
func (c Conflict) Error() string {
	return fmt.Sprintf("operations %s and %s match the same requests: %s %s; give them different paths, methods or hosts",
		c.A, c.B, c.Methods, c.Path)
}

// Conflicts are all the conflicts of a set of APIs.
type Conflicts []Conflict

// Error returns one line for each conflict.
func (cs Conflicts) Error() string {
	lines := make([]string, len(cs))
	for i, c := range cs {
		lines[i] = c.Error()
	}
	return strings.Join(lines, "\n")
}

// NewCatalog compiles APIs, which must be as [Read] gives them. Its error is
// [Conflicts] where operations collide, a [*TemplateError] for an invalid path.
func NewCatalog(apis []API) (*Catalog, error) {
	if len(apis) > MaxAPIs {
		return nil, fmt.Errorf("scopes: %d APIs, but a catalog has at most %d", len(apis), MaxAPIs)
	}
	management := ManagementAPI()
	c := &Catalog{apis: make([]compiledAPI, len(apis)+1), byName: make(map[string]int, len(apis)+1)}
	for i := range c.apis {
		api := &management
		if i < len(apis) {
			api = &apis[i]
		}
		if _, twice := c.byName[api.Name]; twice {
			return nil, fmt.Errorf("scopes: two APIs are called %q", api.Name)
		}
		compiled, err := compileAPI(api, i)
		if err != nil {
			return nil, err
		}
		c.apis[i] = compiled
		c.byName[api.Name] = i
	}
	router, conflicts := route(c.declared(), nil)
	if len(conflicts) > 0 {
		return nil, conflicts
	}
	c.all = &View{catalog: c, router: router, slashes: c.allowsEncodedSlash()}
	return c, nil
}

func compileAPI(api *API, index int) (compiledAPI, error) {
	if len(api.Operations) > MaxOperations || len(api.Versions) > MaxVersions {
		return compiledAPI{}, fmt.Errorf("scopes: API %q has %d operations and %d versions; at most %d and %d are possible",
			api.Name, len(api.Operations), len(api.Versions), MaxOperations, MaxVersions)
	}
	compiled := compiledAPI{
		API:       *api,
		index:     uint16(index), //nolint:gosec // bounded by MaxAPIs
		templates: make([]Template, len(api.Operations)),
		opIndex:   make(map[string]int, len(api.Operations)),
	}
	for _, h := range api.Hosts {
		compiled.hosts = append(compiled.hosts, splitHost(h))
	}
	for i, op := range api.Operations {
		template, err := ParseTemplate(op.Path)
		if err != nil {
			return compiledAPI{}, fmt.Errorf("scopes: operation %s/%s: %w", api.Name, op.Name, err)
		}
		compiled.templates[i] = template
		compiled.opIndex[op.Name] = i
	}
	return compiled, nil
}

// declared returns the APIs without the built-in one.
func (c *Catalog) declared() []compiledAPI { return c.apis[:len(c.apis)-1] }

// Len returns the number of APIs, the built-in one not counted.
func (c *Catalog) Len() int { return len(c.declared()) }

// API returns the named API, or nil. It knows the built-in one. It must not be
// modified.
func (c *Catalog) API(name string) *API {
	if i, ok := c.byName[name]; ok {
		return &c.apis[i].API
	}
	return nil
}

// APIs returns the APIs in the order given to [NewCatalog], without the built-in
// one. They share memory with the catalog and must not be modified.
func (c *Catalog) APIs() []API {
	apis := make([]API, c.Len())
	for i := range apis {
		apis[i] = c.apis[i].API
	}
	return apis
}

// View returns the part of the catalog that serves only the named APIs: others
// do not exist there. Names that the catalog does not have are skipped; without
// names it is all of it. The built-in API is never in it.
func (c *Catalog) View(apis ...string) *View {
	if len(apis) == 0 {
		return c.all
	}
	router, _ := route(c.declared(), func(name string) bool { return slices.Contains(apis, name) })
	return &View{catalog: c, router: router, slashes: c.allowsEncodedSlash()}
}

// route builds a router over the APIs that serves reports true for; nil serves all.
func route(apis []compiledAPI, serves func(name string) bool) (*node, Conflicts) {
	root := new(node)
	var conflicts Conflicts
	for i := range apis {
		api := &apis[i]
		if serves != nil && !serves(api.Name) {
			continue
		}
		for op := range api.Operations {
			conflicts = append(conflicts, root.add(api, op)...)
		}
	}
	return root, conflicts
}

func (c *Catalog) allowsEncodedSlash() bool {
	return slices.ContainsFunc(c.apis, func(a compiledAPI) bool { return a.EncodedSlash })
}
