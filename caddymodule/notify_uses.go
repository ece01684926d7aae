package caddymodule

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/scopegate/scopegate/notify"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/usage"
)

const day = 24 * time.Hour

// suspect is a token of which there may be something to be told, by what was counted lately.
type suspect struct {
	failed map[time.Time]uint64 // how many requests, by hour
	denied bool                 // for what it may not do
	aged   bool                 // it used a version that is deprecated
}

// burst reports whether there was an hour in which many requests failed.
func (s *suspect) burst() bool {
	for _, failed := range s.failed {
		if failed >= notify.BurstFailed {
			return true
		}
	}
	return false
}

// uses looks at what was counted lately, and then at all that is known of those tokens for
// which that gives reason.
func (f *finding) uses() error {
	suspects := make(map[string]*suspect)
	of := func(id string) *suspect {
		if suspects[id] == nil {
			suspects[id] = &suspect{failed: make(map[time.Time]uint64)}
		}
		return suspects[id]
	}
	if err := f.ledger.Each(usage.Query{From: f.now.Add(-time.Hour), To: f.now}, func(s *usage.Sample) {
		if s.Key.Token == "" || s.Key.Through || s.Key.Reason == usage.ReasonLost {
			return
		}
		if failed := failedOf(s); failed > 0 {
			of(s.Key.Token).failed[s.At] += failed
		}
		if notify.OfToken(s.Key.Reason) {
			of(s.Key.Token).denied = true
		}
		if s.Key.Allowed() && f.deprecated(s.Key.API, s.Key.Version) {
			of(s.Key.Token).aged = true
		}
	}); err != nil {
		return err
	}
	for id, s := range suspects {
		if err := f.suspect(id, s); err != nil {
			return err
		}
	}
	return nil
}

// deprecated reports whether a version of an API is.
func (f *finding) deprecated(name, version string) bool {
	api := f.view.Catalog.API(name)
	return api != nil && api.Deprecation(version) != nil
}

// suspect looks at one token in full, if there is reason to.
func (f *finding) suspect(id string, s *suspect) error {
	token, err := f.from.Token(id)
	if errors.Is(err, store.ErrNotFound) {
		return nil // another node has counted it, and this one does not know it yet
	}
	if err != nil {
		return err
	}
	isNew := s.denied && f.now.Sub(token.Updated) <= notify.Recent && !f.denied[id].Equal(token.Updated)
	if !isNew && !s.burst() && !s.aged {
		return nil
	}
	used, err := f.used(id)
	if err != nil {
		return err
	}
	before := len(f.events)
	f.add(&token, used)
	if slices.ContainsFunc(f.events[before:], func(e notify.Event) bool { return e.Kind == notify.DeniedAfterChange }) {
		f.denied[id] = token.Updated
	}
	return nil
}

// forgetDenied forgets changes that were too long ago to be told of.
func (s *search) forgetDenied(now time.Time) {
	maps.DeleteFunc(s.denied, func(_ string, changed time.Time) bool { return now.Sub(changed) > notify.Recent })
}

// used returns what was counted of a token.
func (f *finding) used(id string) (*notify.Used, error) {
	c := collected{hours: make(map[time.Time]*notify.Hour), versions: make(map[notify.UsedVersion]bool)}
	c.since = f.now.UTC().Truncate(day).Add(-2 * day)
	window := max(notify.VersionsUsed, notify.Recent+notify.DenialsBefore)
	err := f.ledger.Each(usage.Query{From: f.now.Add(-window), To: f.now, Tokens: []string{id}, Recorded: true}, c.add)
	for _, h := range c.hours {
		c.used.Hours = append(c.used.Hours, *h)
	}
	for v := range c.versions {
		c.used.Versions = append(c.used.Versions, v)
	}
	return &c.used, err
}

// collected is what was counted of a token, as it is read.
type collected struct {
	used     notify.Used
	since    time.Time // hours before it are left out
	hours    map[time.Time]*notify.Hour
	versions map[notify.UsedVersion]bool
}

func (c *collected) add(s *usage.Sample) {
	if s.Key.Token == "" {
		return // lost: nobody knows whose it was
	}
	if s.Last.After(c.used.Last) {
		c.used.Last = s.Last
	}
	if s.Key.Through {
		return
	}
	if !s.Whole && !s.At.Before(c.since) {
		h := c.hours[s.At]
		if h == nil {
			h = &notify.Hour{At: s.At}
			c.hours[s.At] = h
		}
		h.Requests += s.Counts.Requests
		h.Failed += failedOf(s)
	}
	if s.Key.Allowed() {
		c.versions[notify.UsedVersion{API: s.Key.API, Version: s.Key.Version}] = true
		return
	}
	k := s.Key
	d := notify.Denial{API: k.API, Version: k.Version, Operation: k.Operation, Method: k.Method, Reason: k.Reason, First: s.First}
	if all := c.used.Denials; !s.First.IsZero() && (len(all) == 0 || all[len(all)-1] != d) { // each hour of a row has the row's
		c.used.Denials = append(c.used.Denials, d)
	}
}

// failedOf returns how many requests of a sample were refused, or failed.
func failedOf(s *usage.Sample) uint64 {
	const serverError = 5
	if !s.Key.Allowed() {
		return s.Counts.Requests
	}
	return s.Counts.Status[serverError]
}
