package console

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// clock is a clock that tests set.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newTestSessions(t *testing.T, fill byte) (*Sessions, *clock) {
	t.Helper()
	c := &clock{time.Unix(1_800_000_000, 0)}
	s, err := NewSessions([]byte(strings.Repeat(string(rune(fill)), KeyBytes)), c.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// with returns a request that has the cookies.
func with(t *testing.T, cookies ...*http.Cookie) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://admin.example.com/console/", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

func TestSessionIsOpened(t *testing.T) {
	t.Parallel()
	s, _ := newTestSessions(t, 'a')
	one := s.begin(scopes.DigestOf("sgt_of_somebody"))
	cookie := s.cookie(one)
	got := s.open(with(t, cookie))
	if got == nil || *got != *one {
		t.Errorf("got %v, want %v", got, one)
	}
	if !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("the cookie is %v", cookie)
	}
	if other, _ := newTestSessions(t, 'a'); other.open(with(t, cookie)) == nil {
		t.Error("a node with the same key does not open it")
	}
}

func TestSessionIsRefused(t *testing.T) {
	t.Parallel()
	s, c := newTestSessions(t, 'a')
	other, _ := newTestSessions(t, 'b')
	one := s.begin(scopes.DigestOf("sgt_of_somebody"))
	good := s.cookie(one)
	first := "A"
	if good.Value[:1] == first {
		first = "B"
	}
	ended := s.begin(scopes.DigestOf("sgt_of_somebody"))
	s.end(ended)
	for name, cookies := range map[string][]*http.Cookie{
		"none": nil, "of another key": {other.cookie(one)}, "changed": {newCookie(first + good.Value[1:])}, "short": {newCookie(good.Value[:20])},
		"empty": {newCookie("")}, "no base64": {newCookie("###")}, "two": {good, good}, "signed out": {s.cookie(ended)},
	} {
		if got := s.open(with(t, cookies...)); got != nil {
			t.Errorf("%s: it is opened: %v", name, got)
		}
	}
	if s.open(with(t, good)) == nil {
		t.Error("the good one is refused")
	}
	for name, later := range map[string]time.Duration{"idle": SessionIdle, "of the future": -2 * time.Minute} {
		before := c.now
		c.now = c.now.Add(later)
		if got := s.open(with(t, good)); got != nil {
			t.Errorf("%s: it is opened: %v", name, got)
		}
		c.now = before
	}
}

// A session that is in use lives for SessionLife, and not longer.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	s, c := newTestSessions(t, 'a')
	begun := c.now
	cookie := s.cookie(s.begin(scopes.DigestOf("sgt_of_somebody")))
	for {
		one := s.open(with(t, cookie))
		if one == nil {
			break
		}
		if s.refresh(one) {
			cookie = s.cookie(one)
		}
		c.now = c.now.Add(refreshAfter)
	}
	if lived := c.now.Sub(begun); lived != SessionLife {
		t.Errorf("it lived for %v, want %v", lived, SessionLife)
	}
}

func TestFormToken(t *testing.T) {
	t.Parallel()
	s, _ := newTestSessions(t, 'a')
	one, two := s.begin(scopes.Digest{1}), s.begin(scopes.Digest{1})
	first, again := s.formToken(one), s.formToken(one)
	if first != again {
		t.Error("one session has two")
	}
	if first == s.formToken(two) {
		t.Error("two sessions have the same")
	}
}

func TestDestination(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"":                              Root,
		"/console/tokens?search=a%2Fb":  "/console/tokens?search=a%2Fb",
		"/console/tokens/acme/x":        "/console/tokens/acme/x",
		"https://evil.example/console/": Root,
		"//evil.example/console/":       Root,
		`/\evil.example/console/`:       Root,
		`/console/\evil`:                Root,
		"/console/../scopegate/backup":  Root,
		"/scopegate/status":             Root,
		"javascript:alert(1)":           Root,
		"%":                             Root,
	} {
		if got := destination(to); got != want {
			t.Errorf("destination(%q) = %q, want %q", to, got, want)
		}
	}
}
