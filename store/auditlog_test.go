package store

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

func TestAuditLog(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	apply(t, s, testFile(acme(testToken("a"))))
	mustDo(t, s.Deactivate, "acme/a")
	mustDo(t, s.Deactivate, "acme/a") // no change, no entry
	entries, err := s.Log(LogQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, fmt.Sprintf("%d %s %s %s %s", e.Revision, e.Actor, e.Action, e.Kind, e.Name))
		if strings.Contains(strings.Join(e.Details, " "), scopes.DigestOf("secret of a").String()[8:]) || !e.Time.Equal(testNow) {
			t.Errorf("got %+v", e)
		}
	}
	want := []string{
		"2 test deactivate token acme/a", "1 test create token acme/a", "1 test create account acme",
		"1 test create api ads", "1 test create api orders",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if page, err := s.Log(LogQuery{Before: 2, Limit: 2}); err != nil || len(page) != 2 || !reflect.DeepEqual(page[0], entries[1]) {
		t.Errorf("a page: got %+v, %v", page, err)
	}
	if page, err := s.Log(LogQuery{Before: 99, Limit: 1}); err != nil || len(page) != 1 || !reflect.DeepEqual(page[0], entries[0]) {
		t.Errorf("the newest: got %+v, %v", page, err)
	}
}
