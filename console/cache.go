package console

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
)

// A page waits this long for a report, and then shows the one before.
const patience = 50 * time.Millisecond

// How often a report is made that takes longer than a page waits: it may take a twentieth
// of the time, and once a minute is enough.
const (
	reportShare = 20
	reportRest  = time.Minute
)

// reportCache keeps the answers of routes that take long where there are many tokens, and
// has new ones made while pages show the ones before. An answer does not depend on who
// asks, and is shown to nobody whose token may not ask for it.
type reportCache struct {
	routes Routes
	logger *slog.Logger
	making sync.WaitGroup

	mu     sync.Mutex // guards what follows, and what it refers to
	closed bool
	kept   map[string]*keptReport
}

// keptReport is the latest answer to one request.
type keptReport struct {
	answer Answer // Status is 0 if there is none yet
	at     time.Time
	took   time.Duration
	made   chan struct{}      // closed when the one that is being made is there; nil: none is
	cancel context.CancelFunc // of that
}

func newReportCache(routes Routes, logger *slog.Logger) *reportCache {
	return &reportCache{routes: routes, logger: logger, kept: make(map[string]*keptReport)}
}

// close has nothing more made, and returns when nothing is.
func (c *reportCache) close() {
	c.mu.Lock()
	c.closed = true
	for _, report := range c.kept {
		if report.cancel != nil {
			report.cancel()
		}
	}
	c.mu.Unlock()
	c.making.Wait()
}

// freshness is how new a report is.
type freshness struct {
	Ready  bool      // false: the first one is being made
	At     time.Time // when it was made
	Making bool      // a newer one is being made
}

// ask reads a report into value, as old as it may be.
func (c *reportCache) ask(v *visit, target string, value any) (freshness, error) {
	if !v.client.May(http.MethodGet, target) {
		return freshness{}, &Failure{Status: http.StatusForbidden, Method: http.MethodGet, Target: target}
	}
	report, made := c.look(v, target)
	if made != nil {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-made:
		case <-timer.C:
		}
	}
	c.mu.Lock()
	answer, told := report.answer, freshness{At: report.at, Making: report.made != nil}
	c.mu.Unlock()
	switch {
	case answer.Status == 0:
		return told, nil
	case answer.Status >= http.StatusMultipleChoices:
		return told, failureOf(http.MethodGet, target, answer)
	}
	told.Ready = true
	if err := json.Unmarshal(answer.Body, value); err != nil {
		return told, fmt.Errorf("console: the answer to GET %s: %w", target, err)
	}
	return told, nil
}

// look returns the report that is kept, and has a new one made if it is time for that. The
// channel is closed when that is there.
func (c *reportCache) look(v *visit, target string) (report *keptReport, made <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	report = c.kept[target]
	if report == nil {
		report = new(keptReport)
		c.kept[target] = report
	}
	if report.made == nil && report.due(time.Now()) && !c.closed {
		var ctx context.Context // it ends with the cache, not with the visit
		ctx, report.cancel = context.WithCancel(context.WithoutCancel(v.r.Context()))
		report.made = make(chan struct{})
		client := c.routes.As(v.r.WithContext(ctx), v.session.credential)
		c.making.Go(func() { c.make(report, client, target) })
	}
	return report, report.made
}

// due reports whether a new one is to be made.
func (k *keptReport) due(now time.Time) bool {
	if k.answer.Status != http.StatusOK {
		return true
	}
	rest := max(time.Second, reportShare*k.took)
	if k.took > patience {
		rest = max(reportRest, rest)
	}
	return now.Sub(k.at) >= rest
}

// make asks for a report and keeps it. What has failed replaces nothing that has not.
func (c *reportCache) make(report *keptReport, client Client, target string) {
	begun := time.Now()
	answer := c.do(client, target)
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer.Status == http.StatusOK || report.answer.Status != http.StatusOK {
		report.answer, report.at, report.took = answer, time.Now(), time.Since(begun)
	}
	close(report.made)
	report.cancel()
	report.made, report.cancel = nil, nil
}

// do sends the request. A panic ends the request and not the process, as it would where a
// server waits for the answer.
func (c *reportCache) do(client Client, target string) (answer Answer) {
	defer func() {
		if fault := recover(); fault != nil {
			c.logger.Error("a report cannot be made", "report", target, "panic", fault, "stack", string(debug.Stack()))
			answer = Answer{Status: http.StatusInternalServerError}
		}
	}()
	return client.Do(http.MethodGet, target, nil)
}
