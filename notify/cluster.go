package notify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// common is what a node knows of what the nodes have in common.
type common struct {
	memory Memory
	asked  map[string]time.Time // when a pending key was last asked for
	forged time.Time            // when forgery was last told of
}

// load reads what a former run knew.
func (c *common) load(tx *bolt.Tx) {
	meta := tx.Bucket(bucketMeta)
	c.memory = Memory{string(meta.Get(keyEpoch)), numberOf(meta.Get(keySeq))}
	c.asked = make(map[string]time.Time)
}

// remember notes how much the exchange remembers, so that a loss is found also after a
// restart.
func (n *Notifier) remember(m Memory) error {
	if m == n.common.memory {
		return nil
	}
	n.common.memory = m
	return n.journal.update(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if err := meta.Put(keyEpoch, []byte(m.Epoch)); err != nil {
			return err
		}
		return meta.Put(keySeq, appendNumber(nil, m.Seq))
	})
}

// ask returns a question without contents.
func (r *round) ask() *Sync {
	return &Sync{
		Node: r.n.node, Seen: r.n.common.memory, Fresh: rand.Text(), Lease: r.s.Timing.Lease, Grace: r.s.Timing.Grace,
	}
}

// sync makes this node know what the others do.
func (r *round) sync(ctx context.Context) error {
	r.until = time.Now().Add(r.s.Timing.Lease)
	found, err := r.s.Exchange.Sync(ctx, r.ask())
	if err != nil {
		return err
	}
	if found.Epoch != r.n.common.memory.Epoch {
		if found, err = r.putBack(ctx, found.Memory); err != nil {
			return err
		}
	}
	if err := r.n.remember(found.Memory); err != nil {
		return err
	}
	if err := r.takeStates(ctx, found.Open); err != nil {
		return err
	}
	if err := r.askPending(ctx); err != nil {
		return err
	}
	if r.quiet = found.Quiet > 0; r.quiet {
		return nil
	}
	known := make(map[string]bool)
	for _, role := range found.Roles {
		known[role] = true
	}
	if err := r.seed(ctx, known); err != nil {
		return err
	}
	return r.takeOver(ctx)
}

// putBack tells all that this node knows, for it has been lost, and returns what there is then.
func (r *round) putBack(ctx context.Context, found Memory) (*Common, error) {
	r.n.log.Warn("what the nodes have in common of messages is new or was lost: this node puts back what it knows, and nothing new is sent meanwhile")
	roles, err := r.n.journal.rolesOf(roleKnown)
	if err != nil {
		return nil, err
	}
	var names []string
	for role := range roles {
		names = append(names, role)
	}
	marks, err := r.marks()
	if err != nil {
		return nil, err
	}
	last := r.ask()
	last.Roles = names
	for _, o := range r.n.open {
		if o.Settled {
			continue // of which the others are told right after
		}
		shared, err := r.s.sealer.share(o.Message, o.mine)
		if err != nil {
			return nil, err
		}
		last.Open = append(last.Open, shared)
	}
	for some := range slices.Chunk(marks, maxBack) {
		part := r.ask()
		part.Marks = some
		if _, err := r.s.Exchange.Sync(ctx, part); err != nil {
			return nil, err
		}
	}
	now, err := r.s.Exchange.Sync(ctx, last)
	if err == nil && now.Epoch != found.Epoch {
		err = errors.New("notify: it was lost again while this node put back what it knows")
	}
	return now, err
}

// marks returns the marks of all that this node knows people were told of.
func (r *round) marks() (marks []Mark, err error) {
	err = r.n.journal.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketDone).ForEach(func(key, _ []byte) error {
			marks = append(marks, r.s.sealer.mark(string(key)))
			return nil
		})
	})
	return marks, err
}

// takeStates makes the open messages here those that there are.
func (r *round) takeStates(ctx context.Context, states []OpenState) error {
	there := make(map[string]bool)
	var lacking []string
	for i := range states {
		if there[states[i].ID] = true; r.n.open[states[i].ID] == nil {
			lacking = append(lacking, states[i].ID)
		}
	}
	for some := range slices.Chunk(lacking, maxWant) {
		if err := r.fetch(ctx, some); err != nil {
			return err
		}
	}
	for i := range states {
		if o := r.n.open[states[i].ID]; o != nil {
			o.mine, o.free = states[i].Mine, states[i].Free
			o.Attempts, o.Next = states[i].Attempts, r.now.Add(states[i].Next)
		}
	}
	for id, o := range r.n.open {
		switch {
		case o.Settled:
			if err := r.tellSettled(ctx, o); err != nil {
				return err
			}
			if err := r.close(o); err != nil {
				return err
			}
		case !there[id]: // another node has settled it, of which askPending will hear
			if err := r.drop(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop forgets a message that is not there any more. What it tells of is pending still, until
// it is known that people were told.
func (r *round) drop(o *open) error {
	for _, key := range o.Message.keys() {
		delete(r.n.common.asked, key)
	}
	delete(r.n.open, o.Message.ID)
	return r.n.journal.update(func(tx *bolt.Tx) error { return tx.Bucket(bucketOpen).Delete([]byte(o.Message.ID)) })
}

// fetch takes copies of open messages of other nodes.
func (r *round) fetch(ctx context.Context, ids []string) error {
	question := r.ask()
	question.Want = ids
	found, err := r.s.Exchange.Sync(ctx, question)
	if err != nil {
		return err
	}
	if len(found.Texts) != len(ids) {
		return fmt.Errorf("notify: %d messages were asked for, and %d came", len(ids), len(found.Texts))
	}
	var forged []string
	var good []*open
	for i, text := range found.Texts {
		if text == "" {
			continue // it was settled meanwhile
		}
		if m, ok := r.s.sealer.open(ids[i], text); ok {
			good = append(good, &open{Message: m})
		} else {
			forged = append(forged, ids[i])
		}
	}
	if err := r.dropForged(ctx, &Sync{Drop: forged}, len(forged)); err != nil || len(good) == 0 {
		return err
	}
	if err := r.n.journal.update(func(tx *bolt.Tx) error {
		for _, o := range good {
			if err := o.put(tx); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for _, o := range good {
		r.n.open[o.Message.ID] = o
	}
	return nil
}

// dropForged removes what no node has left there.
func (r *round) dropForged(ctx context.Context, what *Sync, count int) error {
	if count == 0 {
		return nil
	}
	if r.now.Sub(r.n.common.forged) > time.Hour {
		r.n.common.forged = r.now
		r.n.log.Error("what nodes tell each other of messages was changed on its way, and is left out; who else writes to Redis?", "count", count)
	}
	question := r.ask()
	question.Drop, question.Forget = what.Drop, what.Forget
	_, err := r.s.Exchange.Sync(ctx, question)
	return err
}

// askPending asks what other nodes have told of what is pending here.
func (r *round) askPending(ctx context.Context) error {
	var list []pending
	if err := r.n.journal.view(func(tx *bolt.Tx) error {
		return eachPending(tx, func(p *pending) error {
			if at, before := r.n.common.asked[p.to.keyOf(p.event)]; !before || r.now.Sub(at) >= r.s.Timing.Ask {
				list = append(list, *p)
			}
			return nil
		})
	}); err != nil {
		return err
	}
	for some := range slices.Chunk(list, maxAsk) {
		if err := r.askFor(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) askFor(ctx context.Context, list []pending) error {
	question := r.ask()
	for i := range list {
		question.Ask = append(question.Ask, list[i].to.keyOf(list[i].event))
	}
	found, err := r.s.Exchange.Sync(ctx, question)
	if err != nil {
		return err
	}
	if len(found.Marks) != len(list) {
		return fmt.Errorf("notify: the state of %d events was asked for, and that of %d came", len(list), len(found.Marks))
	}
	marks := make([]Mark, len(list))
	for i, value := range found.Marks {
		marks[i] = Mark{question.Ask[i], value}
	}
	return r.takeMarks(ctx, list, marks)
}

// takeMarks notes what people were told of by others. Marks are those of the list.
func (r *round) takeMarks(ctx context.Context, list []pending, marks []Mark) error {
	var told []pending
	var forged []string
	for i := range list {
		switch {
		case marks[i].Value == "":
			r.n.common.asked[marks[i].Key] = r.now
		case r.s.sealer.isMark(marks[i]):
			delete(r.n.common.asked, marks[i].Key)
			told = append(told, list[i])
		default:
			forged = append(forged, marks[i].Key)
		}
	}
	if len(told) > 0 {
		if err := r.n.journal.update(func(tx *bolt.Tx) error { return settle(tx, told, r.now) }); err != nil {
			return err
		}
	}
	return r.dropForged(ctx, &Sync{Forget: forged}, len(forged))
}

// takeOver makes messages this node's whose node is gone.
func (r *round) takeOver(ctx context.Context) error {
	for _, o := range r.n.open {
		// What is for a channel that nobody has any more is taken in the end, to be given up.
		canSend := r.s.channels[o.Message.Channel] != nil && !r.n.status.isStopped(o.Message.Channel)
		if !o.free || o.mine || o.Settled || !canSend && r.now.Sub(o.Message.At) <= r.s.Timing.GiveUp {
			continue
		}
		mine, err := r.claim(ctx, o)
		if err != nil {
			return err
		}
		if mine {
			r.n.log.Info("this node goes on with a message of another that is gone", "message", o.Message.ID, "channel", o.Message.Channel)
		}
	}
	return nil
}

// claim makes a message this node's, and reports whether it is.
func (r *round) claim(ctx context.Context, o *open) (mine bool, err error) {
	shared, err := r.s.sealer.share(o.Message, true)
	if err != nil {
		return false, err
	}
	found, err := r.s.Exchange.Claim(ctx, &Claim{Node: r.n.node, Seen: r.n.common.memory, Lease: r.s.Timing.Lease, Message: shared})
	if err != nil {
		return false, err
	}
	o.mine, o.free = found.Mine, false
	if o.mine {
		o.Attempts, o.Next = found.Attempts, r.now.Add(found.Next)
		return true, nil
	}
	byKey := make(map[string]string)
	for _, m := range found.Marks {
		byKey[m.Key] = m.Value
	}
	var list []pending
	var marks []Mark
	for _, p := range o.Message.pending() {
		if key := p.to.keyOf(p.event); byKey[key] != "" {
			list, marks = append(list, p), append(marks, Mark{key, byKey[key]})
		}
	}
	r.n.offered.Store(true)
	return false, r.takeMarks(ctx, list, marks)
}

// tellSettled tells other nodes that people were told.
func (r *round) tellSettled(ctx context.Context, o *open) error {
	if r.s.Exchange == nil {
		return nil
	}
	return r.s.Exchange.Settle(ctx, &Settled{Node: r.n.node, ID: o.Message.ID, Marks: r.s.sealer.marks(o.Message.keys())})
}

// tellPostponed tells other nodes when a message is tried again.
func (r *round) tellPostponed(ctx context.Context, o *open) error {
	if r.s.Exchange == nil {
		return nil
	}
	return r.s.Exchange.Settle(ctx, &Settled{Node: r.n.node, ID: o.Message.ID, Attempts: o.Attempts, Next: o.Next.Sub(r.n.now())})
}

// tellSeeded tells other nodes which roles are begun, and what is told to nobody for that.
func (r *round) tellSeeded(ctx context.Context, old []pending, roles []string) error {
	if r.s.Exchange == nil {
		return nil
	}
	var marks []Mark
	for i := range old {
		marks = append(marks, r.s.sealer.mark(old[i].to.keyOf(old[i].event)))
	}
	for some := range slices.Chunk(marks, maxBack) {
		part := r.ask()
		part.Marks = some
		if _, err := r.s.Exchange.Sync(ctx, part); err != nil {
			return err
		}
	}
	last := r.ask()
	last.Roles = roles
	_, err := r.s.Exchange.Sync(ctx, last)
	return err
}

// forget tells that nobody needs marks any more.
func (r *round) forget(ctx context.Context, keys []string) error {
	for some := range slices.Chunk(keys, maxBack) {
		question := r.ask()
		question.Forget = some
		if _, err := r.s.Exchange.Sync(ctx, question); err != nil {
			return err
		}
	}
	return nil
}
