package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// Limiter holds tokens to their rates and quotas.
type Limiter interface {
	// Take counts a request of a token that has limits to an API at a time, unless that is
	// beyond one of them.
	Take(g *scopes.Grant, api string, now time.Time) Limited
}

// Limited is what came of counting a request, and tells of the limit that is nearest to
// being used up.
type Limited struct {
	OK   bool   // false: it is refused
	Name string // of the limit; "" if none applies
	// Quota is how many requests the limit lets through in Window.
	Quota  int64
	Window time.Duration
	// Remaining is how many requests it would let through now.
	Remaining int64
	// Reset is how long it takes until nothing of it is used.
	Reset time.Duration
	// RetryAfter is how long it takes until a request is let through; 0 if this one was.
	RetryAfter time.Duration
}

// Limit counts a request that is allowed, and denies it if that is beyond a limit of its
// token. It is to be called once for each request, after Judge and before anything is
// written: it tells the client how much is left, in the fields of
// draft-ietf-httpapi-ratelimit-headers-10, and when to come again. In shadow it counts too,
// and neither refuses nor tells.
func (g *Gateway) Limit(w http.ResponseWriter, v *Verdict) {
	if g.Limiter == nil || len(v.Grant.Limits) == 0 || !v.Decision.Allowed() {
		return
	}
	limited := g.Limiter.Take(&v.Grant, v.Decision.API.Name, v.request.Now)
	if !limited.OK {
		v.Decision.Deny(scopes.RateLimited)
		v.Through = g.Shadow
	}
	if !g.Shadow {
		limited.tell(w.Header())
	}
}

// The fields that tell of limits. An upstream's own follow them, as lists do.
const (
	policyField = "Ratelimit-Policy"
	leftField   = "Ratelimit"
	retryField  = "Retry-After"
)

func (l *Limited) tell(h http.Header) {
	if !l.OK {
		h[retryField] = []string{strconv.FormatInt(max(1, seconds(l.RetryAfter)), 10)}
	}
	if l.Name == "" {
		return
	}
	h[policyField] = []string{item(l.Name, ";q=", l.Quota, ";w=", seconds(l.Window))}
	h[leftField] = []string{item(l.Name, ";r=", l.Remaining, ";t=", seconds(l.Reset))}
}

// item writes a String with two parameters (RFC 9651). The names of APIs have nothing in
// them that would have to be escaped.
func item(name, first string, one int64, second string, two int64) string {
	b := make([]byte, 0, 64) //nolint:mnd // most fit
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, '"')
	b = append(b, first...)
	b = strconv.AppendInt(b, one, 10)
	b = append(b, second...)
	return string(strconv.AppendInt(b, two, 10))
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
