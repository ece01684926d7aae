package caddymodule

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"time"

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
	Warnings []problem      `json:"warnings,omitempty"`
}

// upload is a scope file that was sent, and what to do with it.
type upload struct {
	file       *scopes.File
	digest     [sha256.Size]byte // of its bytes
	prune      bool
	allowWiden bool
}

// plan tells what applying a scope file would do.
func (m *management) plan(r *http.Request) (any, error) {
	up, err := readUpload(r, "name", "prune")
	if err != nil {
		return nil, err
	}
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	plan, err := s.Plan(r.Context(), up.file, store.PlanOptions{Prune: up.prune})
	if err != nil {
		return nil, err
	}
	return planned{plan.Revision, !plan.Empty(), orEmpty(plan.Changes), warningsOf(up.file, plan.Warnings)}, nil
}

// apply applies a scope file. It plans anew if somebody else changes the store
// between plan and apply.
func (m *management) apply(r *http.Request) (any, error) {
	up, err := readUpload(r, "name", "prune", "allow_widen")
	if err != nil {
		return nil, err
	}
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	for range maxPlans {
		var done planned
		if done, err = m.applyOnce(r, s, up); !errors.Is(err, store.ErrMoved) {
			return done, err
		}
	}
	return nil, err
}

func (m *management) applyOnce(r *http.Request, s *store.Store, up upload) (planned, error) {
	plan, err := s.Plan(r.Context(), up.file, store.PlanOptions{Prune: up.prune})
	if err != nil {
		return planned{}, err
	}
	result, err := s.Apply(r.Context(), plan, store.ApplyOptions{
		Actor: m.actor(r), AllowWiden: up.allowWiden, File: up.file.Name, Digest: up.digest,
	})
	if errors.Is(err, store.ErrWiden) {
		return planned{}, &refusal{status: statusOf(err), Message: err.Error(), Widens: widening(plan)}
	}
	if err != nil {
		return planned{}, err
	}
	return planned{result.Revision, !plan.Empty(), orEmpty(result.Changes), warningsOf(up.file, result.Warnings)}, nil
}

// widening returns the changes of a plan that widen.
func widening(p *store.Plan) []store.Change {
	return slices.DeleteFunc(slices.Clone(p.Changes), func(c store.Change) bool { return !c.Widens })
}

// readUpload reads the scope file in the body of a request, and the parameters
// that may stand beside it. The body is the file's bytes and nothing else, so
// that they are read exactly as they would be from a disk.
func readUpload(r *http.Request, known ...string) (upload, error) {
	values, err := parameters(r, known...)
	if err != nil {
		return upload{}, err
	}
	var up upload
	if up.prune, err = switched(values, "prune"); err != nil {
		return upload{}, err
	}
	if up.allowWiden, err = switched(values, "allow_widen"); err != nil {
		return upload{}, err
	}
	if err := hasMediaType(r, "application/yaml", "application/x-yaml", "text/yaml", "application/json"); err != nil {
		return upload{}, err
	}
	src, err := readBody(r, scopes.MaxFileBytes)
	if err != nil {
		return upload{}, err
	}
	up.digest = sha256.Sum256(src)
	name := values.Get("name")
	if name == "" {
		name = "scopes.yaml"
	}
	if up.file, err = readScopes(name, src, time.Now()); err != nil {
		return upload{}, refuseFile(name, err)
	}
	return up, nil
}

// refuseFile says that a scope file is not valid, and where.
func refuseFile(name string, err error) error {
	problems := problemsOf(err)
	return &refusal{
		status:   http.StatusUnprocessableEntity,
		Message:  fmt.Sprintf("%s is not valid: %s", name, count(len(problems), "problem")),
		Problems: problems,
	}
}

// hasMediaType refuses a body of another type than those that are expected.
func hasMediaType(r *http.Request, expected ...string) error {
	found, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && slices.Contains(expected, found) {
		return nil
	}
	return failf(http.StatusUnsupportedMediaType, "the Content-Type is %q; expected %s",
		r.Header.Get("Content-Type"), expected[0])
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
