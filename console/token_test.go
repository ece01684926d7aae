package console

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

func TestTokenBadges(t *testing.T) {
	t.Parallel()
	now := time.Now()
	one, both := []credential{{Created: now}}, []credential{{Created: now, Ends: now.Add(time.Hour)}, {Created: now}}
	over := []credential{{Created: now, Ends: now.Add(-time.Hour)}, {Created: now}}
	for _, c := range []struct {
		name string
		of   token
		want string
	}{
		{"active", token{actedOn: actedOn{State: stateActive, Credentials: one}}, "active"},
		{"rotating", token{actedOn: actedOn{State: stateActive, Credentials: both}}, "active rotating"},
		{"rotated", token{actedOn: actedOn{State: stateActive, Credentials: over}}, "active"},
		{"bare", token{actedOn: actedOn{State: stateActive}}, "no credential"},
		{"expired", token{actedOn: actedOn{State: stateActive, Credentials: one}, Expires: now.Add(-time.Hour)}, "expired"},
		{"inactive", token{actedOn: actedOn{State: stateInactive, Credentials: one}, Access: "read_only"}, "inactive legacy"},
		{"held", token{actedOn: actedOn{State: stateInactive, Credentials: one}, Held: true}, "deactivated"},
		{"deleted", token{actedOn: actedOn{State: stateDeleted}}, "deleted"},
		{"shadow", token{actedOn: actedOn{State: stateActive, Credentials: one}, Shadow: []scope{{}}}, "active shadow"},
	} {
		var texts []string
		for _, b := range c.of.Badges() {
			texts = append(texts, b.Text)
		}
		if got := strings.Join(texts, " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestRotationOf(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		every string
		ago   time.Duration
		want  rotation
	}{
		{"", 10 * day, rotation{"90d", false, now.Add(80 * day), false, false}},
		{"", 70 * day, rotation{"90d", false, now.Add(20 * day), false, true}},
		{"7d", 7 * day, rotation{"7d", true, now, true, false}},
		{"nonsense", day, rotation{}},
	} {
		if got := rotationOf(c.every, now.Add(-c.ago), now); got != c.want {
			t.Errorf("rotationOf(%q, %v ago) = %+v, want %+v", c.every, c.ago, got, c.want)
		}
	}
}

// What a page says to put into a scope file is read there as what was suggested.
func TestScopesYAML(t *testing.T) {
	t.Parallel()
	text := scopesYAML([]scope{
		{API: "orders", Versions: []string{"v1", "v2"}, Methods: []string{"GET", "POST"}, Operations: []string{"list", "one"}},
		{API: "orders", Versions: []string{"v1"}, Methods: []string{"*"}},
	})
	file := `format: 1
apis:
  orders:
    versions: ["v1", "v2"]
    operations: {list: "GET|POST /orders/{version}", one: "* /orders/{version}/{id}"}
accounts:
  acme:
    tokens:
      one:
        description: d
        contact: {email: a@b.example}
` + "        " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n        ") + "\n"
	read, err := scopes.Read("scopes.yaml", []byte(file), time.Now())
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	got := read.Accounts[0].Tokens[0].Scopes
	if len(got) != 2 || !slices.Equal(got[0].Versions, []string{"v1", "v2"}) || !slices.Equal(got[0].Operations, []string{"list", "one"}) ||
		got[0].Methods != scopes.MethodOf("GET")|scopes.MethodOf("POST") || got[1].Methods != scopes.AllMethods {
		t.Errorf("got %+v", got)
	}
}
