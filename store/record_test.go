package store

import (
	"bytes"
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

func testRecords() map[string]*record {
	full, same, terminal := fullRecord(), fullRecord(), fullRecord()
	declared := same.token
	same.declared = &declared
	terminal.delete()
	return map[string]*record{
		"full": full, "declared as it is": same, "deleted": terminal,
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
	rec := fullRecord()
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
	}{{0, errFields}, {tokenVersion, errFields}, {tokenVersion + 1, errVersion}, {255, errVersion}} {
		if _, err := decodeRecord([]byte(key), seal(key, []byte{test.version})); !errors.Is(err, test.want) {
			t.Errorf("version %d: got %v, want %v", test.version, err, test.want)
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
	flags := &scopes.API{Name: "x", FoldCase: true, EncodedSlash: true, Hosts: []string{"a"}}
	if got, _, err := decodeAPI([]byte("x"), encodeAPI(flags, "")); err != nil || !reflect.DeepEqual(got, flags) {
		t.Errorf("got %+v, %v, want %+v", got, err, flags)
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
	account := account{name: "acme", title: "t", ids: []string{"a", "b"}, limit: 3, active: 2, revision: 9, created: testNow}
	value := account.encode()
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
	f.Add([]byte(header + sumLine("hold 1 tok_1 acme/a -") + sumLine("commit 1 - - -") + "\x00\x00\x00"))
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
