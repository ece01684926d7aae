package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// sizes are the numbers of tokens that the index is measured at.
var sizes = []struct {
	name   string
	tokens int
}{{"1k", 1_000}, {"100k", 100_000}, {"1M", 1_000_000}}

// openEstate opens a store of n tokens that is not to be changed.
func openEstate(b *testing.B, n int) *Store {
	b.Helper()
	s, err := Open(estatePath(b, n), testOptions())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// drawn returns credentials at random: of tokens that exist, or of none.
func drawn(n int, hit bool) []string {
	random := rand.New(rand.NewPCG(1, 2)) // the same each time
	credentials := make([]string, 1<<16)
	for i := range credentials {
		at := random.IntN(n)
		if !hit {
			at += n
		}
		credentials[i] = estateCredential(at)
	}
	return credentials
}

// BenchmarkGrant measures the way from a credential to its grant: one SHA-256, the
// lookup, and a look at the rules. The index is to cost no more than the read of
// one random cache line, which BenchmarkGrant/floor measures with the SHA-256.
func BenchmarkGrant(b *testing.B) {
	for _, size := range sizes {
		for _, hit := range []bool{true, false} {
			kind := "miss"
			if hit {
				kind = "hit"
			}
			b.Run(kind+"/"+size.name, func(b *testing.B) {
				snapshot := openEstate(b, size.tokens).Snapshot()
				credentials := drawn(size.tokens, hit)
				b.ReportAllocs()
				i, found := 0, 0
				for b.Loop() {
					grant := snapshot.Grant(scopes.DigestOf(credentials[i&(len(credentials)-1)]))
					for range grant.Rules.All() {
						found++
					}
					i++
				}
				if (found > 0) != hit {
					b.Fatalf("found %d rules", found)
				}
			})
		}
		b.Run("floor/"+size.name, func(b *testing.B) {
			lines := make([][64]byte, size.tokens)
			for i := range lines {
				lines[i][0] = byte(i)
			}
			credentials := drawn(size.tokens, true)
			b.ReportAllocs()
			i, sum := 0, 0
			for b.Loop() {
				digest := scopes.DigestOf(credentials[i&(len(credentials)-1)])
				sum += int(lines[binary.LittleEndian.Uint64(digest[:])%uint64(len(lines))][0])
				i++
			}
			runtime.KeepAlive(sum)
		})
	}
}

// BenchmarkSHA256 measures the hash alone, of a credential's 53 bytes.
func BenchmarkSHA256(b *testing.B) {
	credential := []byte(estateCredential(1))
	b.ReportAllocs()
	for b.Loop() {
		_ = sha256.Sum256(credential)
	}
}

// BenchmarkOpen1M measures a boot with the file in the page cache, and the memory
// that an open store keeps, everything counted.
func BenchmarkOpen1M(b *testing.B) {
	path := estatePath(b, 1_000_000)
	b.ReportAllocs()
	var perToken float64
	for b.Loop() {
		b.StopTimer()
		before := heap()
		b.StartTimer()
		s, err := Open(path, testOptions())
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
		perToken = float64(heap()-before) / 1_000_000
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(perToken, "B/token")
}

// heap returns the bytes that are in use after everything else was collected.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// BenchmarkChange1M measures a change among a million tokens, from the call to the
// published snapshot: an update without fsync, a revocation with all its fsyncs, and
// beside them what one fsync costs.
func BenchmarkChange1M(b *testing.B) {
	const tokens = 1_000_000
	path := copyEstate(b, tokens)
	random := rand.New(rand.NewPCG(3, 4)) // the same each time
	refs := random.Perm(tokens)
	next := func() string {
		ref := estateRecord(refs[0]).ref()
		refs = refs[1:]
		return ref
	}
	s, err := Open(path, testOptions())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	b.Run("update/no-fsync", func(b *testing.B) {
		s.db.NoSync = true // what a change costs without its wait for the disk
		defer func() { s.db.NoSync = false }()
		reportQuantiles(b, func(ref string) error { return describe(s, ref) }, next)
	})
	b.Run("revocation", func(b *testing.B) {
		reportQuantiles(b, func(ref string) error {
			_, err := s.Deactivate(context.Background(), tester, ref)
			return err
		}, next)
	})
	b.Run("fsync", func(b *testing.B) {
		file, err := os.Create(filepath.Join(b.TempDir(), "file"))
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		page := make([]byte, os.Getpagesize())
		reportQuantiles(b, func(string) error {
			_, err := file.WriteAt(page, 0)
			return errors.Join(err, file.Sync())
		}, func() string { return "" })
	})
}

// describe changes a token's description.
func describe(s *Store, ref string) error {
	return s.change(context.Background(), tester, func(c *change) error {
		old, err := c.find(ref)
		if err != nil {
			return err
		}
		now := old.clone()
		now.token.Description += "!"
		return c.putToken(old, now, "update")
	})
}

// reportQuantiles runs do with what next returns, and reports its median and its
// 99th percentile.
func reportQuantiles(b *testing.B, do func(string) error, next func() string) {
	b.Helper()
	var took []time.Duration
	for b.Loop() {
		ref := next()
		start := time.Now()
		if err := do(ref); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

func copyEstate(b *testing.B, n int) string {
	b.Helper()
	from, to := estatePath(b, n), filepath.Join(b.TempDir(), "copy.db")
	for _, suffix := range []string{"", logSuffix} {
		data, err := os.ReadFile(from + suffix)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, data, fileMode); err != nil {
			b.Fatal(err)
		}
	}
	return to
}
