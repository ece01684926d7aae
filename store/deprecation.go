package store

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// dated returns APIs as they are declared, with the day on which each deprecation began
// that does not say it: the one that the store has already, else today. So a file that
// leaves it open means the same whenever it is applied again, and what is exported says
// it. The zero Time for today leaves it open.
func dated(declared []scopes.API, stored *scopes.Catalog, today time.Time) []scopes.API {
	apis := slices.Clone(declared)
	for i := range apis {
		apis[i].Deprecated = slices.Clone(apis[i].Deprecated)
		for j := range apis[i].Deprecated {
			d := &apis[i].Deprecated[j]
			if !d.Since.IsZero() {
				continue
			}
			d.Since = today
			if live := stored.API(apis[i].Name); live != nil && live.Deprecation(d.Version) != nil {
				d.Since = live.Deprecation(d.Version).Since
			}
			if d.Since.After(d.Sunset) {
				d.Since = d.Sunset
			}
		}
	}
	return apis
}

// dayOf returns the first second of a time's day, in UTC.
func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

func appendDeprecations(b []byte, list []scopes.Deprecation) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		d := &list[i]
		b = appendString(b, d.Version)
		b = appendTime(b, d.Sunset)
		b = appendTime(b, d.Since)
		b = appendString(b, d.Link)
	}
	return b
}

func (d *decoder) deprecations() []scopes.Deprecation {
	var list []scopes.Deprecation
	for n := d.count(); n > 0 && !d.bad; n-- {
		list = append(list, scopes.Deprecation{Version: d.string(), Sunset: d.time(), Since: d.time(), Link: d.string()})
	}
	return list
}

// deprecationsText writes deprecated versions for people; "" if there are none.
func deprecationsText(list []scopes.Deprecation) string {
	texts := make([]string, len(list))
	for i := range list {
		texts[i] = list[i].Version + " (" + list[i].String() + ")"
	}
	return strings.Join(texts, "; ")
}
