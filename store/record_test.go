package store

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// fullRecord has something in every field.
func fullRecord() *record {
	declared := testToken("a")
	declared.Description = "as it was declared"
	return &record{
		id: "tok_0000000000000000000001", account: "acme", held: true, owner: "team",
		token: scopes.Token{
			Name: "a", Description: "d", Contact: scopes.Contact{Name: "n", Email: "e"}, Environment: "test",
			Inactive: true, Version: "v1", Expires: testNow, RotateEvery: 90 * 24 * time.Hour,
			Sources: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
			Scopes: []scopes.Scope{
				{API: "orders", Versions: []string{"v1", "v2"}, Methods: scopes.AllMethods, Operations: []string{"list", "one"}},
				{API: "plain", Methods: scopes.ReadMethods},
			},
		},
		credentials: []credential{
			{digest: scopes.DigestOf("1"), ends: testNow, created: testNow, lastFour: "abcd"},
			{digest: scopes.DigestOf("2"), created: testNow},
		},
		dead:     []scopes.Digest{scopes.DigestOf("3")},
		declared: &declared,
		version:  300, deactivations: 2, revision: 1 << 40, created: testNow, updated: testNow,
	}
}

// newestRecord is fullRecord with what only the newest version of a record has.
func newestRecord() *record {
	rec := fullRecord()
	rec.token.Shadow = []scopes.Scope{{API: "orders", Versions: []string{"v2"}, Methods: scopes.ReadMethods}, {API: "plain", Methods: scopes.AllMethods}}
	rec.token.Keep.Scopes = rec.token.Scopes[1:]
	rec.token.Limits = testLimits()
	return rec
}

func testLimits() []scopes.Limit {
	return []scopes.Limit{
		{Rate: scopes.Rate{Requests: 100, Per: time.Second, Burst: 200}, Quota: scopes.Quota{Requests: 100_000, Per: scopes.PerDay}},
		{API: "ads", Quota: scopes.Quota{Requests: 1_000_000_000, Per: scopes.PerMonth}},
		{API: "orders", Rate: scopes.Rate{Requests: 1_000_000_000, Per: time.Hour, Burst: 1_000_000}},
	}
}

func testRecords() map[string]*record {
	full, same, terminal := fullRecord(), fullRecord(), fullRecord()
	declared := same.token
	same.declared = &declared
	terminal.delete()
	newest, newestSame, newestDeclared := newestRecord(), newestRecord(), fullRecord()
	asItIs, was := newestSame.token, newestRecord().token
	newestSame.declared = &asItIs
	was.Keep = scopes.Keep{All: true}
	newestDeclared.declared = &was
	return map[string]*record{
		"full": full, "declared as it is": same, "deleted": terminal,
		"newest": newest, "newest, declared as it is": newestSame, "newest, as it was declared": newestDeclared,
		"empty":  {id: "tok_0000000000000000000002"},
		"legacy": {id: "tok_0000000000000000000003", account: "b", token: scopes.Token{Name: "old", Access: scopes.ReadWrite}},
	}
}

func TestRecordsComeBack(t *testing.T) {
	t.Parallel()
	for name, want := range testRecords() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := decodeRecord([]byte(want.id), want.encode())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// Every flipped bit is found, and so is a record under another's key.
func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	for _, rec := range []*record{fullRecord(), newestRecord()} {
		damageIsFound(t, rec)
	}
}

func damageIsFound(t *testing.T, rec *record) {
	t.Helper()
	value := rec.encode()
	for i := range value {
		for bit := range 8 {
			damaged := bytes.Clone(value)
			damaged[i] ^= 1 << bit
			if got, err := decodeRecord([]byte(rec.id), damaged); err == nil {
				t.Fatalf("bit %d of byte %d: got %+v, want an error", bit, i, got)
			}
		}
		if _, err := decodeRecord([]byte(rec.id), value[:i]); err == nil {
			t.Fatalf("cut off after %d bytes: got no error", i)
		}
	}
	if _, err := decodeRecord([]byte("tok_0000000000000000000009"), value); !errors.Is(err, errChecksum) {
		t.Errorf("under another key: got %v, want errChecksum", err)
	}
}

func TestRecordsOfOtherVersions(t *testing.T) {
	t.Parallel()
	key := "tok_0000000000000000000001"
	for _, test := range []struct {
		version byte
		want    error
	}{{0, errFields}, {plainVersion, errFields}, {tokenVersion, errFields}, {tokenVersion + 1, errVersion}, {255, errVersion}} {
		if _, err := decodeRecord([]byte(key), seal(key, []byte{test.version})); !errors.Is(err, test.want) {
			t.Errorf("version %d: got %v, want %v", test.version, err, test.want)
		}
	}
}

// secondVersion is fullRecord with a deactivation, as it was written before there was a
// third version.
const secondVersion = "AgYAgKe5rg0EYWNtZQFhAnYxAmuGsnP/NPzhnWuATv9aP1dHraTqoi8dScAeUt23h1tLgKe5rg3Uc146Jl4W7uA/WXGLm10DAZwH2LbFH5DaOmZu7BOrNQAYBAoAAAAIECABDbgAAAAAAAAAAAAAAAAgKB0Gb3JkZXJz/////wsCAnYxAnYyAgRsaXN0A29uZQkFcGxhaW4DAACAp7muDQRhYmNkgKe5rg0AAWQBbgFlBHRlc3SAgLDc4o7QG6wCAoCAgICAIICnua4NgKe5rg0BTgdAhWK+24tgzgXB3s/jrRa3IjCWfeAfZAt+Rym0n84CPAAAAAAADg0Gb3JkZXJzAQECdjEAEmFzIGl0IHdhcyBkZWNsYXJlZAARZGF0YUBhY21lLmV4YW1wbGUAAAR0ZWFtAdPQkp8Yd9J2+kJJP0XDVJA9pX2ALDapc2azj++4q4VRAQECAwAAAAAALaVyVg=="

// A record of the second version is read, and written as it was: nodes that do not know
// the third can read it, as long as its token uses nothing of that.
func TestTheSecondVersionStays(t *testing.T) {
	t.Parallel()
	value, err := base64.StdEncoding.DecodeString(secondVersion)
	if err != nil {
		t.Fatal(err)
	}
	want := fullRecord()
	want.seen = []deactivationID{{1, 2, 3}}
	got, err := decodeRecord([]byte(want.id), value)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
	if again := got.encode(); !bytes.Equal(again, value) {
		t.Errorf("it is written as\n%x\nwant\n%x", again, value)
	}
	for name, change := range map[string]func(*record){
		"shadow": func(r *record) { r.token.Shadow = orders("GET") },
		"keep":   func(r *record) { r.token.Keep.All = true },
		"limits": func(r *record) { r.token.Limits = testLimits() },
		"declared": func(r *record) {
			declared := *r.declared
			declared.Limits = testLimits()
			r.declared = &declared
		},
	} {
		changed := got.clone()
		change(changed)
		if version := changed.encode()[0]; version != tokenVersion {
			t.Errorf("with %s: written as version %d, want %d", name, version, tokenVersion)
		}
	}
}

// Limits that no scope file can have are no limits of a record: its token is refused.
func TestDamagedLimits(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string][]string{
		"no bound":  {"", "", ""},
		"no rate":   {"", "many", ""},
		"no quota":  {"", "", "100/s"},
		"too much":  {"", "1000000001/s", ""},
		"unsorted":  {"orders", "1/s", "", "ads", "1/s", ""},
		"twice":     {"ads", "1/s", "", "ads", "", "1/day"},
		"cut short": {"ads", "1/s"},
	} {
		var block []byte
		for _, text := range texts {
			block = appendString(block, text)
		}
		d := decoder{rest: block}
		if got := d.limits(); d.end() == nil || got != nil {
			t.Errorf("%s: got %+v, want none and an error", name, got)
		}
	}
}

func TestAPIsComeBack(t *testing.T) {
	t.Parallel()
	for i := range testFile().APIs {
		want := &testFile().APIs[i]
		got, owner, err := decodeAPI([]byte(want.Name), encodeAPI(want, "team"))
		if err != nil || owner != "team" || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	deprecated := testFile().APIs[0]
	deprecated.Deprecated = []scopes.Deprecation{
		{Version: "v1", Sunset: testNow.Truncate(time.Second), Since: testNow.Add(-time.Hour), Link: "https://a.example"}, {Version: "v2", Sunset: testNow},
	}
	got, owner, err := decodeAPI([]byte("orders"), encodeAPI(&deprecated, "team"))
	if err != nil || owner != "team" || !reflect.DeepEqual(got, &deprecated) {
		t.Errorf("got %+v, %v, want %+v", got, err, deprecated)
	}
	flags := &scopes.API{Name: "x", FoldCase: true, EncodedSlash: true, Hosts: []string{"a"}}
	if got, _, err := decodeAPI([]byte("x"), encodeAPI(flags, "")); err != nil || !reflect.DeepEqual(got, flags) {
		t.Errorf("got %+v, %v, want %+v", got, err, flags)
	}
}

// A node that does not know of deprecated versions reads an API for as long as it has none.
func TestAPIsAreWrittenAsOldAsTheyCanBe(t *testing.T) {
	t.Parallel()
	api := testFile().APIs[0]
	if got := encodeAPI(&api, "")[0]; got != plainAPIVersion {
		t.Errorf("without deprecated versions: got version %d, want %d", got, plainAPIVersion)
	}
	api.Deprecated = []scopes.Deprecation{{Version: "v1", Sunset: testNow}}
	value := encodeAPI(&api, "")
	if value[0] != apiVersion {
		t.Errorf("with one: got version %d, want %d", value[0], apiVersion)
	}
	if _, err := unseal([]byte(api.Name), value, plainAPIVersion); !errors.Is(err, errVersion) {
		t.Errorf("read by an older node: got %v, want %v", err, errVersion)
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	random := newSeededBy(1)
	for range 1000 {
		id, err := newID(random)
		if err != nil || !isID(id) || seen[id] {
			t.Fatalf("got %q, %v", id, err)
		}
		seen[id] = true
	}
	if _, err := newID(bytes.NewReader(nil)); err == nil {
		t.Error("without randomness: got no error")
	}
}

// FuzzTokenRecord decodes any bytes as a record. What can be decoded is encoded and
// decoded alike; nothing crashes, and the index reads the same as everyone else.
func FuzzTokenRecord(f *testing.F) {
	for _, rec := range testRecords() {
		value := rec.encode()
		f.Add(value[:len(value)-checksumBytes])
	}
	f.Add([]byte{})
	f.Add([]byte{tokenVersion, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255})
	catalog, err := scopes.NewCatalog(testFile().APIs)
	if err != nil {
		f.Fatal(err)
	}
	const id = "tok_0000000000000000000001"
	f.Fuzz(func(t *testing.T, fields []byte) {
		value := seal(id, bytes.Clone(fields))
		rec, err := decodeRecord([]byte(id), value)
		h, _, headErr := decodeHead([]byte(id), value)
		if headErr != nil {
			if err == nil {
				t.Fatalf("the head of %+v cannot be read: %v", rec, headErr)
			}
			return
		}
		compiler := newCompiler(catalog, newRuleTable())
		if _, indexErr := compiler.compile(nil, []byte(id), &h); err == nil && indexErr != nil {
			t.Fatalf("the index cannot read %+v: %v", rec, indexErr)
		}
		if err != nil {
			return
		}
		once := rec.encode()
		again, err := decodeRecord([]byte(id), once)
		if err != nil {
			t.Fatalf("what was encoded cannot be decoded: %v", err)
		}
		if !reflect.DeepEqual(rec, again) || !bytes.Equal(once, again.encode()) {
			t.Fatalf("got  %+v\nwant %+v", again, rec)
		}
	})
}

// FuzzStoredRecords decodes any bytes as each other kind of record.
func FuzzStoredRecords(f *testing.F) {
	for i := range testFile().APIs {
		value := encodeAPI(&testFile().APIs[i], "")
		f.Add("orders", value[:len(value)-checksumBytes])
	}
	deprecated := testFile().APIs[0]
	deprecated.Deprecated = []scopes.Deprecation{{Version: "v1", Sunset: testNow, Since: testNow, Link: "https://a.example"}}
	value := encodeAPI(&deprecated, "")
	f.Add("orders", value[:len(value)-checksumBytes])
	account := account{name: "acme", title: "t", ids: []string{"a", "b"}, limit: 3, active: 2, revision: 9, created: testNow}
	value = account.encode()
	f.Add("acme", value[:len(value)-checksumBytes])
	state := state{id: "store_1", revision: 7}
	value = state.encode()
	f.Add("state", value[:len(value)-checksumBytes])
	f.Fuzz(func(t *testing.T, key string, fields []byte) {
		value := seal(key, bytes.Clone(fields))
		if api, owner, err := decodeAPI([]byte(key), value); err == nil {
			again, _, err := decodeAPI([]byte(key), encodeAPI(api, owner))
			if err != nil || !bytes.Equal(encodeAPI(api, ""), encodeAPI(again, "")) {
				t.Errorf("API: got %+v, %v, want %+v", again, err, api)
			}
		}
		if a, err := decodeAccount([]byte(key), value); err == nil {
			if again, err := decodeAccount([]byte(key), a.encode()); err != nil || !bytes.Equal(a.encode(), again.encode()) {
				t.Errorf("account: got %+v, %v, want %+v", again, err, a)
			}
		}
		if e, err := decodeEntry([]byte(key), value); err == nil && fmt.Sprint(e) == "" {
			t.Error("an entry without a text")
		}
		if s, err := decodeState(value); err == nil && key == string(keyState) {
			if again, err := decodeState(s.encode()); err != nil || again != s {
				t.Errorf("state: got %+v, %v, want %+v", again, err, s)
			}
		}
	})
}

// FuzzRevocationsLog parses any bytes as a revocations log.
func FuzzRevocationsLog(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte(acceptLoss + "\n"))
	header := sumLine(logTitle + " " + logFormat + " store_1")
	f.Add([]byte(header + sumLine("hold@0102030405060708 1 tok_1 acme/a -") + sumLine("commit 1 - - -") + "\x00\x00\x00"))
	f.Add([]byte(header + sumLine("kill 2 tok_1 acme/a "+scopes.DigestOf("a").String()[7:]) + "0123\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := parseLog(data)
		if c.end > int64(len(data)) {
			t.Errorf("the end %d is behind the %d bytes", c.end, len(data))
		}
		for _, r := range foldRevocations(c.lines, 0) {
			if stub := r.stub(testNow); len(stub.credentials) > maxCredentials {
				t.Errorf("got %+v", stub)
			}
		}
		if c.damaged > 0 || c.storeID == "" {
			return
		}
		text := sumLine(logTitle + " " + logFormat + " " + c.storeID)
		for i := range c.lines {
			text += sumLine(c.lines[i].String())
		}
		again := parseLog([]byte(text + "\x00"))
		if again.damaged > 0 || !reflect.DeepEqual(again.lines, c.lines) {
			t.Errorf("got %+v, want %+v", again.lines, c.lines)
		}
	})
}
