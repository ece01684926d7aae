package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// history draws one way that some tokens may have gone.
type history struct {
	random *rand.Rand
	name   string
	tokens []*record
	next   uint64 // for what is random in a store
}

func (h *history) unique() (id [8]byte) {
	h.next++
	binary.BigEndian.PutUint64(id[:], h.next)
	copy(id[:], h.name)
	return id
}

// step changes one token as an operator can.
func (h *history) step() {
	at := h.random.IntN(len(h.tokens))
	r := h.tokens[at].clone()
	if r.terminal {
		return
	}
	r.version++
	switch h.random.IntN(6) {
	case 0:
		r.delete()
	case 1:
		r.token.Inactive, r.held = true, true
		r.noteDeactivation(h.unique())
	case 2:
		r.token.Inactive, r.held = false, false
	case 3:
		for _, d := range r.digests() {
			r.kill(d)
		}
		r.credentials = append(r.credentials, credential{digest: h.credential(), created: testNow})
	case 4:
		r.token.Description = fmt.Sprint("changed in ", h.name, h.next)
	case 5:
		for _, d := range r.digests() {
			r.endAt(d, testNow.AddDate(0, 0, 1+h.random.IntN(3)))
		}
	}
	h.tokens[at] = r
}

// credential returns the digest of a new credential, or of one that another history may
// import as well.
func (h *history) credential() scopes.Digest {
	imported := scopes.DigestOf(fmt.Sprint("a credential from elsewhere ", h.random.IntN(3)))
	used := slices.ContainsFunc(h.tokens, func(r *record) bool {
		return slices.Contains(r.digests(), imported) || slices.Contains(r.dead, imported)
	})
	if used || h.random.IntN(2) == 0 {
		return scopes.DigestOf(fmt.Sprintf("a credential of %s %x", h.name, h.unique()))
	}
	return imported
}

// make adds a token, perhaps under a name that another history uses too.
func (h *history) make() {
	h.next++
	r := &record{
		id: fmt.Sprintf("tok_%s%021d", h.name[:1], h.next), account: "acme", created: testNow.AddDate(0, 0, h.random.IntN(2)), version: 1,
		token:       scopes.Token{Name: fmt.Sprint("t", h.random.IntN(4)), Access: scopes.ReadOnly, Description: "d"},
		credentials: []credential{{digest: h.credential(), created: testNow}},
	}
	if h.random.IntN(3) == 0 {
		r.token.Limits, r.token.Shadow, r.token.Keep.All = testLimits(), orders("GET"), true
	}
	if !slices.ContainsFunc(h.tokens, func(other *record) bool { return other.ref() == r.ref() && !other.terminal }) {
		h.tokens = append(h.tokens, r)
	}
}

func (h *history) records() records {
	all := records{string(keyAccount) + "acme": (&account{name: "acme", created: testNow}).encode()}
	for _, r := range h.tokens {
		all[string(keyToken)+r.id] = r.encode()
	}
	return all
}

// after returns what remote is after a join.
func after(t *testing.T, remote, local records) records {
	t.Helper()
	puts, err := join(remote, local)
	if err != nil {
		t.Fatal(err)
	}
	all := make(records)
	maps.Copy(all, remote)
	for key, value := range puts {
		if all[key] = value; value == nil {
			delete(all, key)
		}
	}
	return all
}

func sameState(a, b records) bool {
	return maps.EqualFunc(a, b, bytes.Equal)
}

// Whatever two histories had before they went apart and did since, their join does not
// depend on who makes it, changes nothing the second time, and gives back nothing that
// either has taken away. SCOPEGATE_SOAK=1 tries many more.
func TestJoinProperties(t *testing.T) {
	t.Parallel()
	seeds := uint64(3_000)
	if os.Getenv("SCOPEGATE_SOAK") != "" {
		seeds = 300_000
	}
	for seed := range seeds {
		random := rand.New(rand.NewPCG(seed, 0))
		common := &history{random: random, name: "common"}
		for range 1 + random.IntN(2) {
			common.make()
		}
		for range random.IntN(4) {
			common.step()
		}
		one := &history{random: random, name: "one", tokens: slices.Clone(common.tokens)}
		two := &history{random: random, name: "two", tokens: slices.Clone(common.tokens)}
		for _, h := range []*history{one, two} {
			for range random.IntN(8) {
				h.step()
			}
			if random.IntN(2) == 1 {
				h.make()
			}
		}
		a, b := one.records(), two.records()
		joined := after(t, a, b)
		if other := after(t, b, a); !sameState(joined, other) {
			t.Errorf("the order counts:\n%v\n%v", describeRecords(joined), describeRecords(other))
		}
		for _, part := range []records{a, b, joined} {
			if again := after(t, joined, part); !sameState(joined, again) {
				t.Errorf("joined once more:\n%v\n%v", describeRecords(joined), describeRecords(again))
			}
		}
		checkTaken(t, joined, one.tokens, two.tokens)
		checkTaken(t, joined, two.tokens, one.tokens)
		if t.Failed() {
			t.Fatalf("seed %d: a\n%vb\n%vjoined\n%v", seed, describeRecords(a), describeRecords(b), describeRecords(joined))
		}
	}
}

// checkTaken sees to it that nothing comes back that one history has taken away.
func checkTaken(t *testing.T, joined records, here, there []*record) {
	t.Helper()
	used, named := make(map[scopes.Digest]bool), make(map[string]bool)
	byID := make(map[string]*record)
	for key, value := range joined {
		if key[0] != keyToken {
			continue
		}
		r, err := decodeRecord([]byte(key[1:]), value)
		if err != nil {
			t.Fatal(err)
		}
		byID[r.id] = r
		if active := !r.terminal && !r.token.Inactive; active && named[r.ref()] {
			t.Errorf("two active tokens are called %s", r.ref())
		} else if active {
			named[r.ref()] = true
		}
		for _, d := range r.digests() {
			if used[d] {
				t.Error("two tokens have one credential")
			}
			used[d] = true
		}
	}
	for _, r := range here {
		now := byID[r.id]
		if now == nil || r.terminal && !now.terminal {
			t.Errorf("token %s came back", r.ref())
			continue
		}
		for _, d := range r.dead {
			if used[d] {
				t.Errorf("a dead credential of %s came back", r.ref())
			}
		}
		for _, c := range r.credentials {
			for _, left := range now.credentials {
				if left.digest == c.digest && !c.ends.IsZero() && (left.ends.IsZero() || left.ends.After(c.ends)) {
					t.Errorf("a credential of %s lives longer than until %s", r.ref(), c.ends)
				}
			}
		}
		at := slices.IndexFunc(there, func(other *record) bool { return other.id == r.id })
		seen := at >= 0 && slices.Contains(there[at].seen, r.lastDeactivation())
		if r.token.Inactive && !now.token.Inactive && !seen {
			t.Errorf("token %s is active again, by a history that has not seen its deactivation", r.ref())
		}
	}
}

func describeRecords(all records) string {
	var b bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if r, err := decodeRecord([]byte(key[1:]), all[key]); key[0] == keyToken && err == nil {
			fmt.Fprintf(&b, "%s %s: %+v\n", key, r.ref(), *r)
		} else {
			fmt.Fprintf(&b, "%s: %x\n", key, all[key])
		}
	}
	return b.String()
}
