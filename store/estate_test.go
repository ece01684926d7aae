package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/scopegate/scopegate/scopes"
)

// An estate is a store with many tokens, made from a seed: 69 APIs with 245
// operations, accounts of 20 tokens each, a token with one to three scopes.
const (
	estateAPIs       = 69
	estateOperations = 245
	tokensPerAccount = 20
)

// estateCredential returns the credential of token i: 53 bytes, as generated ones have.
func estateCredential(i int) string { return fmt.Sprintf("sgt_%049d", i) }

func estateCatalog() []scopes.API {
	methods := []string{"GET", "POST", "PUT", "DELETE"}
	apis := make([]scopes.API, estateAPIs)
	for i := range apis {
		apis[i] = scopes.API{
			Name: fmt.Sprintf("api-%02d", i), Title: fmt.Sprintf("The API number %d", i),
			Versions:  []string{"v1", "v2", "v3"},
			Upstreams: scopes.Upstreams{All: []string{fmt.Sprintf("http://127.0.0.1:%d", 9000+i)}},
		}
	}
	for n := range estateOperations {
		api := &apis[n%estateAPIs]
		k := len(api.Operations)
		api.Operations = append(api.Operations, scopes.Operation{
			Name: fmt.Sprintf("op-%d", k), Methods: scopes.MethodOf(methods[k%len(methods)]),
			Path: fmt.Sprintf("/%s/{version}/things-%d/{id}", api.Name, k/len(methods)),
		})
	}
	return apis
}

// estateRecord returns token i, which the same i always makes alike.
func estateRecord(i int) *record {
	random := rand.New(rand.NewPCG(uint64(i), 1)) // the same each time
	id, _ := newID(newSeededBy(uint64(i)))
	rec := &record{
		id: id, account: fmt.Sprintf("account-%06d", i/tokensPerAccount),
		token: scopes.Token{
			Name: fmt.Sprintf("token-%02d", i%tokensPerAccount), Description: "one of many tokens of an estate",
			Contact: scopes.Contact{Name: "Data team", Email: "data@estate.example"},
			Expires: testNow.AddDate(1, 0, random.IntN(365)),
		},
		version: 1, revision: 1, created: testNow, updated: testNow,
	}
	for range 1 + random.IntN(3) {
		rec.token.Scopes = append(rec.token.Scopes, estateScope(random))
	}
	rec.credentials = []credential{{digest: scopes.DigestOf(estateCredential(i)), created: testNow, lastFour: "0000"}}
	return rec
}

func estateScope(random *rand.Rand) scopes.Scope {
	s := scopes.Scope{
		API:      fmt.Sprintf("api-%02d", random.IntN(estateAPIs)),
		Versions: []string{fmt.Sprintf("v%d", 1+random.IntN(3))},
		Methods:  scopes.MethodOf("GET"),
	}
	if random.IntN(2) == 0 {
		s.Methods |= scopes.MethodOf("POST")
	}
	if random.IntN(4) == 0 {
		s.Operations = []string{"op-0", "op-1"}
	}
	return s
}

// fillEstate makes a store of n tokens at path, past Apply: it only writes records.
func fillEstate(tb testing.TB, path string, n int) {
	tb.Helper()
	if err := newStore(path, Options{}).create(); err != nil {
		tb.Fatal(err)
	}
	db, err := bolt.Open(path, fileMode, &bolt.Options{FreelistType: bolt.FreelistMapType})
	if err != nil {
		tb.Fatal(err)
	}
	records := make([]*record, n)
	for i := range records {
		records[i] = estateRecord(i)
	}
	put := func(name []byte, from, to int, pair func(i int) (string, []byte)) error {
		return db.Update(func(tx *bolt.Tx) error {
			bucket := tx.Bucket(name)
			bucket.FillPercent = 0.9 // the keys come in their order
			for i := from; i < to; i++ {
				key, value := pair(i)
				if err := bucket.Put([]byte(key), value); err != nil {
					return err
				}
			}
			return nil
		})
	}
	inParts := func(name []byte, count int, pair func(i int) (string, []byte)) {
		const part = 50_000
		for from := 0; from < count; from += part {
			if err := put(name, from, min(from+part, count), pair); err != nil {
				tb.Fatal(err)
			}
		}
	}
	apis := estateCatalog()
	inParts(bucketAPIs, len(apis), func(i int) (string, []byte) { return apis[i].Name, encodeAPI(&apis[i], "") })
	inParts(bucketNames, n, func(i int) (string, []byte) { return records[i].ref(), []byte(records[i].id) })
	inParts(bucketAccounts, (n+tokensPerAccount-1)/tokensPerAccount, func(i int) (string, []byte) {
		a := account{name: fmt.Sprintf("account-%06d", i), active: min(tokensPerAccount, n-i*tokensPerAccount), created: testNow}
		return a.name, a.encode()
	})
	slices.SortFunc(records, func(a, b *record) int { return strings.Compare(a.id, b.id) })
	inParts(bucketTokens, n, func(i int) (string, []byte) { return records[i].id, records[i].encode() })
	if err := db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketTokens).SetSequence(uint64(n)) }); err != nil {
		tb.Fatal(err)
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
}

// estates are the stores that benchmarks share, by their number of tokens.
var estates = struct {
	sync.Mutex
	folder string // of TestMain
	paths  map[int]string
}{paths: make(map[int]string)}

// estatePath returns a store of n tokens that others use too: what changes it
// takes a copy.
func estatePath(tb testing.TB, n int) string {
	tb.Helper()
	estates.Lock()
	defer estates.Unlock()
	if path := estates.paths[n]; path != "" {
		return path
	}
	path := filepath.Join(estates.folder, fmt.Sprintf("estate-%d.db", n))
	fillEstate(tb, path, n)
	estates.paths[n] = path
	return path
}

func TestMain(m *testing.M) {
	if status, ok := runChild(); ok {
		os.Exit(status)
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	folder, err := os.MkdirTemp("", "scopegate-store-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	estates.folder = folder
	return m.Run()
}
