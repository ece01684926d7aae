package scopes

import (
	"slices"
	"strings"
)

// AllAPIs is what stands for all APIs together where limits are given by API.
const AllAPIs = "*"

func (r *reader) readRate(n *yamlNode, d *tokenDraft) {
	r.bounds(n, d, "rate", "100/s burst 200", func(text string, l *Limit) (err error) {
		l.Rate, err = ParseRate(text)
		return err
	})
}

func (r *reader) readQuota(n *yamlNode, d *tokenDraft) {
	r.bounds(n, d, "quota", "100000/day", func(text string, l *Limit) (err error) {
		l.Quota, err = ParseQuota(text)
		return err
	})
}

// bounds reads one bound, which is for all APIs together, or a mapping that has one
// for each of some APIs.
func (r *reader) bounds(n *yamlNode, d *tokenDraft, what, example string, parse func(string, *Limit) error) {
	read := func(n *yamlNode, api string) {
		if n.kind != text {
			r.problemf(n, "expected a %s, such as %s, found %s", what, example, n.describe())
		} else if err := parse(n.text, d.limit(api)); err != nil {
			r.problemf(n, "%v", err)
		}
	}
	switch {
	case n.kind != mapping && n.kind != text:
		r.problemf(n, `a %s is text such as %s, or a mapping with one for each API, such as {"*": %s}; found %s`, what, example, example, n.describe())
	case n.kind == text:
		read(n, "")
	case len(n.pairs) == 0:
		r.problemf(n, "%s is an empty mapping; leave the key out, or give one, such as %s", what, example)
	}
	for p := range r.uniquePairs(n) {
		if api, ok := r.boundedAPI(p.key, d); ok {
			read(p.value, api)
		}
	}
}

// boundedAPI reads what a bound is for: "*", or an API.
func (r *reader) boundedAPI(n *yamlNode, d *tokenDraft) (api string, ok bool) {
	if n.kind == text && n.text == AllAPIs {
		return "", true
	}
	if api, ok = r.name(n, "an API"); !ok {
		return "", false
	}
	if r.apis[api] == nil && api != Management {
		r.unknownf(n, keysOf(r.apis), `"*" is for all; the file has `, "there is no API %s", shown(api))
		return "", false
	}
	if !d.uses(api) {
		r.warnf(n, "%s has no scope for API %s, so that a limit for it bounds nothing", d.place(), api)
	}
	return api, true
}

// limit returns the token's limit for an API, "" for all, which is put into its place
// if there is none.
func (d *tokenDraft) limit(api string) *Limit {
	at, found := slices.BinarySearchFunc(d.Limits, api, func(l Limit, api string) int { return strings.Compare(l.API, api) })
	if !found {
		d.Limits = slices.Insert(d.Limits, at, Limit{API: api})
	}
	return &d.Limits[at]
}
