package scopes

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"
)

// What is written is what was read: of the files that are valid, and of random ones.
func TestMarshalReadsBack(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/files/valid/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no valid files: %v", err)
	}
	for _, path := range append(paths, "../scopes.example.yaml", "../testdata/impact-scopes.yaml") {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Read("f", src, testNow)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		readsBack(t, path, f)
	}
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		readsBack(t, fmt.Sprintf("seed %d", seed), randomFile(random))
	}
}

// readsBack holds that a file, written and read, is the same but for the places of
// its tests.
func readsBack(t *testing.T, what string, f *File) {
	t.Helper()
	written := f.Marshal()
	got, err := Read("f", written, testNow)
	if err != nil {
		t.Fatalf("%s: %v\n%s", what, err, written)
	}
	if again := got.Marshal(); !bytes.Equal(again, written) {
		t.Fatalf("%s: written twice, and not alike:\n%s\n%s", what, written, again)
	}
	if a, b := unplaced(f), unplaced(got); !reflect.DeepEqual(a, b) {
		t.Fatalf("%s: got\n%+v\nwant\n%+v\nfrom\n%s", what, b, a, written)
	}
}

// unplaced is a file without what does not outlive being written.
func unplaced(f *File) File {
	c := *f
	c.Name, c.Warnings = "", nil
	c.Tests = slices.Clone(f.Tests)
	for i := range c.Tests {
		c.Tests[i].File, c.Tests[i].Line, c.Tests[i].Column = "", 0, 0
	}
	return c
}

// randomFile returns a valid file. Its texts are such as need care.
func randomFile(r *rand.Rand) *File {
	f := &File{Name: "f", Owner: pick(r, "", "team", "007", "null")}
	for i := range 1 + r.IntN(3) {
		f.APIs = append(f.APIs, randomAPI(r, i))
	}
	for i := range r.IntN(4) {
		a := Account{Name: fmt.Sprintf("%s%d", pick(r, "acme", "7", "no", "x-._"), i), Title: randomText(r, false)}
		for j := range r.IntN(3) {
			a.IDs = append(a.IDs, fmt.Sprintf("%s %d-%d", pick(r, "A", "ä", "#", "\"", "- "), i, j))
		}
		a.MaxActiveTokens = r.IntN(2) * (5 + r.IntN(50))
		for j := range r.IntN(5) {
			a.Tokens = append(a.Tokens, randomToken(r, f.APIs, fmt.Sprintf("%s%d", pick(r, "t", "0", "true", "1e"), j)))
			f.Tests = append(f.Tests, Test{
				Token: a.Name + "/" + a.Tokens[j].Name, Method: pick(r, "GET", "FOO"), URL: pick(r, "/a?b='c'&d=%20#:", "https://h/x"),
				Expect: pick(r, Allowed, MethodNotGranted),
			})
		}
		f.Accounts = append(f.Accounts, a)
	}
	f.Tests = append(f.Tests, Test{
		Method: "GET", URL: "/", Headers: map[string][]string{"Api-Version": {"14", ""}, "X": {randomText(r, true)}},
		From: netip.MustParseAddr(pick(r, "::1", "192.0.2.1")), At: testNow, Expect: NoCredential,
	})
	return f
}

func randomAPI(r *rand.Rand, i int) API {
	a := API{
		Name: fmt.Sprintf("%s%d", pick(r, "api", "00", "off"), i), Title: randomText(r, false), FoldCase: r.IntN(2) == 0, EncodedSlash: r.IntN(2) == 0,
		Operations: []Operation{
			{Name: pick(r, "list", "1", "a/b", "y"), Methods: pick(r, MethodOf("GET"), MethodOf("GET")|MethodOf("PURGE"), AllMethods), Path: fmt.Sprintf("/a%d", i)},
			{Name: "other", Methods: MethodOf("POST"), Path: fmt.Sprintf("/a%d/{id}/%s/**", i, pick(r, "x", "ü:'", "a b", "$(x)"))},
		},
	}
	if r.IntN(2) == 0 {
		a.Hosts = []string{"api.example.com", "[2001:db8::1]:8080"}
	}
	switch r.IntN(3) {
	case 0:
		a.Upstreams.All = []string{"http://127.0.0.1:9000", "https://[::1]:9000"}
	case 1:
		a.Versions = []string{"1", "1.10", "v2", "true"}[:1+r.IntN(4)]
		a.VersionFrom = []VersionPlace{{InHeader, "Api-Version"}, {InQuery, "v"}}
		a.DefaultVersion = a.Versions[0]
		a.Upstreams.ByVersion = make(map[string][]string)
		for _, v := range a.Versions {
			a.Upstreams.ByVersion[v] = []string{"http://h:1"}
			if r.IntN(2) == 0 {
				a.Deprecated = append(a.Deprecated, randomDeprecation(r, v))
			}
		}
		sortDeprecations(a.Deprecated)
	}
	if r.IntN(2) == 0 {
		a.AccountParam = "id"
	}
	return a
}

func randomDeprecation(r *rand.Rand, version string) Deprecation {
	return Deprecation{
		Version: version,
		Sunset:  pick(r, testNow, time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 4, 1, 0, 0, 0, 5, time.UTC)),
		Since:   pick(r, time.Time{}, testNow, testNow.Truncate(24*time.Hour)),
		Link:    pick(r, "", "https://a.example", "http://[::1]:8/x?y='z',[w]#a:b%20;*&!"),
	}
}

func randomToken(r *rand.Rand, apis []API, name string) Token {
	t := Token{
		Name: name, Description: randomText(r, true) + ".", Contact: Contact{Name: randomText(r, false), Email: pick(r, "a@b", "o'x+y#z@b.example")},
		Environment: pick(r, "", "test"), Inactive: r.IntN(2) == 0, RotateEvery: pick(r, 0, time.Hour, 90*24*time.Hour, 90*time.Second),
		Expires: pick(r, time.Time{}, testNow, time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 4, 1, 0, 0, 0, 5, time.UTC)),
	}
	if r.IntN(3) == 0 {
		t.Sources = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::1/128")}
	}
	if r.IntN(4) == 0 {
		t.Credential = DigestOf(fmt.Sprint(r.Uint64()))
	}
	t.Limits = randomLimits(r, apis)
	if r.IntN(3) == 0 {
		t.Shadow = randomScopes(r, apis)
	}
	if r.IntN(4) == 0 {
		t.Access = pick(r, ReadOnly, ReadWrite)
		t.Keep.All = r.IntN(4) == 0
		return t
	}
	t.Scopes = randomScopes(r, apis)
	if api := apis[slices.IndexFunc(apis, func(a API) bool { return a.Name == t.Scopes[0].API })]; len(api.Versions) > 0 {
		t.Version = api.Versions[len(api.Versions)-1]
	}
	switch r.IntN(4) {
	case 0:
		t.Keep.All = true
	case 1:
		t.Keep.Scopes = slices.Clone(t.Scopes[:1])
	}
	return t
}

func randomScopes(r *rand.Rand, apis []API) []Scope {
	var list []Scope
	for range 1 + r.IntN(2) {
		api := &apis[r.IntN(len(apis))]
		s := Scope{API: api.Name, Methods: pick(r, MethodOf("GET"), AllMethods, MethodOf("POST")|MethodOf("HEAD"))}
		if n := len(api.Versions); n > 0 {
			s.Versions = slices.Clone(api.Versions[:1+r.IntN(n)])
		}
		if r.IntN(2) == 0 {
			s.Operations = []string{api.Operations[1].Name, api.Operations[0].Name}
		}
		list = append(list, s)
	}
	return list
}

// randomLimits returns limits for all APIs together and for some APIs.
func randomLimits(r *rand.Rand, apis []API) []Limit {
	names := []string{""}
	for i := range apis {
		names = append(names, apis[i].Name)
	}
	slices.Sort(names)
	var limits []Limit
	for _, name := range names {
		l := Limit{
			API:   name,
			Rate:  pick(r, Rate{}, Rate{10, time.Second, 10}, Rate{maxRequests, time.Hour, maxBurst}, Rate{2, time.Minute, 5}),
			Quota: pick(r, Quota{}, Quota{1, PerHour}, Quota{100_000, PerDay}, Quota{maxRequests, PerMonth}),
		}
		if r.IntN(2) == 0 && (!l.Rate.IsZero() || !l.Quota.IsZero()) {
			limits = append(limits, l)
		}
	}
	return limits
}

// randomText returns text that a careless writer gets wrong.
func randomText(r *rand.Rand, lines bool) string {
	texts := []string{
		"", "plain words", "yes", "~", "a: b", "a #b", "- a", "'", "\"", "\\", "{a}", "[a", "*a", "&a", "!a", "%a", "@a", "`a", "|", ">", "?",
		"ünï", "😀", "0x1F", "1_000", "2027-04-01", "a, b", "it's",
	}
	if lines {
		texts = append(texts, "a\nb", "a\n\n b: c\n#d")
	}
	return texts[r.IntN(len(texts))]
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }
