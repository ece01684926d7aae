package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/usage"
)

// newManagement returns the management routes of a new store that a scope file was applied
// to. Nothing was counted.
func newManagement(tb testing.TB, file string) *management {
	tb.Helper()
	s, err := store.Open(filepath.Join(tb.TempDir(), "scopegate.db"), store.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	read, err := scopes.Read("scopes.yaml", []byte(file), time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	plan, err := s.Plan(tb.Context(), read, store.PlanOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := s.Apply(tb.Context(), plan, store.ApplyOptions{AllowWiden: true}); err != nil {
		tb.Fatal(err)
	}
	return &management{
		store: func() (*store.Store, error) { return s, nil },
		usage: func() (*usage.Ledger, error) { return nil, nil }, //nolint:nilnil // as where there is no file
		actor: func(*http.Request) store.Actor { return store.Actor{} },
	}
}

// get returns the answer to GET.
func (m *management) get(tb testing.TB, target string) *httptest.ResponseRecorder {
	tb.Helper()
	mux := http.NewServeMux()
	for _, route := range m.routes() {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			writeFailure(w, route.Handler.ServeHTTP(w, r))
		})
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequestWithContext(tb.Context(), http.MethodGet, target, nil))
	return w
}

// getAs decodes the answer to GET, which is to be 200.
func getAs[T any](tb testing.TB, m *management, target string) (answer T, header http.Header) {
	tb.Helper()
	w := m.get(tb, target)
	if w.Code != http.StatusOK {
		tb.Fatalf("GET %s: got %d %s", target, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		tb.Fatal(err)
	}
	return answer, w.Header()
}

const someAPIs = `format: 1
apis:
  zoo:
    title: The zoo
    hosts: [zoo.example.com]
    versions: ["v1", "v2"]
    version_from: [header Zoo-Version, query zoo]
    default_version: "v1"
    account_param: tenant
    path_case: insensitive
    encoded_slash: allow
    deprecated: {"v1": {sunset: 2098-01-01, since: 2026-01-01, link: "https://zoo.example.com/v2"}}
    upstream: {"v1": [http://127.0.0.1:9001], "v2": [https://127.0.0.1:9002]}
    operations:
      list: GET|POST /{tenant}/animals
      all: "* /{tenant}/**"
  ants:
    upstream: [http://127.0.0.1:9003]
    operations: {list: GET /ants}
`

func TestAPIs(t *testing.T) {
	t.Parallel()
	m := newManagement(t, someAPIs)
	zoo := shownAPI{
		Name: "zoo", Title: "The zoo", Hosts: []string{"zoo.example.com"}, Versions: []string{"v1", "v2"},
		VersionFrom: []string{"header Zoo-Version", "query zoo"}, DefaultVersion: "v1", AccountParam: "tenant",
		PathCase: "insensitive", EncodedSlash: "allow", OperationCount: 2,
		UpstreamByVersion: map[string][]string{"v1": {"http://127.0.0.1:9001"}, "v2": {"https://127.0.0.1:9002"}},
		Deprecated: map[string]shownDeprecation{"v1": {
			time.Date(2098, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), "https://zoo.example.com/v2",
		}},
	}
	list, _ := getAs[[]shownAPI](t, m, "/scopegate/apis")
	want := []shownAPI{
		{Name: "ants", Upstream: []string{"http://127.0.0.1:9003"}, OperationCount: 1},
		{
			Name: scopes.Management, Title: scopes.ManagementAPI().Title, BuiltIn: true,
			OperationCount: len(scopes.ManagementAPI().Operations),
		},
		zoo,
	}
	if !reflect.DeepEqual(list, want) {
		t.Errorf("list: got %+v\nwant %+v", list, want)
	}
	zoo.Operations = []shownOperation{{"list", []string{"GET", "POST"}, "/{tenant}/animals"}, {"all", []string{"*"}, "/{tenant}/**"}}
	if got, _ := getAs[shownAPI](t, m, "/scopegate/apis/zoo"); !reflect.DeepEqual(got, zoo) {
		t.Errorf("zoo: got %+v\nwant %+v", got, zoo)
	}
	if got, _ := getAs[shownAPI](t, m, "/scopegate/apis/scopegate"); !got.BuiltIn || len(got.Operations) != got.OperationCount {
		t.Errorf("the built-in one: got %+v", got)
	}
	for target, status := range map[string]int{
		"/scopegate/apis/none": http.StatusNotFound, "/scopegate/apis/%20": http.StatusBadRequest, "/scopegate/apis?name=zoo": http.StatusBadRequest,
	} {
		if w := m.get(t, target); w.Code != status {
			t.Errorf("%s: got %d %s, want %d", target, w.Code, w.Body, status)
		}
	}
}
