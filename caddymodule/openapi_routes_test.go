package caddymodule

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// described are the operations of the OpenAPI document: "METHOD /path" by their ids.
func described(t *testing.T) map[string]string {
	t.Helper()
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(openAPI, &document); err != nil {
		t.Fatal(err)
	}
	operations := make(map[string]string)
	for path, item := range document.Paths {
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			var op struct {
				ID string `json:"operationId"`
			}
			if err := json.Unmarshal(raw, &op); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			request := strings.ToUpper(method) + " " + path
			if other, twice := operations[op.ID]; twice || op.ID == "" {
				t.Errorf("%s and %s have the id %q", other, request, op.ID)
			}
			operations[op.ID] = request
		}
	}
	return operations
}

// adminOnly are the routes that no operation leads to, and why.
var adminOnly = map[string]string{
	"GET /scopegate/tokens/{first}":           "names a token by its id",
	"PATCH /scopegate/tokens/{first}":         "names a token by its id",
	"DELETE /scopegate/tokens/{first}":        "names a token by its id",
	"POST /scopegate/tokens/{first}/{second}": "names a token by its id",
}

// The document, the operations of the built-in API and the routes are the same
// things.
func TestOpenAPIHasTheRoutes(t *testing.T) {
	t.Parallel()
	routes := new(management).routes()
	serving, documented := serveOperations(routes), described(t)
	led := make(map[string]bool)
	for _, op := range scopes.ManagementAPI().Operations {
		method := op.Methods.String()
		if documented[op.Name] != method+" "+op.Path {
			t.Errorf("operation %s: the document has %q, want %s %s", op.Name, documented[op.Name], method, op.Path)
		}
		delete(documented, op.Name)
		s := serving[op.Name]
		if s == nil || !serves(s, method) {
			t.Errorf("operation %s: no route serves it", op.Name)
			continue
		}
		for _, route := range routes {
			if wildcards, ok := matchPattern(route.Pattern, op.Path); ok && len(wildcards) == len(s.wildcards) {
				led[method+" "+route.Pattern] = true
			}
		}
	}
	for id, request := range documented {
		t.Errorf("the document has %s (%s), which is no operation", request, id)
	}
	for _, route := range routes {
		for method := range route.Handler.(resource) {
			request := method + " " + route.Pattern
			if led[request] == (adminOnly[request] != "") {
				t.Errorf("%s: an operation leads to it: %v, listed as admin only: %q", request, led[request], adminOnly[request])
			}
		}
	}
	for name := range actions {
		if serving["tokens/"+name] == nil {
			t.Errorf("the action %s is no operation", name)
		}
	}
}

// serves reports whether a route has an operation's method, and its action.
func serves(s *served, method string) bool {
	verbs, ok := s.handler.(resource)
	if !ok || verbs[method] == nil {
		return false
	}
	at, hasAction := s.wildcards["action"]
	if !hasAction || method != http.MethodPost {
		return !hasAction
	}
	return actions[strings.Split(s.operation.Path[1:], "/")[at]] != nil
}
