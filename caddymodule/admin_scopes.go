package caddymodule

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
)

// planned is what a scope file would change, or has changed.
type planned struct {
	// Revision is that of the store: the one that was compared with, or the one
	// that the changes have made.
	Revision uint64         `json:"revision"`
	Differs  bool           `json:"differs"` // there is something to change, or there was
	Changes  []store.Change `json:"changes"`
	// WithoutCredential are the tokens that are created and have none.
	WithoutCredential []string `json:"without_credential,omitempty"`

	Warnings []problem `json:"warnings,omitempty"`
}

// plan tells what applying scope files would do.
func (m *management) plan(r *http.Request) (any, error) {
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	up, err := receiveUpload(r, "name", "prune")
	if err != nil {
		return nil, err
	}
	defer spaceCollections(garbageOfFile)()
	if err := up.readFiles(r.Context(), s); err != nil {
		return nil, err
	}
	plan, err := s.Plan(r.Context(), up.file, up.planOptions())
	if err != nil {
		return nil, err
	}
	told := planned{plan.Revision, !plan.Empty(), orEmpty(plan.Changes), plan.Bare, warningsOf(up.file, plan.Warnings)}
	return told, nil
}

// apply applies scope files. Unless the request names the revision of a plan, it
// plans anew if somebody else changes the store between plan and apply.
func (m *management) apply(r *http.Request) (any, error) {
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	up, err := receiveUpload(r, "name", "prune", "allow_widen", "revision")
	if err != nil {
		return nil, err
	}
	defer spaceCollections(garbageOfFile)()
	if err := up.readFiles(r.Context(), s); err != nil {
		return nil, err
	}
	for range maxPlans {
		var done planned
		if done, err = m.applyOnce(r, s, up); !errors.Is(err, store.ErrMoved) || up.revision != nil {
			return done, err
		}
	}
	return nil, err
}

func (m *management) applyOnce(r *http.Request, s *store.Store, up *upload) (planned, error) {
	plan, err := s.Plan(r.Context(), up.file, up.planOptions())
	if err != nil {
		return planned{}, err
	}
	if up.revision != nil && plan.Revision != *up.revision {
		return planned{}, fmt.Errorf("%w: it was at revision %d, and is at %d now; plan again", store.ErrMoved, *up.revision, plan.Revision)
	}
	result, err := s.Apply(r.Context(), plan, store.ApplyOptions{
		Actor: m.actor(r), AllowWiden: up.allowWiden, File: up.name, Digest: up.digest,
	})
	if errors.Is(err, store.ErrWiden) {
		return planned{}, &refusal{status: statusOf(err), Message: err.Error(), Widens: widening(plan)}
	}
	if err != nil {
		return planned{}, err
	}
	done := planned{result.Revision, !plan.Empty(), orEmpty(result.Changes), plan.Bare, warningsOf(up.file, result.Warnings)}
	return done, nil
}

// widening returns the changes of a plan that widen.
func widening(p *store.Plan) []store.Change {
	return slices.DeleteFunc(slices.Clone(p.Changes), func(c store.Change) bool { return !c.Widens })
}

// drift tells where the store is not as scope files say.
func (m *management) drift(r *http.Request) (any, error) {
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	up, err := receiveUpload(r, "name")
	if err != nil {
		return nil, err
	}
	defer spaceCollections(garbageOfFile)()
	if err := up.readFiles(r.Context(), s); err != nil {
		return nil, err
	}
	drift, err := s.Drift(r.Context(), up.file)
	if err != nil {
		return nil, err
	}
	return planned{drift.Revision, len(drift.Differences) > 0, orEmpty(drift.Differences), nil, warningsOf(up.file, nil)}, nil
}

// export returns the store as a scope file. What it leaves out stands in comments.
func (m *management) export(r *http.Request) (any, error) {
	values, err := parameters(r, "owner", "account")
	if err != nil {
		return nil, err
	}
	if err := noBody(r); err != nil {
		return nil, err
	}
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	o := store.ExportOptions{Account: values.Get("account")}
	if values.Has("owner") {
		owner := values.Get("owner")
		o.Owner = &owner
	}
	file, err := s.Export(o)
	if err != nil {
		return nil, err
	}
	var comments bytes.Buffer
	for _, w := range file.Warnings {
		fmt.Fprintf(&comments, "# %s\n", w.Text)
	}
	return document{"application/yaml", append(comments.Bytes(), file.Marshal()...)}, nil
}

// warningsOf returns what a file has that is legal but probably not meant, and
// what of it a plan leaves out.
func warningsOf(file *scopes.File, plan []string) []problem {
	var warnings []problem
	for _, w := range file.Warnings {
		warnings = append(warnings, problem(w))
	}
	for _, text := range plan {
		warnings = append(warnings, problem{File: file.Name, Text: text})
	}
	return warnings
}

// orEmpty returns a slice that JSON shows as [], not as null.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// count returns "1 thing" or "2 things".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
