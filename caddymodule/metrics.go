package caddymodule

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/scopegate/scopegate/proxy"
	"github.com/scopegate/scopegate/scopes"
)

// processMetrics are the collectors of this process. Caddy makes a new registry
// for each configuration; the collectors outlive it, so that counts go on.
var processMetrics = newMetrics()

// metrics are what Scopegate counts. No label says which token it was: their
// number is not bounded.
type metrics struct {
	decisions decisionCounters
	duration  prometheus.Histogram
	applies   *prometheus.CounterVec
	ended     *prometheus.CounterVec
	late      prometheus.Histogram
	messages  *prometheus.CounterVec
	state     *storeCollector
}

// endReasons are why open requests are ended as a rule.
var endReasons = []scopes.Reason{scopes.Stale, scopes.UnknownToken, scopes.Inactive, scopes.Expired, scopes.OperationNotGranted}

func newMetrics() *metrics {
	const namespace, subsystem = "caddy", "scopegate"
	m := &metrics{
		decisions: decisionCounters{vec: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "decisions_total",
			Help: "Decisions on requests, by API, version, decision (allow, deny, preflight) and reason of a denial.",
		}, []string{"api", "version", "decision", "reason"})},
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "decision_duration_seconds",
			Help:    "Time from a request's header to the decision on it.",
			Buckets: []float64{250e-9, 500e-9, 1e-6, 2e-6, 4e-6, 8e-6, 16e-6, 64e-6, 256e-6, 1e-3},
		}),
		applies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "scopes_apply_total",
			Help: "Attempts to apply the scope file, by result (applied, unchanged, failed).",
		}, []string{"result"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "requests_ended_total",
			Help: "Open requests that were ended because they were no longer allowed, by reason of the denial.",
		}, []string{"reason"}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "change_apply_seconds",
			Help:    "Time from when another node's change was made until this node decides by it.",
			Buckets: []float64{1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 10, 60},
		}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "messages_total",
			Help: "Tries to deliver a message, by channel and result (delivered, failed, given_up).",
		}, []string{"channel", "result"}),
		state: &storeCollector{
			tokens: prometheus.NewDesc("caddy_scopegate_tokens",
				"Tokens by state (active, inactive).", []string{"state"}, nil),
			revision: prometheus.NewDesc("caddy_scopegate_store_revision",
				"Number of the last change in the store.", nil, nil),
			staleness: prometheus.NewDesc("caddy_scopegate_replica_staleness_seconds",
				"Time since this node was last known to have all changes of the others.", nil, nil),
			lag: prometheus.NewDesc("caddy_scopegate_replica_lag_revisions",
				"How many revisions the last changes of others came late.", nil, nil),
			pending: prometheus.NewDesc("caddy_scopegate_replica_pending",
				"Tokens whose revocation the other nodes have yet to get.", nil, nil),
			resyncs: prometheus.NewDesc("caddy_scopegate_resyncs_total",
				"Downloads of everything, by reason (empty, epoch, regress, diverge, trimmed, integrity).", []string{"reason"}, nil),
			lost: prometheus.NewDesc("caddy_scopegate_wakeups_lost_total",
				"Changes of other nodes that this one found by itself, for no message told it of them.", nil, nil),
			unsent: prometheus.NewDesc("caddy_scopegate_messages_pending",
				"How often somebody is still to be told of an event.", nil, nil),
			uncounted: prometheus.NewDesc("caddy_scopegate_usage_lost_total",
				"Requests whose use could not be counted, for there was no room; reports say it too.", nil, nil),
		},
	}
	for _, result := range []string{applyApplied, applyUnchanged, applyFailed} {
		m.applies.WithLabelValues(result) // so that the first one is seen as a rise from zero
	}
	for _, reason := range endReasons {
		m.ended.WithLabelValues(reason.String())
	}
	return m
}

// Results of attempts to apply the scope file.
const (
	applyApplied   = "applied"
	applyUnchanged = "unchanged"
	applyFailed    = "failed"
)

// register puts the collectors into a configuration's registry.
func (m *metrics) register(registry *prometheus.Registry) error {
	for _, c := range []prometheus.Collector{m.decisions.vec, m.duration, m.applies, m.ended, m.late, m.messages, m.state} {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}

// Provision puts the metrics of the running configuration into the registry of the
// next one. Caddy's admin endpoint tells from that even after the next one was
// rejected, perhaps before its scopegate app got to do so.
func (*Admin) Provision(ctx caddy.Context) error {
	if _, err := activeStore(); err != nil {
		return nil //nolint:nilerr // no such app runs
	}
	return processMetrics.register(ctx.GetMetricsRegistry())
}

// count counts a decision and the time that it took.
func (m *metrics) count(v *proxy.Verdict, took time.Duration) {
	m.duration.Observe(took.Seconds())
	m.decisions.of(v).Inc()
}

// applied takes note of how late changes of other nodes were.
func (m *metrics) applied(late time.Duration) { m.late.Observe(late.Seconds()) }

// decisionCounters finds the counter of a decision. By its labels alone that takes
// about as long as the decision itself, so it remembers those that it has found.
// There are as many as there are labels: no client can make one up.
type decisionCounters struct {
	vec   *prometheus.CounterVec
	found atomic.Pointer[map[outcome]prometheus.Counter] // replaced, never modified
	mu    sync.Mutex                                     // guards the replacing
}

// outcome is what tells the counters of decisions apart.
type outcome struct {
	api, version string
	reason       scopes.Reason
	preflight    bool
}

func (d *decisionCounters) of(v *proxy.Verdict) prometheus.Counter {
	o := outcome{apiName(v), v.Decision.Version, v.Decision.Reason, v.Preflight()}
	if found := d.found.Load(); found != nil {
		if counter, ok := (*found)[o]; ok {
			return counter
		}
	}
	counter := d.vec.WithLabelValues(o.api, o.version, decisionWord(v), reasonCode(v))
	d.remember(o, counter)
	return counter
}

func (d *decisionCounters) remember(o outcome, counter prometheus.Counter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	more := make(map[outcome]prometheus.Counter)
	if found := d.found.Load(); found != nil {
		maps.Copy(more, *found)
	}
	more[o] = counter
	d.found.Store(&more)
}

// storeCollector reads the state of the store of the running configuration
// whenever it is asked for. It does not keep the store: a configuration that is
// rejected may have opened another one.
type storeCollector struct {
	tokens, revision                       *prometheus.Desc
	staleness, lag, pending, resyncs, lost *prometheus.Desc // of a node among others
	uncounted, unsent                      *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *storeCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.tokens, c.revision, c.staleness, c.lag, c.pending, c.resyncs, c.lost, c.uncounted, c.unsent} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (c *storeCollector) Collect(values chan<- prometheus.Metric) {
	s, err := activeStore()
	if err != nil {
		return // there is nothing to tell of
	}
	snapshot := s.Snapshot()
	if snapshot == nil {
		return
	}
	counts := snapshot.Counts()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		values <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(c.tokens, float64(counts.Active), "active")
	gauge(c.tokens, float64(counts.Inactive), "inactive")
	gauge(c.revision, float64(snapshot.Revision()))
	if ledger, err := activeUsage(); err == nil {
		values <- prometheus.MustNewConstMetric(c.uncounted, prometheus.CounterValue, float64(ledger.Lost()))
	}
	if messages, err := (&management{messages: activeNotifier}).messagesStatus(); err == nil && messages != nil {
		gauge(c.unsent, float64(messages.Pending))
	}
	state, ok := s.Replication()
	if !ok {
		return
	}
	staleness := float64(neverVerified)
	if !state.Verified.IsZero() {
		staleness = max(0, steadyNow().Sub(state.Verified).Seconds())
	}
	gauge(c.staleness, staleness)
	gauge(c.lag, float64(state.Behind))
	gauge(c.pending, float64(state.Pending))
	values <- prometheus.MustNewConstMetric(c.lost, prometheus.CounterValue, float64(state.LostWakeups))
	for reason, n := range state.Rejoins {
		values <- prometheus.MustNewConstMetric(c.resyncs, prometheus.CounterValue, float64(n), reason)
	}
}

var (
	_ caddy.Provisioner    = (*Admin)(nil)
	_ prometheus.Collector = (*storeCollector)(nil)
)
