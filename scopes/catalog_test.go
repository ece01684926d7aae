package scopes_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

func TestNewCatalogRefuses(t *testing.T) {
	t.Parallel()
	get, put := scopes.MethodOf("GET"), scopes.MethodOf("PUT")
	operation := func(methods scopes.Methods, path string) []scopes.Operation {
		return []scopes.Operation{{Name: "op", Methods: methods, Path: path}}
	}
	many := make([]string, scopes.MaxVersions+1)
	tests := []struct {
		name string
		apis []scopes.API
		want string // part of the error; "" for none
	}{
		{"the same path and method", []scopes.API{
			{Name: "a", Operations: operation(get|put, "/x/{id}")}, {Name: "b", Operations: operation(get, "/x/{name}")},
		}, "operations a/op and b/op match the same requests: GET /x/{name}"},
		{"every method and one", []scopes.API{
			{Name: "a", Operations: operation(scopes.AllMethods, "/x")}, {Name: "b", Operations: operation(put, "/x")},
		}, "PUT /x"},
		{"both fold the case", []scopes.API{
			{Name: "a", FoldCase: true, Operations: operation(get, "/X")}, {Name: "b", FoldCase: true, Operations: operation(get, "/x")},
		}, "GET /x"},
		{"the same host with and without a port", []scopes.API{
			{Name: "a", Hosts: []string{"h.example"}, Operations: operation(get, "/x")},
			{Name: "b", Hosts: []string{"g.example", "h.example:81"}, Operations: operation(get, "/x")},
		}, "GET /x"},
		{"other methods", []scopes.API{{Name: "a", Operations: operation(get, "/x")}, {Name: "b", Operations: operation(put, "/x")}}, ""},
		{"GET and HEAD", []scopes.API{{Name: "a", Operations: operation(get, "/x")}, {Name: "b", Operations: operation(scopes.MethodOf("HEAD"), "/x")}}, ""},
		{"a trailing slash", []scopes.API{{Name: "a", Operations: operation(get, "/x")}, {Name: "b", Operations: operation(get, "/x/")}}, ""},
		{"the rest", []scopes.API{{Name: "a", Operations: operation(get, "/x/")}, {Name: "b", Operations: operation(get, "/x/**")}}, ""},
		{"another case", []scopes.API{{Name: "a", Operations: operation(get, "/x")}, {Name: "b", Operations: operation(get, "/X")}}, ""},
		{"one folds the case", []scopes.API{{Name: "a", FoldCase: true, Operations: operation(get, "/x")}, {Name: "b", Operations: operation(get, "/x")}}, ""},
		{"only one has hosts", []scopes.API{{Name: "a", Hosts: []string{"h.example"}, Operations: operation(get, "/x")}, {Name: "b", Operations: operation(get, "/x")}}, ""},
		{"other hosts", []scopes.API{
			{Name: "a", Hosts: []string{"h.example"}, Operations: operation(get, "/x")}, {Name: "b", Hosts: []string{"i.example"}, Operations: operation(get, "/x")},
		}, ""},
		{"other ports", []scopes.API{
			{Name: "a", Hosts: []string{"h.example:80"}, Operations: operation(get, "/x")}, {Name: "b", Hosts: []string{"h.example:81"}, Operations: operation(get, "/x")},
		}, ""},
		{"a name twice", []scopes.API{{Name: "a"}, {Name: "a"}}, `two APIs are called "a"`},
		{"a path that is none", []scopes.API{{Name: "a", Operations: operation(get, "x")}}, `operation a/op: a path starts with "/"`},
		{"too many versions", []scopes.API{{Name: "a", Versions: many}}, fmt.Sprint("at most ", scopes.MaxOperations, " and ", scopes.MaxVersions)},
		{"too many operations", []scopes.API{{Name: "a", Operations: make([]scopes.Operation, scopes.MaxOperations+1)}}, "8193 operations"},
		{"too many APIs", make([]scopes.API, scopes.MaxAPIs+1), "at most 65535"},
	}
	for _, test := range tests {
		_, err := scopes.NewCatalog(test.apis)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
}

func TestNewCatalogTakesTheMost(t *testing.T) {
	t.Parallel()
	apis := make([]scopes.API, scopes.MaxAPIs)
	for i := range apis {
		apis[i].Name = strconv.Itoa(i)
	}
	last := &apis[len(apis)-1]
	last.Versions = make([]string, scopes.MaxVersions)
	for i := range scopes.MaxOperations {
		path := "/" + strconv.Itoa(i)
		last.Operations = append(last.Operations, scopes.Operation{Name: path, Methods: scopes.AllMethods, Path: path})
	}
	for i := range last.Versions {
		last.Versions[i] = "v" + strconv.Itoa(i)
	}
	catalog := newCatalog(t, apis...)
	path := "/" + strconv.Itoa(scopes.MaxOperations-1)
	token := scopes.Token{Scopes: []scopes.Scope{{
		API: last.Name, Versions: []string{"v63"}, Methods: scopes.MethodOf("GET"), Operations: []string{path},
	}}}
	grant := scopes.GrantOf(&scopes.Account{Name: "acme"}, &token, catalog)
	if d := catalog.View().Decide(&scopes.Request{Method: "GET", Target: path}, &grant); d.Reason != scopes.VersionUnknown {
		t.Errorf("GET %s without a version: %s, want version_unknown", path, d.Reason)
	}
	last.Versions = last.Versions[:1]
	token.Scopes[0].Versions = last.Versions
	catalog = newCatalog(t, apis...)
	grant = scopes.GrantOf(&scopes.Account{Name: "acme"}, &token, catalog)
	if d := catalog.View().Decide(&scopes.Request{Method: "GET", Target: path}, &grant); !d.Allowed() {
		t.Errorf("GET %s: %s, want allow", path, d.Reason)
	}
	if d := catalog.View().Decide(&scopes.Request{Method: "GET", Target: "/0"}, &grant); d.Reason != scopes.OperationNotGranted {
		t.Errorf("GET /0: %s, want operation_not_granted", d.Reason)
	}
}

func TestCatalogNamesItsAPIs(t *testing.T) {
	t.Parallel()
	catalog := newCatalog(t, scopes.API{Name: "a"}, scopes.API{Name: "b", Title: "B"})
	if got := catalog.API("b"); got == nil || got.Title != "B" {
		t.Errorf("API(b) is %+v, want that with the title B", got)
	}
	if got := catalog.API("c"); got != nil {
		t.Errorf("API(c) is %+v, want none", got)
	}
	if apis := catalog.APIs(); catalog.Len() != 2 || len(apis) != 2 || apis[0].Name != "a" || apis[1].Name != "b" {
		t.Errorf("%d APIs, %+v; want a and b", catalog.Len(), apis)
	}
	if catalog.View().Catalog() != catalog || catalog.View("a").Catalog() != catalog {
		t.Error("a view does not know its catalog")
	}
}
