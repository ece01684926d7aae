package store

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/scopegate/scopegate/scopes"
)

// Random sequences of changes, restarts and restored copies, with time passing: after
// each step the store and the model agree on every token, and on what a request gets
// that is sent with any credential that there ever was. SCOPEGATE_SOAK=1 makes more
// than 10 000 steps of it.
func TestModel(t *testing.T) {
	t.Parallel()
	checks, steps := "10", "40"
	if os.Getenv("SCOPEGATE_SOAK") != "" {
		checks, steps = "100", "150"
	}
	setUnlessGiven(t, map[string]string{"rapid.checks": checks, "rapid.steps": steps})
	total := 0
	rapid.Check(t, func(r *rapid.T) {
		dir := t.TempDir()
		w := &world{
			tb: reporter{t, r}, path: filepath.Join(dir, "scopegate.db"), copy: filepath.Join(dir, "older.db"),
			model: newModel(), random: newSeededBy(1), log: new(lines),
		}
		defer func() {
			if r.Failed() {
				r.Logf("the store's log:\n%s", w.log)
			}
		}()
		w.open(r)
		defer func() { _ = w.store.Close() }()
		apply(w.tb, w.store, testFile())
		for i := range modelImports {
			w.seen = append(w.seen, modelImport(i))
		}
		actions := w.actions()
		actions[""] = w.check
		r.Repeat(actions)
		total += w.steps
	})
	t.Logf("%d steps", total)
}

// setUnlessGiven sets flags that the command line did not.
func setUnlessGiven(t *testing.T, values map[string]string) {
	t.Helper()
	flag.Visit(func(f *flag.Flag) { delete(values, f.Name) })
	for name, value := range values {
		if err := flag.Lookup(name).Value.Set(value); err != nil {
			t.Fatal(err)
		}
	}
}

// reporter lets helpers of other tests report to one run of a property.
type reporter struct {
	testing.TB
	run *rapid.T
}

func (r reporter) Helper()                      {}
func (r reporter) Error(args ...any)            { r.run.Error(args...) }
func (r reporter) Errorf(f string, args ...any) { r.run.Errorf(f, args...) }
func (r reporter) Fatal(args ...any)            { r.run.Fatal(args...) }
func (r reporter) Fatalf(f string, args ...any) { r.run.Fatalf(f, args...) }

// world is a store, and the model that it is compared with.
type world struct {
	tb         reporter
	path, copy string
	store      *Store
	model      *model
	copied     *model // what the older copy has; nil as long as there is none
	random     io.Reader
	seen       []scopes.Digest // of every credential that there ever was
	steps      int
	log        *lines // of the store
}

// modelImports is the number of credentials that were made elsewhere.
const modelImports = 5

func modelImport(i int) scopes.Digest {
	return scopes.DigestOf(fmt.Sprintf("made elsewhere, number %d", i))
}

func (w *world) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"create": w.create, "update": w.update, "issue": w.issue, "rotate": w.rotate, "retire": w.retire,
		"import": w.imports, "activate": w.activate, "deactivate": w.deactivate, "delete": w.delete,
		"apply": w.apply, "apply once more": w.apply, "rotate once more": w.rotate, "issue once more": w.issue,
		"create account": w.createAccount, "delete account": w.deleteAccount,
		"let time pass": w.advance, "reopen": w.reopen, "copy": w.backup, "restore": w.restore,
	}
}

func (w *world) open(t *rapid.T) {
	s, err := Open(w.path, Options{Now: func() time.Time { return w.model.now }, Random: w.random, Logger: w.log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	w.store = s
}

func (w *world) close(t *rapid.T) {
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
}

// settle compares how a change ended with how the model says that it must, and makes
// next what is expected from now on. It reports whether the change was made.
func (w *world) settle(t *rapid.T, next *model, want []error, got error) bool {
	switch {
	case len(want) == 0 && got != nil:
		t.Fatalf("it failed: %v", got)
	case len(want) == 0:
		w.model = next
		return true
	case !slices.ContainsFunc(want, func(err error) bool { return errors.Is(got, err) }):
		t.Fatalf("got error %v, want one of %v", got, want)
	}
	return false
}

func (w *world) create(t *rapid.T) {
	account, spec := drawAccount(t), drawSpec(t, drawName(t))
	d := w.drawImport(t)
	declared := spec.token()
	declared.Credential = d
	token, err := w.store.Create(t.Context(), tester, account, &declared)
	next, want := w.model.create(account, spec, d)
	if w.settle(t, next, want, err) {
		w.learn(t, next, token.ID)
	}
}

// learn gives the newest token of the model the id that it got.
func (w *world) learn(t *rapid.T, next *model, id string) {
	if !isID(id) || next.find(id) != nil {
		t.Fatalf("a new token got the id %q", id)
	}
	for _, token := range next.tokens {
		if token.id == "" {
			token.id = id
			return
		}
	}
}

func (w *world) update(t *rapid.T) {
	ref, allow := w.drawRef(t), rapid.Bool().Draw(t, "allow widen")
	spec := drawSpec(t, "ignored")
	_, _, err := w.store.Update(t.Context(), tester, ref, func(t *scopes.Token) error {
		*t = spec.token()
		return nil
	}, UpdateOptions{AllowWiden: allow})
	next, want := w.model.update(ref, spec, allow)
	w.settle(t, next, want, err)
}

func (w *world) issue(t *rapid.T) {
	ref := w.drawRef(t)
	issued, err := w.store.Issue(t.Context(), tester, ref)
	next, want := w.model.issue(ref, issued.Credential.Digest())
	if w.settle(t, next, want, err) {
		w.seen = append(w.seen, issued.Credential.Digest())
	}
}

func (w *world) rotate(t *rapid.T) {
	ref := w.drawRef(t)
	overlap := rapid.SampledFrom([]time.Duration{time.Hour, 0, 7 * 24 * time.Hour}).Draw(t, "overlap")
	issued, err := w.store.Rotate(t.Context(), tester, ref, overlap)
	next, want := w.model.rotate(ref, overlap, issued.Credential.Digest())
	if w.settle(t, next, want, err) {
		w.seen = append(w.seen, issued.Credential.Digest())
	}
}

func (w *world) retire(t *rapid.T) {
	ref := w.drawRef(t)
	_, err := w.store.Retire(t.Context(), tester, ref)
	next, want := w.model.retire(ref)
	w.settle(t, next, want, err)
}

func (w *world) imports(t *rapid.T) {
	ref, d := w.drawRef(t), w.drawSeen(t)
	_, err := w.store.Import(t.Context(), tester, ref, d, "")
	next, want := w.model.imported(ref, d)
	w.settle(t, next, want, err)
}

func (w *world) activate(t *rapid.T) {
	ref := w.drawRef(t)
	_, err := w.store.Activate(t.Context(), tester, ref)
	next, want := w.model.activate(ref)
	w.settle(t, next, want, err)
}

func (w *world) deactivate(t *rapid.T) {
	ref := w.drawRef(t)
	_, err := w.store.Deactivate(t.Context(), tester, ref)
	next, want := w.model.deactivate(ref)
	w.settle(t, next, want, err)
}

func (w *world) delete(t *rapid.T) {
	ref := w.drawRef(t)
	_, err := w.store.Delete(t.Context(), tester, ref)
	next, want := w.model.delete(ref)
	w.settle(t, next, want, err)
}

func (w *world) createAccount(t *rapid.T) {
	name, limit := drawAccount(t), drawLimit(t)
	_, err := w.store.CreateAccount(t.Context(), tester, &scopes.Account{Name: name, MaxActiveTokens: limit})
	next, want := w.model.createAccount(name, limit)
	w.settle(t, next, want, err)
}

func (w *world) deleteAccount(t *rapid.T) {
	name := drawAccount(t)
	err := w.store.DeleteAccount(t.Context(), tester, name)
	next, want := w.model.deleteAccount(name)
	w.settle(t, next, want, err)
}

// apply applies a file, and then once more, which must change nothing.
func (w *world) apply(t *rapid.T) {
	f := w.drawFile(t)
	prune, allow := rapid.Bool().Draw(t, "prune"), rapid.Bool().Draw(t, "allow widen")
	po, ao := PlanOptions{Prune: prune}, ApplyOptions{Actor: tester, AllowWiden: allow}
	_, err := tryApply(w.store, f.file(), po, ao)
	next, want := w.model.apply(f, prune, allow)
	if !w.settle(t, next, want, err) {
		return
	}
	for _, token := range next.tokens {
		if token.id != "" {
			continue
		}
		made, err := w.store.Token(token.ref())
		if err != nil {
			t.Fatal(err)
		}
		w.learn(t, next, made.ID)
	}
	before := w.store.Snapshot().Revision()
	plan, err := w.store.Plan(t.Context(), f.file(), po)
	if err != nil || !plan.Empty() {
		t.Fatalf("applying the file again would change %+v, %v", plan, err)
	}
	if _, err := w.store.Apply(t.Context(), plan, ao); err != nil || w.store.Snapshot().Revision() != before {
		t.Fatalf("applying the file again: revision %d after %d, %v", w.store.Snapshot().Revision(), before, err)
	}
}

func (w *world) advance(t *rapid.T) {
	const day = 24 * time.Hour
	w.model.advance(rapid.SampledFrom([]time.Duration{time.Hour, time.Second, day, 8 * day}).Draw(t, "time"))
}

func (w *world) reopen(t *rapid.T) {
	w.close(t)
	w.open(t)
}

func (w *world) backup(*rapid.T) {
	copyFile(w.tb, w.path, w.copy)
	w.copied = w.model.clone()
}

func (w *world) restore(t *rapid.T) {
	if w.copied == nil {
		return
	}
	w.close(t)
	copyFile(w.tb, w.copy, w.path)
	w.model = w.model.restored(w.copied)
	w.open(t)
}

func drawAccount(t *rapid.T) string {
	return rapid.SampledFrom([]string{"acme", "globex"}).Draw(t, "account")
}

func drawName(t *rapid.T) string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name") }

func drawLimit(t *rapid.T) int { return rapid.SampledFrom([]int{2, 3, 0}).Draw(t, "limit") }

// drawRef draws a token by its name, or by an id that there ever was.
func (w *world) drawRef(t *rapid.T) string {
	if len(w.model.tokens) > 0 && rapid.IntRange(0, 3).Draw(t, "by id") == 0 {
		return w.model.tokens[rapid.IntRange(0, len(w.model.tokens)-1).Draw(t, "id")].id
	}
	return drawAccount(t) + "/" + drawName(t)
}

// drawImport draws a credential to import, mostly none.
func (w *world) drawImport(t *rapid.T) scopes.Digest {
	if rapid.IntRange(0, 2).Draw(t, "import") > 0 {
		return scopes.Digest{}
	}
	return w.drawSeen(t)
}

// drawSeen draws a credential, or one to import, by its position.
func (w *world) drawSeen(t *rapid.T) scopes.Digest {
	return w.seen[rapid.IntRange(0, len(w.seen)-1).Draw(t, "credential")]
}

func drawSpec(t *rapid.T, name string) modelSpec {
	const day = 24 * time.Hour
	s := modelSpec{
		name:        name,
		inactive:    rapid.IntRange(0, 4).Draw(t, "inactive") == 4,
		environment: rapid.SampledFrom([]string{"", "test"}).Draw(t, "environment"),
		sources:     rapid.IntRange(0, len(modelSources)-1).Draw(t, "sources"),
	}
	if rapid.IntRange(0, 2).Draw(t, "newest") == 2 {
		s.rate = rapid.IntRange(0, len(modelLimits)-1).Draw(t, "rate")
		s.quota = rapid.IntRange(0, len(modelLimits)-1).Draw(t, "quota")
		s.shadow = cells(rapid.IntRange(0, int(everyCell)).Draw(t, "shadow"))
		s.keep = rapid.Bool().Draw(t, "keep")
	}
	if after := rapid.SampledFrom([]time.Duration{0, day, 10 * day, -day}).Draw(t, "expires"); after != 0 {
		s.expires = testNow.Add(after)
	}
	if s.access = scopes.Access(rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "access")); s.access == scopes.ScopedAccess {
		s.granted = cells(rapid.IntRange(1, int(everyCell)).Draw(t, "granted"))
	}
	return s
}

func (w *world) drawFile(t *rapid.T) *modelFile {
	f := &modelFile{owner: rapid.SampledFrom([]string{"", "team"}).Draw(t, "owner")}
	if rapid.IntRange(0, 2).Draw(t, "lacks an operation") == 2 {
		f.lacks = createCells
	}
	for _, account := range []string{"acme", "globex"} {
		if !rapid.Bool().Draw(t, account) {
			continue
		}
		a := modelFileAccount{name: account, limit: drawLimit(t)}
		for _, name := range []string{"a", "b", "c"} {
			if rapid.Bool().Draw(t, name) {
				a.tokens = append(a.tokens, modelFileToken{w.drawDeclared(t, account, name), w.drawImport(t)})
			}
		}
		f.accounts = append(f.accounts, a)
	}
	return f
}

// drawDeclared draws what a file has of a token: often what it had before.
func (w *world) drawDeclared(t *rapid.T, account, name string) modelSpec {
	known := w.model.find(account + "/" + name)
	if known != nil && known.declared != nil && rapid.Bool().Draw(t, "as before") {
		return *known.declared
	}
	return drawSpec(t, name)
}
