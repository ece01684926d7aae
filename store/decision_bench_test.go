package store

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/proxy"
)

// estateSource is a store as a gateway sees it.
type estateSource struct{ store *Store }

func (s estateSource) Snapshot(now time.Time) proxy.Snapshot {
	if s.store.Stale(now) {
		return nil
	}
	return s.store.Snapshot()
}

// estateRequest is what differs between the requests of a benchmark.
type estateRequest struct{ authorization, target string }

// estateRequests returns requests of tokens drawn at random, each for something
// that its token may do. Their text lies in memory in the order in which they are
// used, so that it is in the processor's caches, as that of a request just read is.
func estateRequests(b *testing.B, n int) []estateRequest {
	b.Helper()
	credentials := drawn(n, true)
	credentials = credentials[:min(n, len(credentials))]
	var text strings.Builder
	ends := make([]int, 0, 2*len(credentials))
	for i, credential := range credentials {
		var token int
		if _, err := fmt.Sscanf(strings.TrimPrefix(credential, "sgt_"), "%d", &token); err != nil {
			b.Fatal(err)
		}
		scope := estateRecord(token).token.Scopes[0]
		text.WriteString("Bearer " + credential)
		ends = append(ends, text.Len())
		fmt.Fprintf(&text, "/%s/%s/things-0/%d", scope.API, scope.Versions[0], i)
		ends = append(ends, text.Len())
	}
	requests := make([]estateRequest, len(credentials))
	for i, from := 0, 0; i < len(requests); i++ {
		middle, end := ends[2*i], ends[2*i+1]
		requests[i] = estateRequest{text.String()[from:middle], text.String()[middle:end]}
		from = end
	}
	return requests
}

// BenchmarkDecision measures all of a decision, from the request's header to the
// verdict, over 245 operations. Compare it with BenchmarkGrant/floor. The request
// is in the processor's caches, as one that was just read is; the token is not.
func BenchmarkDecision(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) { benchmarkDecision(b, openEstate(b, size.tokens), size.tokens) })
	}
	b.Run("100k, one of several nodes", func(b *testing.B) { benchmarkDecision(b, joinedEstate(b, 100_000), 100_000) })
}

// joinedEstate opens a store of n tokens that follows other nodes.
func joinedEstate(b *testing.B, n int) *Store {
	b.Helper()
	path, m := newPath(b), newMemorySequencer()
	fillEstate(b, path, n)
	s, _ := joinNode(b, path, m)
	eventually(b, s, "it may decide", func() bool { return !s.Stale(m.now()) || m.grow(b) })
	r := s.replica.Load()
	r.lease.renew(testNow) // the benchmark's clock stands still
	return s
}

func benchmarkDecision(b *testing.B, s *Store, tokens int) {
	b.Helper()
	gateway := &proxy.Gateway{Source: estateSource{s}, Now: func() time.Time { return testNow }}
	requests := estateRequests(b, tokens)
	authorization := []string{""}
	r := &http.Request{
		Method: http.MethodGet, URL: new(url.URL), Host: "gateway.example", ProtoMajor: 1,
		Header: http.Header{"Accept": {"*/*"}, "User-Agent": {"benchmark"}, "Authorization": authorization},
	}
	var v proxy.Verdict
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		next := &requests[i%len(requests)]
		authorization[0], r.RequestURI, r.URL.Path = next.authorization, next.target, next.target
		gateway.JudgeInto(&v, r)
		if !v.Through {
			b.Fatalf("%s: %s", next.target, v.Decision.Reason)
		}
	}
}
