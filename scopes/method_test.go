package scopes_test

import (
	"slices"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

func TestMethodOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method string
		all    bool // "*" has it
		read   bool // read_only has it
	}{
		{"GET", true, true},
		{"HEAD", true, true},
		{"POST", true, false},
		{"PUT", true, false},
		{"PATCH", true, false},
		{"DELETE", true, false},
		{"OPTIONS", true, false},
		{"QUERY", true, false},
		{"PROPFIND", true, false},
		{"UNSUBSCRIBE", true, false},
		{"BREW", true, false},
		{"get", true, false},
		{"Get", true, false},
		{"GET ", true, false},
		{"*", true, false},
		{"CONNECT", false, false},
		{"TRACE", false, false},
		{"connect", false, false},
		{"Trace", false, false},
		{"", false, false},
	}
	for _, test := range tests {
		m := scopes.MethodOf(test.method)
		if got := scopes.AllMethods.Has(m); got != test.all {
			t.Errorf("AllMethods has %q: %t, want %t", test.method, got, test.all)
		}
		if got := scopes.ReadMethods.Has(m); got != test.read {
			t.Errorf("ReadMethods has %q: %t, want %t", test.method, got, test.read)
		}
	}
}

func TestMethodsNames(t *testing.T) {
	t.Parallel()
	get, head, put := scopes.MethodOf("GET"), scopes.MethodOf("HEAD"), scopes.MethodOf("PUT")
	tests := []struct {
		methods scopes.Methods
		want    string
	}{
		{0, ""},
		{get, "GET"},
		{put | get, "GET|PUT"},
		{get.WithHead(), "GET|HEAD"},
		{head.WithHead(), "HEAD"},
		{put.WithHead(), "PUT"},
		{scopes.AllMethods, "*"},
		{scopes.AllMethods.WithHead(), "*"},
	}
	for _, test := range tests {
		if got := test.methods.String(); got != test.want {
			t.Errorf("%#x is %q, want %q", uint32(test.methods), got, test.want)
		}
	}
	for _, name := range []string{"GET", "HEAD", "POST", "MERGE", "UNSUBSCRIBE"} {
		if got := scopes.MethodOf(name).Names(); !slices.Equal(got, []string{name}) {
			t.Errorf("MethodOf(%q) has the names %q", name, got)
		}
	}
	if get.Has(0) || scopes.AllMethods.Has(0) || get.Has(get|put) || !(get | put).Has(put) {
		t.Error("Has does not tell subsets")
	}
}
