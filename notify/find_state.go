package notify

import (
	"fmt"
	"slices"
	"time"
)

// deactivated finds that a token was deactivated. What was made inactive never did anything that
// could be missed.
func (f *finder) deactivated() {
	t := f.token
	if t.Deactivation == "" || f.Now.Sub(t.Updated) > Recent {
		return
	}
	f.add(found{
		kind: Deactivated, occasion: t.Deactivation, at: t.Updated,
		text: fmt.Sprintf("was deactivated, on %s at the latest; its requests are refused", date(t.Updated)),
		hint: "log --name " + t.Ref(),
	})
}

// deleted finds that a token was deleted.
func (f *finder) deleted() {
	t := f.token
	if f.Now.Sub(t.Updated) > Recent {
		return
	}
	f.add(found{
		kind: Deleted, occasion: "", at: t.Updated,
		text: fmt.Sprintf("was deleted on %s, for ever; its requests are refused", date(t.Updated)),
		hint: "log --name " + t.Ref(),
	})
}

// beforeSunset is how long before a version stops working people are told again, who were told
// when it was deprecated.
var beforeSunset = []time.Duration{30 * day, 7 * day}

// deprecated finds that a token may use a version that is deprecated, or has used it, if it may
// use everything.
func (f *finder) deprecated() {
	if f.Catalog == nil {
		return
	}
	for _, v := range f.versions() {
		api := f.Catalog.API(v.API)
		if api == nil {
			continue
		}
		d := api.Deprecation(v.Version)
		if d == nil || d.Since.After(f.Now) || d.Passed(f.Now) {
			continue
		}
		stage := "announced"
		if before, ok := reached(beforeSunset, d.Since, f.Now, d.Sunset); ok {
			stage = before.String()
		}
		text := fmt.Sprintf("may use version %s of %s, which is deprecated and expected to stop working on %s, in %s",
			v.Version, v.API, date(d.Sunset), span(d.Sunset.Sub(f.Now)))
		if d.Link != "" {
			text += " (see " + d.Link + ")"
		}
		f.add(found{
			kind: VersionDeprecated, occasion: v.API + " " + v.Version + " " + unix(d.Sunset) + " " + stage, at: d.Sunset,
			api: v.API, version: v.Version, text: text, hint: "report usage --token " + f.token.Ref(),
		})
	}
}

// versions returns the versions that a token may use; of one that may use all, those that it
// does.
func (f *finder) versions() (list []UsedVersion) {
	if f.token.Legacy() {
		if f.used != nil {
			list = f.used.Versions
		}
		return list
	}
	for i := range f.token.Scopes {
		s := &f.token.Scopes[i]
		for _, version := range s.Versions {
			if v := (UsedVersion{s.API, version}); !slices.Contains(list, v) {
				list = append(list, v)
			}
		}
	}
	return list
}
