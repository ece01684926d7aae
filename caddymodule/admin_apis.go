package caddymodule

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
)

// shownAPI is an API as JSON has it, in the words of a scope file.
type shownAPI struct {
	Name           string   `json:"name"`
	Title          string   `json:"title,omitempty"`
	BuiltIn        bool     `json:"built_in,omitempty"` // the management routes: no file declares it
	Hosts          []string `json:"hosts,omitempty"`    // none for every host
	Versions       []string `json:"versions,omitempty"`
	VersionFrom    []string `json:"version_from,omitempty"` // such as "header X-Version"
	DefaultVersion string   `json:"default_version,omitempty"`
	AccountParam   string   `json:"account_param,omitempty"`
	PathCase       string   `json:"path_case,omitempty"`
	EncodedSlash   string   `json:"encoded_slash,omitempty"`
	// The addresses of all versions, or those of each. They hold no secrets: an
	// upstream has neither a user name nor a path.
	Upstream          []string            `json:"upstream,omitempty"`
	UpstreamByVersion map[string][]string `json:"upstream_by_version,omitempty"`
	// Deprecated are the versions that clients are to leave.
	Deprecated     map[string]shownDeprecation `json:"deprecated,omitempty"`
	OperationCount int                         `json:"operation_count"`
	Operations     []shownOperation            `json:"operations,omitempty"` // not in a list of APIs
}

type shownOperation struct {
	Name    string   `json:"name"`
	Methods []string `json:"methods"` // as declared: GET includes HEAD where it is granted
	Path    string   `json:"path"`
}

// shownDeprecation is what an API says of a deprecated version.
type shownDeprecation struct {
	Sunset time.Time `json:"sunset"`
	Since  time.Time `json:"since,omitzero"`
	Link   string    `json:"link,omitempty"`
}

// apis lists the APIs by name, the built-in one included.
func (m *management) apis(r *http.Request) (any, error) {
	catalog, err := m.onlyCatalog(r)
	if err != nil {
		return nil, err
	}
	all := append(catalog.APIs(), scopes.ManagementAPI())
	shown := make([]shownAPI, len(all))
	for i := range all {
		shown[i] = showAPI(&all[i])
	}
	slices.SortFunc(shown, func(a, b shownAPI) int { return strings.Compare(a.Name, b.Name) })
	return shown, nil
}

// api shows one API with its operations.
func (m *management) api(r *http.Request) (any, error) {
	catalog, err := m.onlyCatalog(r)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("api")
	if !isAccount.MatchString(name) { // APIs are named alike
		return nil, failf(http.StatusBadRequest, "expected the name of an API")
	}
	api := catalog.API(name)
	if api == nil {
		return nil, failf(http.StatusNotFound, "API %q: %w", name, store.ErrNotFound)
	}
	shown := showAPI(api)
	for _, op := range api.Operations {
		shown.Operations = append(shown.Operations, shownOperation{op.Name, op.Methods.Names(), op.Path})
	}
	return shown, nil
}

// onlyCatalog returns the APIs that are decided with, for a request that has no parameters
// and no body.
func (m *management) onlyCatalog(r *http.Request) (*scopes.Catalog, error) {
	s, err := m.onlyStore(r)
	if err != nil {
		return nil, err
	}
	snapshot := s.Snapshot()
	if snapshot == nil {
		return nil, unavailable(errNotOpen)
	}
	return snapshot.Catalog(), nil
}

// showAPI returns an API without its operations.
func showAPI(a *scopes.API) shownAPI {
	shown := shownAPI{
		Name:              a.Name,
		Title:             a.Title,
		BuiltIn:           a.Name == scopes.Management,
		Hosts:             a.Hosts,
		Versions:          a.Versions,
		DefaultVersion:    a.DefaultVersion,
		AccountParam:      a.AccountParam,
		Upstream:          a.Upstreams.All,
		UpstreamByVersion: a.Upstreams.ByVersion,
		OperationCount:    len(a.Operations),
	}
	for _, place := range a.VersionFrom {
		shown.VersionFrom = append(shown.VersionFrom, place.Kind.String()+" "+place.Name)
	}
	for _, d := range a.Deprecated {
		if shown.Deprecated == nil {
			shown.Deprecated = make(map[string]shownDeprecation)
		}
		shown.Deprecated[d.Version] = shownDeprecation{d.Sunset, d.Since, d.Link}
	}
	if a.FoldCase {
		shown.PathCase = "insensitive"
	}
	if a.EncodedSlash {
		shown.EncodedSlash = "allow"
	}
	return shown
}
