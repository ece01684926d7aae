package console

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// api is what the routes of APIs answer, as far as pages show it.
type api struct {
	Name              string                 `json:"name"`
	Title             string                 `json:"title"`
	BuiltIn           bool                   `json:"built_in"`
	Hosts             []string               `json:"hosts"`
	Versions          []string               `json:"versions"`
	VersionFrom       []string               `json:"version_from"`
	DefaultVersion    string                 `json:"default_version"`
	AccountParam      string                 `json:"account_param"`
	PathCase          string                 `json:"path_case"`
	EncodedSlash      string                 `json:"encoded_slash"`
	Upstream          []string               `json:"upstream"`
	UpstreamByVersion map[string][]string    `json:"upstream_by_version"`
	Deprecated        map[string]deprecation `json:"deprecated"`
	OperationCount    int                    `json:"operation_count"`
	Operations        []operation            `json:"operations"`
}

// operation is one operation of an API.
type operation struct {
	Name    string   `json:"name"`
	Methods []string `json:"methods"`
	Path    string   `json:"path"`
}

// deprecation is when a version of an API ends.
type deprecation struct {
	Since  time.Time `json:"since"`
	Sunset time.Time `json:"sunset"`
	Link   string    `json:"link"`
}

// Past reports whether the version was to have ended by now.
func (d deprecation) Past() bool { return !d.Sunset.After(time.Now()) }

// readAPIs asks for all APIs, without their operations.
func (v *visit) readAPIs() ([]api, error) {
	var all []api
	return all, ask(v.client, "/scopegate/apis", &all)
}

// apisPage is what the list of APIs shows.
type apisPage struct {
	Search string
	APIs   []api
	All    int
}

// listAPIs shows the APIs. There are at most some hundred, so they are on one page.
func listAPIs(v *visit) error {
	all, err := v.readAPIs()
	if err != nil {
		return err
	}
	p := apisPage{Search: v.r.URL.Query().Get("search"), All: len(all)}
	p.APIs = slices.DeleteFunc(all, func(a api) bool { return !contains(a.Name, p.Search) && !contains(a.Title, p.Search) })
	return v.show(http.StatusOK, "apis", "APIs", Root+"apis", p)
}

// contains reports whether a text has a part in it, in any case.
func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// apiPage is what the page of one API shows.
type apiPage struct {
	api
	MayCreate bool // a token
	MayList   bool // tokens
}

// showAPI shows one API with its operations.
func showAPI(v *visit) error {
	name, err := v.named("api")
	if err != nil {
		return err
	}
	var p apiPage
	if err := ask(v.client, "/scopegate/apis/"+name, &p.api); err != nil {
		return err
	}
	p.MayCreate = v.client.May(http.MethodPost, "/scopegate/tokens")
	p.MayList = v.client.May(http.MethodGet, "/scopegate/tokens")
	return v.show(http.StatusOK, "api", p.Name, Root+"apis", p)
}
