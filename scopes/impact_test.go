package scopes_test

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// The API surface of a real platform, testdata/impact-operations.tsv, as a scope
// file, testdata/impact-scopes.yaml: 69 APIs and 245 operations that overlap in
// one router, and tokens to send each operation with. The file says how its
// tokens are named. After a change here:
//
//	go test ./scopes -run TestImpactScopeFile -update-impact

var updateImpact = flag.Bool("update-impact", false, "derive testdata/impact-scopes.yaml anew")

const (
	impactAPIs       = 69
	impactOperations = 245
	impactHeader     = "Irversion" // as net/http has it
)

// impactOperation is one line of the table.
type impactOperation struct {
	api, version, method string
	path                 string // with the path of the server in front
	account              string // the parameter that names the account; "" for none
}

func readImpactOperations(tb testing.TB) []impactOperation {
	tb.Helper()
	src, err := os.ReadFile(filepath.Join("..", "testdata", "impact-operations.tsv"))
	if err != nil {
		tb.Fatal(err)
	}
	var operations []impactOperation
	for line := range strings.Lines(string(src)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(line, "#") || fields[0] == "api" {
			continue
		}
		op := impactOperation{api: fields[0], version: fields[1], method: fields[2], path: serverPath(fields[4]) + fields[3]}
		for _, parameter := range []string{"AccountSID", "tenant_alias"} {
			if strings.Contains(op.path, "{"+parameter+"}") {
				op.account = parameter
			}
		}
		operations = append(operations, op)
	}
	return operations
}

// serverPath returns the path of "https://host/path", "" if there is none.
func serverPath(server string) string {
	_, rest, _ := strings.Cut(server, "://")
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		return rest[slash:]
	}
	return ""
}

// name returns "method/segments", from what follows the account on.
func (op *impactOperation) name() string {
	path := op.path
	if op.account != "" {
		_, path, _ = strings.Cut(path, "{"+op.account+"}")
	}
	return strings.ToLower(op.method) + strings.NewReplacer("{", "", "}", "").Replace(path)
}

// earlier returns the other version of the operation's API.
func (op *impactOperation) earlier(tb testing.TB) string {
	tb.Helper()
	n, err := strconv.Atoi(op.version)
	if err != nil {
		tb.Fatal(err)
	}
	return strconv.Itoa(n - 1)
}

// byAPI returns the operations of each API, in the order of the table.
func byAPI(operations []impactOperation) [][]impactOperation {
	var apis [][]impactOperation
	for i, op := range operations {
		if i == 0 || operations[i-1].api != op.api {
			apis = append(apis, nil)
		}
		apis[len(apis)-1] = append(apis[len(apis)-1], op)
	}
	return apis
}

func methodsOf(operations []impactOperation) []string {
	var methods []string
	for _, op := range operations {
		if !slices.Contains(methods, op.method) {
			methods = append(methods, op.method)
		}
	}
	return methods
}

// otherMethods returns the methods of an API without one; if that leaves none,
// one that the API does not have.
func otherMethods(operations []impactOperation, without string) []string {
	others := slices.DeleteFunc(methodsOf(operations), func(m string) bool { return m == without })
	switch {
	case len(others) > 0:
		return others
	case without == "GET":
		return []string{"POST"}
	}
	return []string{"GET"}
}

const impactHead = `# Derived from impact-operations.tsv, the public REST surface of impact.com (public repository api-evangelist/impact at
# f357e6c); by a test, which says how: scopes/impact_test.go. Do not edit.
#
# Each API has the version of the table and the one before it, read from the header IrVersion. No API has hosts, so all
# operations overlap in one router. For each API, acme (also called IRab12cd34) has the tokens
#
#   API.full             has every operation, in the table's version, to which it is pinned
#   API.without-METHOD   has the API's other methods, for each that the API has
#   API.without-version  has every method, in the other version, to which it is pinned
#   API.without-api      has every method and version of the next API
#
# and globex (also called IRzz98yx76) has one token, everything. The credential of a token is "test-credential-" and its name.
format: 1
`

func impactScopeFile(tb testing.TB) []byte {
	tb.Helper()
	apis := byAPI(readImpactOperations(tb))
	var b bytes.Buffer
	b.WriteString(impactHead + "apis:\n")
	for _, operations := range apis {
		writeImpactAPI(tb, &b, operations)
	}
	b.WriteString("accounts:\n  acme:\n    ids: [IRab12cd34]\n    max_active_tokens: 400\n    tokens:\n")
	for i, operations := range apis {
		writeImpactTokens(tb, &b, operations, apis[(i+1)%len(apis)])
	}
	b.WriteString("  globex:\n    ids: [IRzz98yx76]\n    tokens:\n")
	var everything []string
	for _, operations := range apis {
		everything = append(everything, fmt.Sprintf("\n          - {api: %s, version: [%q, %q], methods: [\"*\"]}",
			operations[0].api, operations[0].earlier(tb), operations[0].version))
	}
	writeImpactToken(&b, "everything", "Has every operation, in both versions.", "", strings.Join(everything, ""))
	return b.Bytes()
}

func writeImpactAPI(tb testing.TB, b *bytes.Buffer, operations []impactOperation) {
	tb.Helper()
	first := operations[0]
	fmt.Fprintf(b, "  %s:\n    versions: [%q, %q]\n    version_from: [header IrVersion]\n", first.api, first.earlier(tb), first.version)
	if first.account != "" {
		fmt.Fprintf(b, "    account_param: %s\n", first.account)
	}
	b.WriteString("    upstream: [http://127.0.0.1:9000]\n    operations:\n")
	for _, op := range operations {
		fmt.Fprintf(b, "      %s: %s %s\n", op.name(), op.method, op.path)
	}
}

func writeImpactTokens(tb testing.TB, b *bytes.Buffer, operations, next []impactOperation) {
	tb.Helper()
	api, version, earlier := operations[0].api, operations[0].version, operations[0].earlier(tb)
	methods := methodsOf(operations)
	scope := func(methods []string) string {
		return fmt.Sprintf(" [{api: %s, methods: [%s]}]", api, strings.Join(methods, ", "))
	}
	writeImpactToken(b, api+".full", "Has every operation of "+api+", in version "+version+".", version, scope(methods))
	for _, method := range methods {
		writeImpactToken(b, api+".without-"+method, "Lacks "+method+" on "+api+".", version, scope(otherMethods(operations, method)))
	}
	writeImpactToken(b, api+".without-version", "Has "+api+" in version "+earlier+" only.", earlier, scope([]string{`"*"`}))
	writeImpactToken(b, api+".without-api", "Lacks "+api+".", "", fmt.Sprintf(" [{api: %s, version: [%q, %q], methods: [\"*\"]}]",
		next[0].api, next[0].earlier(tb), next[0].version))
}

func writeImpactToken(b *bytes.Buffer, name, description, version, scopeList string) {
	fmt.Fprintf(b, "      %s:\n        description: %s\n        contact: {email: test@example.com}\n        environment: test\n", name, description)
	if version != "" {
		fmt.Fprintf(b, "        version: %q\n", version)
	}
	fmt.Fprintf(b, "        scopes:%s\n        credential: sha256:%x\n", scopeList, sha256.Sum256([]byte("test-credential-"+name)))
}

func TestImpactScopeFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "testdata", "impact-scopes.yaml")
	want := impactScopeFile(t)
	if *updateImpact {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what this test derives from the table; run it with -update-impact and look at the difference", path)
	}
}

func readImpactScopeFile(tb testing.TB) (*scopes.File, *scopes.Catalog) {
	tb.Helper()
	path := filepath.Join("..", "testdata", "impact-scopes.yaml")
	src, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	file, err := scopes.Read(path, src, corpusNow)
	if err != nil {
		tb.Fatal(err)
	}
	catalog, err := scopes.NewCatalog(file.APIs)
	if err != nil {
		tb.Fatal(err)
	}
	return file, catalog
}

// TestImpactOperations sends every operation of the platform with a token that has
// it, and with one each that lacks the method, the version, the API, or is another
// account's.
func TestImpactOperations(t *testing.T) {
	t.Parallel()
	file, catalog := readImpactScopeFile(t)
	grants := grantsOf(t, file, catalog)
	view := catalog.View()
	operations := readImpactOperations(t)
	if len(operations) != impactOperations || catalog.Len() != impactAPIs {
		t.Fatalf("%d operations of %d APIs, want %d of %d", len(operations), catalog.Len(), impactOperations, impactAPIs)
	}
	counts := make(map[string]int)
	for _, op := range operations {
		for _, e := range op.expectations() {
			request := scopes.Request{Method: op.method, Target: e.target, Host: corpusHost, Now: corpusNow}
			if e.version != "" {
				request.Header = map[string][]string{impactHeader: {e.version}}
			}
			grant, ok := grants[e.token]
			if !ok {
				t.Fatalf("no token %s", e.token)
			}
			d := view.Decide(&request, &grant)
			if got := describe(&d); got != e.want {
				t.Errorf("%s %s with %s: %s, want %s", op.method, e.target, e.token, got, e.want)
			}
			counts[d.Reason.String()]++
		}
	}
	if counts["api_not_granted"] != impactOperations || counts["method_not_granted"] != impactOperations || counts["version_not_granted"] != impactOperations {
		t.Errorf("decisions by reason: %v, want %d of each that is about scopes", counts, impactOperations)
	}
}

// impactExpectation is a token to send an operation with, and what is decided.
type impactExpectation struct{ token, target, version, want string }

func (op *impactOperation) expectations() []impactExpectation {
	target, full := op.target("IRab12cd34"), "acme/"+op.api+".full"
	unversioned := op.api + "/" + op.name()
	named := unversioned + " " + op.version
	expectations := []impactExpectation{
		{full, target, op.version, "allow " + named},
		{full, target, "", "allow " + named + " set=" + impactHeader},
		{"acme/" + op.api + ".without-" + op.method, target, op.version, "method_not_granted " + named},
		{"acme/" + op.api + ".without-version", target, op.version, "version_not_granted " + named},
		{"acme/" + op.api + ".without-api", target, op.version, "api_not_granted " + named},
		{"-", target, op.version, "no_credential"},
		{"?", target, op.version, "unknown_token"},
		{full, target, "99", "version_unknown " + unversioned},
		{full, target + "/", op.version, "no_api"},
		{full, strings.Replace(target, "/", "/x/../", 1), op.version, "malformed_request"},
	}
	if op.account == "" {
		return expectations
	}
	return append(expectations,
		impactExpectation{full, op.target("acme"), op.version, "allow " + named},
		impactExpectation{full, op.target("IRzz98yx76"), op.version, "account_mismatch " + named},
		impactExpectation{"globex/everything", op.target("globex"), op.version, "allow " + named},
	)
}

// target returns a target of the operation, with the account and made-up values.
func (op *impactOperation) target(account string) string {
	segments := strings.Split(op.path, "/")
	for i, segment := range segments {
		switch name, ok := strings.CutPrefix(segment, "{"); {
		case !ok:
		case name == op.account+"}":
			segments[i] = account
		default:
			segments[i] = "7-" + strings.TrimSuffix(name, "}")
		}
	}
	return strings.Join(segments, "/")
}
