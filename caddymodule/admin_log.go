package caddymodule

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
)

// shownEntry is a line of the audit log as JSON has it.
type shownEntry struct {
	Revision uint64    `json:"revision"` // the lines of one change share it
	Time     time.Time `json:"time"`
	Actor    string    `json:"actor"`
	Action   string    `json:"action"`
	Kind     string    `json:"kind"`
	Name     string    `json:"name,omitempty"`
	Details  []string  `json:"details,omitempty"`
}

const (
	defaultLogLimit = 100
	maxLogLimit     = 10_000
	// maxLogWait bounds how long an answer without entries is held back.
	maxLogWait = time.Minute
)

// log lists the lines of the audit log that the parameters select: the newest
// first, or with "after" the oldest first. With "wait" it waits for one if there is
// none.
func (m *management) log(r *http.Request) (any, error) {
	values, err := parameters(r, "after", "before", "since", "actor", "action", "kind", "name", "limit", "wait")
	if err != nil {
		return nil, err
	}
	q, wait, err := readLogQuery(values)
	if err != nil {
		return nil, err
	}
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	entries, err := waitForEntries(ctx, s, q)
	if err != nil {
		return nil, err
	}
	if recheck := m.actor(r).Recheck; recheck != nil && wait > 0 { // its token may have been revoked meanwhile
		if err := recheck(); err != nil {
			return nil, failf(http.StatusForbidden, "%w", err)
		}
	}
	shown := make([]shownEntry, len(entries))
	for i, e := range entries {
		shown[i] = shownEntry(e)
	}
	return shown, nil
}

// waitForEntries returns what a query selects, as soon as it selects something or
// ctx ends.
func waitForEntries(ctx context.Context, s *store.Store, q store.LogQuery) ([]store.Entry, error) {
	for {
		changed := s.Changed() // before looking, so that nothing is missed in between
		entries, err := s.Log(q)
		if err != nil || len(entries) > 0 || ctx.Err() != nil {
			return entries, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return entries, nil
		}
	}
}

func readLogQuery(values url.Values) (q store.LogQuery, wait time.Duration, err error) {
	q = store.LogQuery{
		Actor: values.Get("actor"), Action: values.Get("action"), Kind: values.Get("kind"), Name: values.Get("name"),
		Limit: defaultLogLimit, OldestFirst: values.Has("after"),
	}
	for name, revision := range map[string]*uint64{"after": &q.After, "before": &q.Before} {
		if text := values.Get(name); text != "" {
			if *revision, err = strconv.ParseUint(text, 10, 64); err != nil {
				return q, 0, failf(http.StatusBadRequest, "%s is a revision, such as 42, not %q", name, text)
			}
		}
	}
	if text := values.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > maxLogLimit {
			return q, 0, failf(http.StatusBadRequest, "limit is a number from 1 to %d, not %q", maxLogLimit, text)
		}
	}
	if text := values.Get("since"); text != "" {
		if q.Since, err = readSince(text, time.Now()); err != nil {
			return q, 0, err
		}
	}
	if text := values.Get("wait"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 || wait > maxLogWait {
			return q, 0, failf(http.StatusBadRequest, "wait is a time span of at most %s, such as 30s, not %q", maxLogWait, text)
		}
	}
	return q, wait, nil
}

// readSince reads a moment, or how long ago it was.
func readSince(text string, now time.Time) (time.Time, error) {
	if at, err := parseMoment(text); err == nil {
		return at, nil
	}
	ago, err := scopes.ParseInterval(text)
	if err != nil {
		return time.Time{}, failf(http.StatusBadRequest, "since is a date, a time, or how long ago, such as 7d, not %q", text)
	}
	return now.Add(-ago), nil
}
