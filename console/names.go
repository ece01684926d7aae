package console

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// isName is what names of accounts, APIs and tokens match. Whatever does not is no name of
// anything, and is not asked for.
var isName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// named returns a name that the path of the page has.
func (v *visit) named(wildcard string) (string, error) {
	name := v.r.PathValue(wildcard)
	if !isName.MatchString(name) {
		return "", errNotFound
	}
	return name, nil
}

// namedToken returns "account/name" of the token in the path of the page.
func (v *visit) namedToken() (string, error) {
	account, err := v.named("account")
	if err != nil {
		return "", err
	}
	name, err := v.named("token")
	return account + "/" + name, err
}

// targetOf returns the target of a route with those parameters that have a value.
func targetOf(path string, parameters map[string]string) string {
	query := make(url.Values)
	for name, value := range parameters {
		if value != "" {
			query.Set(name, value)
		}
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// nextPage returns the cursor of the page that follows an answer (RFC 8288); "" if it is the
// last one.
func nextPage(h http.Header) string {
	for _, link := range h.Values("Link") {
		target, relation, _ := strings.Cut(link, ">")
		if !strings.Contains(relation, `rel="next"`) {
			continue
		}
		if u, err := url.Parse(strings.TrimPrefix(strings.TrimSpace(target), "<")); err == nil {
			return u.Query().Get("after")
		}
	}
	return ""
}
