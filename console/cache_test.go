package console

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// slowRoutes answer with a number that counts the requests, after a time that passes in a
// synctest bubble only.
type slowRoutes struct {
	takes  atomic.Int64 // a time.Duration
	status atomic.Int64 // 0 for 200
	asked  atomic.Int64
	faulty atomic.Bool // panics
	denies atomic.Bool
}

func (s *slowRoutes) As(*http.Request, scopes.Digest) Client { return s }

func (*slowRoutes) Holder() (string, Standing) { return "ops/admin", Accepted }

func (s *slowRoutes) May(string, string) bool { return !s.denies.Load() }

func (s *slowRoutes) Do(string, string, []byte) Answer {
	timer := time.NewTimer(time.Duration(s.takes.Load()))
	<-timer.C
	if s.faulty.Load() {
		panic("a fault")
	}
	status := int(s.status.Load())
	if status == 0 {
		status = http.StatusOK
	}
	return Answer{Status: status, Body: []byte(`{"number":` + strconv.FormatInt(s.asked.Add(1), 10) + `}`)}
}

// cacheVisit asks a cache, and tells what it was given and how long that took.
func cacheVisit(t *testing.T, c *reportCache, client Client) (number int, told freshness, took time.Duration, err error) {
	t.Helper()
	var value struct {
		Number int `json:"number"`
	}
	begun := time.Now()
	v := &visit{r: httptest.NewRequest(http.MethodGet, "/console/", nil), client: client, session: new(session)}
	told, err = c.ask(v, "/scopegate/reports/attention", &value)
	return value.Number, told, time.Since(begun), err
}

func newSlow(takes time.Duration) (*slowRoutes, *reportCache) {
	routes := new(slowRoutes)
	routes.takes.Store(int64(takes))
	return routes, newReportCache(routes, slog.New(slog.DiscardHandler))
}

func TestReportThatIsQuickIsNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		routes, c := newSlow(5 * time.Millisecond)
		for want := 1; want <= 3; want++ {
			number, told, _, err := cacheVisit(t, c, routes)
			if err != nil || !told.Ready || told.Making || number != want {
				t.Fatalf("visit %d: got report %d, %+v, %v", want, number, told, err)
			}
			time.Sleep(time.Second) //nolint:forbidigo // in a bubble, where it is the clock
		}
		c.close()
	})
}

func TestReportThatIsSlowIsMadeBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		routes, c := newSlow(10 * time.Second)
		check := func(wantNumber int, wantReady, wantMaking bool) {
			t.Helper()
			number, told, took, err := cacheVisit(t, c, routes)
			if err != nil || number != wantNumber || told.Ready != wantReady || told.Making != wantMaking {
				t.Fatalf("got report %d, %+v, %v; want %d, ready %v, making %v", number, told, err, wantNumber, wantReady, wantMaking)
			}
			if took > patience {
				t.Fatalf("a page waited %v", took)
			}
		}
		wait := func(d time.Duration) {
			time.Sleep(d) //nolint:forbidigo // in a bubble, where it is the clock
			synctest.Wait()
		}
		check(0, false, true)
		check(0, false, true) // and does not ask once more
		wait(10 * time.Second)
		check(1, true, false)
		wait(199 * time.Second) // it took 10 s, so 200 s pass before the next
		check(1, true, false)
		wait(2 * time.Second)
		check(1, true, true) // the one before, meanwhile
		wait(10 * time.Second)
		check(2, true, false)

		routes.status.Store(http.StatusServiceUnavailable)
		wait(201 * time.Second)
		check(2, true, true)
		wait(10 * time.Second)
		check(2, true, true) // what has failed replaces nothing
		c.close()
		check(2, true, false) // and nothing more is made
	})
}

func TestReportThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		routes, c := newSlow(time.Millisecond)
		routes.faulty.Store(true)
		if _, told, _, err := cacheVisit(t, c, routes); err == nil || told.Ready {
			t.Errorf("a fault is told as %+v, %v", told, err)
		}
		routes.faulty.Store(false)
		if number, told, _, err := cacheVisit(t, c, routes); err != nil || !told.Ready || number != 1 {
			t.Errorf("after the fault: report %d, %+v, %v", number, told, err)
		}
		routes.denies.Store(true)
		if number, told, _, err := cacheVisit(t, c, routes); err == nil || told.Ready || number != 0 {
			t.Errorf("without the scope: report %d, %+v, %v", number, told, err)
		}
		c.close()
	})
}
