package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/scopegate/scopegate/scopes"
)

// drawRecords returns the records of some tokens in all states, as a cluster can have them.
// Some have a name that others have or had too.
func drawRecords(t *testing.T, n int) records {
	t.Helper()
	h := &history{random: rand.New(rand.NewPCG(1, 2)), name: "drawn"}
	for i := range n {
		digit := idDigits[h.random.IntN(len(idDigits))]
		h.tokens = append(h.tokens, &record{
			id: fmt.Sprintf("tok_%c%021d", digit, i), account: "acme", created: testNow.AddDate(0, 0, h.random.IntN(3)), version: 1,
			token:       scopes.Token{Name: fmt.Sprint("t", h.random.IntN(n)), Access: scopes.ReadOnly, Description: "d"},
			credentials: []credential{{digest: scopes.DigestOf(fmt.Sprint("credential ", i)), created: testNow}},
		})
	}
	for range n / 2 {
		h.step()
	}
	return after(t, nil, h.records())
}

// newFollower returns a store and a replica of it that is not running.
func newFollower(t *testing.T) (*Store, *replica) {
	t.Helper()
	return newFollowerAt(t, newPath(t))
}

func newFollowerAt(t *testing.T, path string) (*Store, *replica) {
	t.Helper()
	s := openStore(t, path, testOptions())
	r, err := newReplica(s, clusterOptions(newMemorySequencer().node()).Cluster)
	if err == nil {
		err = r.open()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

// install has a store take over some records, as if they were all or some of many.
func install(t *testing.T, s *Store, r *replica, puts records, all bool) error {
	t.Helper()
	if err := s.lock(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer s.unlock()
	return r.install(&installation{puts: puts, reload: all, standing: standing{Head: Head{Position: Position{Revision: 7}}}})
}

// contents returns all that a store has, bucket by bucket.
func contents(t *testing.T, s *Store) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := s.view(func(r reader) error {
		return r.tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			all[string(name)] = fmt.Sprint(b.Sequence())
			return b.ForEach(func(key, value []byte) error {
				all[fmt.Sprintf("%s %q", name, key)] = fmt.Sprintf("%x", value)
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{"state", "node"} { // the ids of the store and of the node
		delete(all, fmt.Sprintf("%s %q", bucketMeta, own))
	}
	return all
}

// revocationsOf returns what a store's revocations log says of each token.
func revocationsOf(t *testing.T, s *Store) map[string]*revocation {
	t.Helper()
	log, err := readLog(s.path + logSuffix)
	if err != nil {
		t.Fatal(err)
	}
	return foldRevocations(log.lines, 0)
}

// A store that is filled has what one has that got the same records one after the other.
func TestFill(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"in one part": 500, "in parts": 12_000, "none": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := drawRecords(t, n)
			filled, r := newFollower(t)
			if err := install(t, filled, r, all, true); err != nil {
				t.Fatal(err)
			}
			stepped, other := newFollower(t)
			if err := install(t, stepped, other, all, false); err != nil {
				t.Fatal(err)
			}
			got, want := contents(t, filled), contents(t, stepped)
			for key := range want {
				if got[key] != want[key] {
					t.Errorf("%s: %s, want %s", key, got[key], want[key])
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d entries, want %d", len(got), len(want))
			}
			if a, b := revocationsOf(t, filled), revocationsOf(t, stepped); !reflect.DeepEqual(a, b) || n > 0 && len(a) == 0 {
				t.Errorf("the revocations log tells of %d tokens, want %d, each alike", len(a), len(b))
			}
			if filled.Snapshot().Counts() != stepped.Snapshot().Counts() {
				t.Errorf("counts %+v, want %+v", filled.Snapshot().Counts(), stepped.Snapshot().Counts())
			}
		})
	}
}

// One record that cannot be read is enough for nothing to be taken over.
func TestFillWithUnreadable(t *testing.T) {
	t.Parallel()
	whole := drawRecords(t, 100)
	keys := slices.Sorted(maps.Keys(whole))
	last := keys[len(keys)-1]
	newer := bytes.Clone(whole[last])
	newer[0] = 99
	for name, bad := range map[string]struct {
		key   string
		value []byte
	}{
		"cut off":        {last, whole[last][:20]},
		"a flipped bit":  {last, append(bytes.Clone(whole[last][:len(whole[last])-1]), whole[last][len(whole[last])-1]^1)},
		"another's":      {last, whole[keys[1]]},
		"a newer one":    {last, seal(last[1:], newer[:len(newer)-checksumBytes])},
		"an id too long": {last + "x", reseal(t, whole, last, last+"x")},
		"the account":    {keys[0], []byte("nonsense")},
		"an unknown key": {"zsomething", []byte("x")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := maps.Clone(whole)
			all[bad.key] = bad.value
			s, r := newFollower(t)
			before := contents(t, s)
			err := install(t, s, r, all, true)
			if !errors.Is(err, errForeign) && !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), bad.key[1:]) {
				t.Errorf("got %v, want an error that names the record", err)
			}
			if !maps.Equal(contents(t, s), before) || s.Snapshot().Counts() != (Counts{}) {
				t.Error("some of it was taken over")
			}
			if err := install(t, s, r, whole, true); err != nil {
				t.Errorf("without it: %v", err)
			}
		})
	}
}

// reseal returns a record as it is under another key.
func reseal(t *testing.T, all records, key, under string) []byte {
	t.Helper()
	rec, err := decodeRecord([]byte(key[1:]), all[key])
	if err != nil {
		t.Fatal(err)
	}
	rec.id = under[1:]
	return rec.encode()
}
