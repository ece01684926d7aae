package console

import (
	"net/http"
	"strings"

	"github.com/scopegate/scopegate/scopes"
)

// need is what a token lacks for a request that was denied, in the words in which to ask
// for it.
type need struct {
	Operation string // of the API scopegate
	Method    string
}

// Scope returns the scope to ask for, as a scope file has it.
func (n *need) Scope() string {
	return "{api: " + scopes.Management + ", methods: [" + n.Method + "], operations: [" + n.Operation + "]}"
}

// needOf returns what a request to the management routes needs, and nil if it is none of
// them.
func needOf(method, target string) *need {
	path, _, _ := strings.Cut(target, "?")
	for _, op := range scopes.ManagementAPI().Operations {
		m := op.Methods.Names()[0] // each has one
		if _, is := op.Values(path); is && m == method {
			return &need{op.Name, m}
		}
	}
	return nil
}

// mustMay fails as the request would, if the token may not send it: for a page whose only
// purpose is to send it.
func (v *visit) mustMay(method, target string) error {
	if v.client.May(method, target) {
		return nil
	}
	return &Failure{Status: http.StatusForbidden, Method: method, Target: target}
}
