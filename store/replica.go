package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

// replica keeps a store true to the other nodes'. It pulls what they have changed, and
// takes the store's own changes to the sequencer.
//
// The store's writer guards what it has, but for the fields that say otherwise.
type replica struct {
	store     *Store
	sequencer Sequencer
	integrity *integrity
	lease     lease // safe for concurrent use
	applied   func(late time.Duration)
	name      string
	version   string
	instance  string // of this replica, among all that go by the id
	known     bool   // the sequencer has a report of this instance under the id
	standing  standing
	early     map[string]bool // keys of tokens that were refused before the change was known
	epoch     string          // that the sequencer last had
	epochSeen time.Time       // since when it has been the one

	status  sync.Mutex // guards what follows
	id      string     // written by who has the writer too
	err     error
	logged  string // of err, in the log
	rejoins map[string]int
	behind  uint64
	lost    uint64 // wake-ups

	position atomic.Pointer[Position] // of the standing, for those who read
	cancel   context.CancelFunc
	done     chan struct{}
}

// pullInterval is how often a node asks for changes without having been told of any.
const pullInterval = time.Second

// Bounds of one pull, and of downloading everything and joining it.
const (
	pullTimeout   = 5 * time.Second
	rejoinTimeout = 5 * time.Minute
)

// maxPulls bounds how often a node pulls without a pause: meanwhile nothing else can be
// changed here.
const maxPulls = 10

// errRestless: each pull brought something.
var errRestless = errors.New("the history changed each time it was asked for; it is tried again")

func newReplica(s *Store, o *ClusterOptions) (*replica, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	integrity, err := newIntegrity(o.Secret)
	if err != nil {
		return nil, err
	}
	instance, err := newNodeID(s.random)
	if err != nil {
		return nil, err
	}
	r := &replica{
		store: s, sequencer: o.Sequencer, integrity: integrity, name: o.NodeName, version: o.Version, instance: instance,
		rejoins: noRejoins(), early: make(map[string]bool), done: make(chan struct{}), applied: o.Applied,
	}
	switch {
	case o.MaxStaleness == 0:
		r.lease.most = DefaultStaleness
	case o.MaxStaleness > 0:
		r.lease.most = o.MaxStaleness
	}
	return r, nil
}

// open reads where the node stands, gives it an id if it has none, and takes up the
// revocations that the others do not have yet.
func (r *replica) open() error {
	var waiting map[string]*revocation
	err := r.store.guard(func() error {
		return r.store.db.Update(func(tx *bolt.Tx) (err error) {
			read, err := newReader(tx)
			if err != nil {
				return err
			}
			if r.standing, err = read.standing(); err != nil {
				return err
			}
			if waiting, err = read.outbox(); err != nil {
				return err
			}
			if pending := r.store.pending.Load(); pending != nil {
				maps.Copy(waiting, *pending)
			}
			waiting = read.stillPending(waiting)
			meta := read.bucket(bucketMeta)
			if id := meta.Get(keyNode); id != nil {
				r.id = string(id)
				return nil
			}
			if r.id, err = newNodeID(r.store.random); err != nil {
				return err
			}
			return meta.Put(keyNode, []byte(r.id))
		})
	})
	r.publishPosition()
	r.store.pending.Store(nil)
	if err == nil && len(waiting) > 0 {
		r.store.pending.Store(&waiting)
	}
	return err
}

func (r *replica) publishPosition() {
	position := r.standing.Position
	r.position.Store(&position)
}

// start begins to follow the other nodes, until close.
func (r *replica) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go r.run(ctx)
}

// close ends it. The store's writer must be free, for a pull may be under way.
func (r *replica) close() error {
	if r.cancel == nil { // it was never started
		return nil
	}
	r.cancel()
	<-r.done
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = r.sequencer.Leave(ctx, r.id) // its report runs out by itself too
	return nil
}

func (r *replica) run(ctx context.Context) {
	defer close(r.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		woken := false
		var told []Keyed
		select {
		case <-ctx.Done():
			return
		case told = <-r.sequencer.Wakeups():
			woken, told = true, slices.Concat(told, r.toldSince())
		case <-timer.C:
		}
		r.round(ctx, woken, told)
		timer.Reset(pullInterval - pullInterval/10 + rand.N(pullInterval/5)) //nolint:gosec // only so that not all nodes pull at the same time
	}
}

// toldSince returns what other wake-ups have that came meanwhile: one round is for all. What
// comes now is for the next, or whoever sends without end would keep the node from asking.
func (r *replica) toldSince() (told []Keyed) {
	for range len(r.sequencer.Wakeups()) {
		told = append(told, <-r.sequencer.Wakeups()...)
	}
	return told
}

// round pulls until there is nothing new, and then sends what the others lack. woken is
// set if something has told that there is, perhaps with what was changed.
func (r *replica) round(ctx context.Context, woken bool, told []Keyed) {
	if r.store.lock(ctx) != nil {
		return
	}
	defer r.store.unlock()
	if r.store.Err() != nil {
		return
	}
	r.refuseTold(told)
	before := r.standing.Position
	err := r.catchUp(ctx)
	if err == nil {
		err = r.restoreTold()
	}
	if !woken && before.Epoch != "" && r.standing.Position != before {
		r.noteLost()
	}
	if err == nil && r.store.pending.Load() != nil {
		err = r.flush(ctx)
	}
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		r.tell(err)
	}
}

// catchUp pulls until nothing was new. The pull after the last change tells the others
// that the node has it.
func (r *replica) catchUp(ctx context.Context) error {
	for range maxPulls {
		moved, err := r.sync(ctx)
		if err != nil || !moved {
			return err
		}
	}
	return errRestless
}

// flush makes a change that has what is pending, and nothing else.
func (r *replica) flush(ctx context.Context) error {
	return r.store.commit(ctx, Actor{Name: "scopegate"}, nil, func(*change) error { return nil })
}

// sync pulls once, and reports whether that brought something.
func (r *replica) sync(ctx context.Context) (moved bool, err error) {
	asked := r.store.now()
	pulled, err := r.pull(ctx, r.standing.Position)
	if err != nil {
		return false, err
	}
	if pulled.Verdict != PullOK {
		return true, r.rejoin(ctx, pulled, rejoinReasons[pulled.Verdict])
	}
	if pulled.Head.Format > format {
		return false, fmt.Errorf("%w: the cluster has format %d, and this version reads up to %d: update this node", ErrNewer, pulled.Head.Format, format)
	}
	moved = pulled.Head.Chain != r.standing.Chain
	switch {
	case moved:
		if err = r.follow(pulled); err == nil && r.applied != nil {
			r.applied(pulled.HeadAge + r.store.now().Sub(asked))
		}
	case !r.integrity.holds(&pulled.Head, r.standing.sum):
		err = fmt.Errorf("%w: the head", ErrIntegrity)
	}
	if errors.Is(err, ErrIntegrity) {
		r.store.log.Error("what came from the other nodes was tampered with or damaged, and is not used: look at who can write to Redis, "+
			"and whether all nodes have the same secret", "error", err)
		return true, r.rejoin(ctx, pulled, tampered)
	}
	if err == nil && r.isSettled(pulled, asked) {
		r.lease.renew(asked)
	}
	return moved, err
}

// longestGrace is how long nodes wait at the most for those that are alive and are not in
// an epoch yet: one may never come, such as one that is too old to read what is there.
const longestGrace = 30 * time.Second

// isSettled reports whether every node that is alive could tell what it knows since the
// epoch began.
func (r *replica) isSettled(pulled *Pulled, now time.Time) bool {
	age := r.epochAge(pulled, now)
	return age >= r.lease.grace() && (pulled.Apart == 0 || age >= longestGrace)
}

// epochAge returns for how long the epoch has been at least. The sequencer's clock may
// have been set back since; this node's never is.
func (r *replica) epochAge(pulled *Pulled, now time.Time) time.Duration {
	if r.epoch != pulled.Head.Epoch {
		r.epoch, r.epochSeen = pulled.Head.Epoch, now
	}
	return max(pulled.EpochAge, now.Sub(r.epochSeen))
}

func (r *replica) pull(ctx context.Context, at Position) (*Pulled, error) {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	pulled, err := r.sequencer.Pull(ctx, at, r.report(r.store.now()))
	if err == nil && pulled.Verdict == PullTwin {
		if err := r.takeNewID(); err != nil {
			return nil, err
		}
		pulled, err = r.sequencer.Pull(ctx, at, r.report(r.store.now()))
	}
	r.known = r.known || err == nil
	return pulled, err
}

// rejoinReasons are the labels of why everything is downloaded.
var rejoinReasons = map[PullVerdict]string{
	PullEmpty: "empty", PullEpoch: "epoch", PullRegress: "regress", PullDiverge: "diverge", PullTrimmed: "trimmed",
}

// tampered is the label of what no verdict tells.
const tampered = "integrity"

// noRejoins has a zero for each reason: who watches a number that is not there before its
// first one would not see it rise.
func noRejoins() map[string]int {
	numbers := map[string]int{tampered: 0}
	for _, reason := range rejoinReasons {
		numbers[reason] = 0
	}
	return numbers
}

// report returns what the node tells of itself.
func (r *replica) report(now time.Time) *Report {
	report := &Report{
		ID: r.id, Name: r.name, Version: r.version, Revision: r.standing.Revision,
		Staleness: -1, MaxStaleness: r.lease.most, Instance: r.instance, Epoch: r.standing.Epoch, Again: r.known,
	}
	if verified := r.lease.since(); !verified.IsZero() {
		report.Staleness = now.Sub(verified)
	}
	return report
}

func (r *replica) noteBehind(revisions uint64) {
	r.status.Lock()
	defer r.status.Unlock()
	r.behind = revisions
}

func (r *replica) noteLost() {
	r.status.Lock()
	defer r.status.Unlock()
	r.lost++
}

// tell remembers how the last round ended, and logs it once.
func (r *replica) tell(err error) {
	r.status.Lock()
	defer r.status.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case err == nil && r.logged != "":
		r.store.log.Info("the node follows the other nodes again", "revision", r.standing.Revision)
	case err != nil && r.logged != text:
		r.store.log.Error("the node cannot follow the other nodes; unless that changes it decides nothing once max_staleness is over",
			"error", err, "max_staleness", r.lease.most)
	}
	r.err, r.logged = err, text
}

func (r *replica) replication() Replication {
	now := r.store.now()
	position := *r.position.Load()
	r.status.Lock()
	defer r.status.Unlock()
	state := Replication{
		Joined: position.Epoch != "", NodeID: r.id, NodeName: r.name, Position: position, Verified: r.lease.since(),
		Stale: r.lease.isStale(now), MaxStaleness: r.lease.most, Err: r.err, Rejoins: maps.Clone(r.rejoins), Behind: r.behind,
		LostWakeups: r.lost,
	}
	if pending := r.store.pending.Load(); pending != nil {
		state.Pending = len(*pending)
	}
	return state
}
