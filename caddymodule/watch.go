package caddymodule

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/scopes/reading"
	"github.com/scopegate/scopegate/store"
)

// watchInterval is how often the scope file is looked at. It is applied once it
// has stayed the same for one interval, so that a file that is being written is
// not read by half. Looking, rather than waiting for the kernel to tell, also
// works on network file systems and through the links of a Kubernetes volume.
const watchInterval = 500 * time.Millisecond

// retryInterval is how long a file that could not be applied for another reason
// than its content is left alone before it is tried again.
const retryInterval = 5 * time.Second

// maxPlans bounds how often a change is planned anew because others changed the
// store in between.
const maxPlans = 5

// watch applies a scope file whenever its bytes, or those of the OpenAPI documents
// that it names, differ from those that were last applied from the same path. A file
// that cannot be applied changes nothing.
type watch struct {
	store   *pooled
	file    *ScopeFile
	source  string // the path by which the store remembers what was applied
	logger  *zap.Logger
	metrics *metrics

	seen    os.FileInfo // as it was when looked at last; nil for none
	named   watched     // the documents that it named when it was read last
	settled bool        // seen has been dealt with
	retry   time.Time   // when seen is tried again that was not dealt with
	failure string      // why seen was not applied, so that it is told once
	alone   bool        // it was not applied because the other nodes could not be reached

	cancel context.CancelFunc
	done   chan struct{}
}

func newWatch(s *pooled, file *ScopeFile, logger *zap.Logger, m *metrics) *watch {
	source := file.Path
	if absolute, err := filepath.Abs(source); err == nil {
		source = absolute
	}
	return &watch{store: s, file: file, source: source, logger: logger, metrics: m}
}

// first applies the file before any request is decided on. If that fails, the
// store goes on with what was applied before, and it is an error only if there
// was nothing before. A node that cannot reach the others starts: it decides nothing
// until it has heard of them, and then the file is tried again.
func (w *watch) first() error {
	seen, err := w.await()
	if err == nil {
		w.seen = seen
		err = w.apply(context.Background())
	}
	w.settle(err)
	if err == nil {
		return nil
	}
	_, before, lookup := w.store.Store().AppliedDigest(w.source)
	if lookup != nil {
		return fmt.Errorf("scopegate: %w", lookup)
	}
	if !before && !w.alone {
		w.metrics.applies.WithLabelValues(applyFailed).Inc()
		return fmt.Errorf("scopegate: the scope file cannot be applied, and none was applied before:\n%w", err)
	}
	w.fail(err)
	return nil
}

// await returns the file's stat once neither it nor a document that it names has
// been written for one interval: at start too, a file that is being written is not
// read by half.
func (w *watch) await() (os.FileInfo, error) {
	info, err := rested(w.file.Path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe is read once only
		return info, nil
	}
	src, err := os.ReadFile(w.file.Path)
	if err != nil {
		return nil, err
	}
	for _, path := range scopes.DocumentPaths(scopes.Source{Name: w.file.Path, Data: src}) {
		_, _ = rested(path) // why one cannot be read is told when it is
	}
	return info, nil
}

// rested returns a file's stat once it has not been written for one interval. It does
// not wait for ever for one that never rests.
func rested(path string) (os.FileInfo, error) {
	for patience := 10; ; patience-- {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		age := time.Since(info.ModTime())
		if age < 0 || age >= watchInterval || patience == 0 {
			return info, nil
		}
		time.Sleep(watchInterval - age) //nolint:forbidigo // a file does not tell that it rests, and Start has no context that could end first
	}
}

// start goes on to look at the file until stop.
func (w *watch) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.done = make(chan struct{})
	go w.run(ctx)
}

// stop ends the watch and waits for an apply that is under way.
func (w *watch) stop() {
	if w.cancel != nil {
		w.cancel()
		<-w.done
	}
}

func (w *watch) run(ctx context.Context) {
	defer close(w.done)
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.look(ctx)
		}
	}
}

// look applies the file if it has changed and then stayed the same since the
// last look.
func (w *watch) look(ctx context.Context) {
	now, err := os.Stat(w.file.Path)
	if err != nil {
		w.seen, w.settled = nil, false
		w.fail(err)
		return
	}
	if changed := w.named.changed(); changed || !sameFile(w.seen, now) {
		w.seen, w.settled, w.retry, w.failure, w.alone = now, false, time.Time{}, "", false
		return
	}
	if w.settled || w.waits() {
		return
	}
	err = w.apply(ctx)
	if ctx.Err() != nil {
		return // stopped: whatever comes of it is the next configuration's
	}
	w.settle(err)
	if err != nil {
		w.fail(err)
	}
}

// settle takes note of what came of applying the file. What is wrong with its
// content stays wrong until it changes; anything else may pass.
func (w *watch) settle(err error) {
	var content scopes.Problems
	w.settled = err == nil || errors.As(err, &content)
	w.alone = errors.Is(err, store.ErrUnreachable) || errors.Is(err, store.ErrUncertain)
	w.retry = time.Now().Add(retryInterval)
}

// waits reports whether it is too early to try again. Where the other nodes could not be
// reached, it is of use as soon as they can, and of none before.
func (w *watch) waits() bool {
	if state, ok := w.store.Store().Replication(); ok && w.alone {
		return !state.Joined || state.Err != nil
	}
	return time.Now().Before(w.retry)
}

func sameFile(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// fail tells why the file was not applied, once for each reason.
func (w *watch) fail(err error) {
	if err.Error() == w.failure {
		return
	}
	w.failure = err.Error()
	w.metrics.applies.WithLabelValues(applyFailed).Inc()
	w.logger.Error("scope file not applied; what was applied before stays in force",
		zap.String("file", w.file.Path), zap.Error(err))
}

// apply applies the file as it is now, unless it is what was applied last.
func (w *watch) apply(ctx context.Context) error {
	defer spaceCollections(garbageOfFile)()
	src, err := os.ReadFile(w.file.Path)
	if err != nil {
		return err
	}
	source := scopes.Source{Name: w.file.Path, Data: src}
	w.named = watchDocuments(source) // looked at before they are read, so that no change is missed
	named := readDocuments(source)
	digest := named.digest(source)
	_, again, err := w.store.Store().AppliedDigest(w.source)
	if err != nil {
		return err
	}
	generation, err := w.store.Store().Generation(w.source, digest)
	if err != nil {
		return err
	}
	if generation != store.Newer {
		w.metrics.applies.WithLabelValues(applyUnchanged).Inc()
		if generation == store.Older {
			w.logger.Warn("this node's scope file is older than the one that was applied last, by another node; it is left alone",
				zap.String("file", w.file.Path))
		}
		return nil
	}
	known, err := w.store.Store().APIs()
	if err != nil {
		return err
	}
	file, err := readScopes(ctx, []scopes.Source{source}, reading.Options{Now: time.Now(), Known: known, Documents: named})
	if err != nil {
		return err
	}
	result, err := w.change(ctx, file, digest, again)
	if err != nil {
		return w.explainReview(err)
	}
	w.metrics.applies.WithLabelValues(applyApplied).Inc()
	w.report(file, result)
	return nil
}

// change plans and makes the change, anew if somebody else changed the store in
// between. The first file from a path may bring credentials along; again is set for
// those after it.
func (w *watch) change(ctx context.Context, file *scopes.File, digest [sha256.Size]byte, again bool) (result store.Result, err error) {
	for range maxPlans {
		var plan *store.Plan
		if plan, err = w.store.Store().Plan(ctx, file, store.PlanOptions{}); err != nil {
			return store.Result{}, err
		}
		result, err = w.store.Store().Apply(ctx, plan, store.ApplyOptions{
			Actor: store.Actor{Name: "scope file " + w.file.Path}, AllowWiden: !w.file.Review, Review: again,
			File: w.file.Path, Source: w.source, Digest: digest,
		})
		if !errors.Is(err, store.ErrMoved) {
			return result, err
		}
	}
	return store.Result{}, err
}

// explainReview says what to do about a file that widens and waits for a review.
func (w *watch) explainReview(err error) error {
	if !errors.Is(err, store.ErrWiden) {
		return err
	}
	return fmt.Errorf("%w; once it is reviewed, run: caddy scopegate apply --allow-widen %s", err, w.file.Path)
}

func (w *watch) report(file *scopes.File, result store.Result) {
	for _, warning := range file.Warnings {
		w.logger.Warn(warning.Error())
	}
	for _, warning := range result.Warnings {
		w.logger.Warn(warning)
	}
	w.logger.Info("scope file applied", zap.String("file", w.file.Path),
		zap.Uint64("revision", result.Revision), zap.Int("changes", len(result.Changes)))
}
