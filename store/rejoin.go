package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
)

// download is all that the sequencer has, at one head.
type download struct {
	head    Head
	records records
	sum     sum
	forged  map[string]bool // keys of what no node has sealed
	// whole reports that the records are what the head says. Else these are only the
	// ones that some node has sealed, and there may be older ones among them.
	whole bool
}

// manyRecords is for how many records there is room from the start, if there are said to
// be so many.
const manyRecords = 2_000_000

// downloadTries is how often a download is begun anew because the history changed
// under it.
const downloadTries = 3

// errFilling: there is nothing to be had yet, and nothing to be done.
var errFilling = errors.New("another node sends what it has, and this one waits for it")

// manyPuts is how many records a node gives the others at the most as a change that they
// can follow; with more, all are replaced.
const manyPuts = 10_000

// rejoin downloads everything, joins it with what the node has, and gives the sequencer
// what it lacks. That is the way of a node whose position is not in the history: because
// the sequencer has lost some of it, or because the node is new or was away for long.
func (r *replica) rejoin(ctx context.Context, pulled *Pulled, reason string) error {
	if pulled.Filling && beginsEpoch[reason] {
		return errFilling
	}
	r.status.Lock()
	r.rejoins[reason]++
	r.status.Unlock()
	ctx, cancel := context.WithTimeout(ctx, rejoinTimeout)
	defer cancel()
	got, err := r.download(ctx, pulled)
	if err != nil {
		return err
	}
	for range maxPulls { // many nodes may join at once; and a revocation here waits meanwhile
		if err := r.joinWith(ctx, got, reason); !errors.Is(err, ErrHeadMoved) {
			return err
		}
		if isCurrent, err := r.refresh(ctx, got); !isCurrent {
			return err
		}
	}
	return errRestless
}

// joinWith joins what was downloaded with what the node has.
func (r *replica) joinWith(ctx context.Context, got *download, reason string) error {
	var puts records
	dropped := r.standing.Format != 0 && got.whole && got.head.Resets > r.standing.Resets
	if got.whole && got.head.Resets < r.standing.Resets { // it is from before what was dropped on purpose
		got = &download{head: got.head, records: make(records)}
	}
	err := r.store.view(func(read reader) error {
		local, err := read.allShared()
		if err != nil || dropped {
			return err
		}
		puts, err = join(got.records, local)
		for key, value := range puts { // they are the file's
			puts[key] = bytes.Clone(value)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("joining the other nodes: %w", err)
	}
	r.store.log.Info("joining what the other nodes have with what this one has", "reason", reason,
		"records there", len(got.records), "records they lack", len(puts))
	if len(puts) == 0 && got.whole && !beginsEpoch[reason] {
		return r.adopt(got.records, &installation{standing: standing{Head: got.head, sum: got.sum}, forget: dropped})
	}
	return r.contribute(ctx, got, puts, reason)
}

// download reads all that the sequencer has.
func (r *replica) download(ctx context.Context, pulled *Pulled) (*download, error) {
	if pulled.Verdict == PullEmpty {
		return &download{records: make(records), whole: true}, nil
	}
	var got *download
	for range downloadTries {
		if pulled.Head.Format > format {
			return nil, fmt.Errorf("%w: the cluster has format %d, and this version reads up to %d: update this node", ErrNewer, pulled.Head.Format, format)
		}
		some, err := r.scan(ctx, &pulled.Head)
		if err != nil {
			return nil, err
		}
		since, err := r.pull(ctx, pulled.Head.Position)
		if err != nil {
			return nil, err
		}
		if since.Verdict != PullOK {
			if pulled = since; since.Verdict == PullEmpty {
				return &download{records: make(records), whole: true}, nil
			}
			continue
		}
		got = some
		if got.take(r.integrity, since); got.whole {
			return got, nil
		}
	}
	return r.salvage(got)
}

// refresh brings a download up to what was changed since it was made, and reports whether
// that could be told.
func (r *replica) refresh(ctx context.Context, got *download) (isCurrent bool, err error) {
	if !got.whole || got.head.Epoch == "" {
		return false, nil
	}
	since, err := r.pull(ctx, got.head.Position)
	if err != nil || since.Verdict != PullOK {
		return false, err
	}
	got.take(r.integrity, since)
	return got.whole, nil
}

// take adds what was changed since.
func (d *download) take(n *integrity, since *Pulled) {
	for _, changed := range since.Changed {
		d.put(n, changed)
	}
	d.head = since.Head
	d.whole = len(d.forged) == 0 && uint64(len(d.records)) == d.head.Count && n.holds(&d.head, d.sum)
}

// scan reads all records, and opens those that have come while it reads on.
func (r *replica) scan(ctx context.Context, head *Head) (*download, error) {
	got := &download{
		records: make(records, min(head.Count, manyRecords)), // the number is anybody's
		forged:  make(map[string]bool),
	}
	const ahead = 8
	parts, opened := make(chan []Keyed, ahead), make(chan struct{})
	go func() {
		defer close(opened)
		for part := range parts {
			for _, one := range part {
				got.put(r.integrity, one)
			}
		}
	}()
	err := r.sequencer.Scan(ctx, func(part []Keyed) error {
		parts <- part
		return nil
	})
	close(parts)
	<-opened
	return got, err
}

// put adds a record, in the place of the one that is there, if it is authentic.
func (d *download) put(n *integrity, one Keyed) {
	if before, known := d.records[one.Key]; known {
		_, was := n.tag(one.Key, before)
		d.sum = d.sum.minus(was)
		delete(d.records, one.Key)
	}
	delete(d.forged, one.Key)
	if one.Value == nil {
		return
	}
	value, hidden, ok := n.open(one.Key, one.Value)
	if !ok {
		d.forged[one.Key] = true
		return
	}
	d.records[one.Key] = value
	d.sum = d.sum.plus(hidden)
}

// salvage decides what to make of records that do not add up. Where not a single one is
// authentic it is this node that does not belong here.
func (r *replica) salvage(got *download) (*download, error) {
	if got == nil {
		return nil, errors.New("the history changed each time it was read; it is tried again")
	}
	if len(got.records) == 0 {
		return nil, fmt.Errorf("%w: not a single record was sealed with this node's secret: give all nodes the same secret, or another namespace", ErrIntegrity)
	}
	return got, nil
}

// adopt makes all of a state the node's own, with whatever else the installation has.
func (r *replica) adopt(all records, i *installation) error {
	puts := make(records)
	err := r.store.view(func(read reader) error {
		local, err := read.allShared()
		if len(local) == 0 {
			puts = all
			return err
		}
		for key, value := range all {
			if before, ok := local[key]; !ok || !bytes.Equal(before, value) {
				puts[key] = value
			}
		}
		for key := range local {
			if _, kept := all[key]; !kept {
				puts[key] = nil
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	i.puts, i.reload = puts, len(puts) > manyPuts
	return r.install(i)
}

// contribute gives the sequencer what it lacks, and adopts the result. The error is
// [ErrHeadMoved] where somebody else was faster.
func (r *replica) contribute(ctx context.Context, got *download, puts records, reason string) error {
	all := maps.Clone(got.records)
	for key, value := range puts {
		if all[key] = value; value == nil {
			delete(all, key)
		}
	}
	next := standing{Head: Head{
		Format: format, Count: uint64(len(all)), Resets: r.standing.Resets,
		Position: Position{Epoch: got.head.Epoch, Revision: r.store.revision + 1},
	}}
	if got.whole { // else anybody may have written the head
		next.Resets, next.Revision = max(got.head.Resets, next.Resets), max(got.head.Revision+1, next.Revision)
	}
	commit := &Commit{Base: got.head, Replace: !got.whole || len(puts) > manyPuts}
	// What was there may be gone since the pull: then there is no epoch to go on in.
	if commit.NewEpoch = !got.whole || beginsEpoch[reason] || got.head.Epoch == ""; commit.NewEpoch {
		epoch, err := newID(r.store.random)
		if err != nil {
			return err
		}
		next.Epoch = epoch[len(idPrefix):]
	}
	sent := puts
	if commit.Replace {
		sent = all
	}
	for _, key := range sortedKeys(all) {
		sealed, hidden := r.integrity.seal(key, all[key])
		next.sum = next.sum.plus(hidden)
		if _, ok := sent[key]; ok {
			commit.Changed = append(commit.Changed, Keyed{key, sealed})
		}
	}
	for _, key := range sortedKeys(puts) {
		if puts[key] == nil && !commit.Replace {
			commit.Changed = append(commit.Changed, Keyed{Key: key})
		}
	}
	note := fmt.Sprintf("joined because of %s: %d records that the other nodes did not have", reason, len(puts))
	commit.Audit, _ = r.integrity.seal(auditKey(next.Epoch, next.Revision), noteEntries(r.store, next.Revision, note))
	r.integrity.extend(&commit.Base, &next.Head, next.sum)
	commit.Next = next.Head
	if err := r.sequencer.Commit(ctx, commit); err != nil {
		return err
	}
	return r.adopt(all, &installation{standing: next, note: note})
}

// beginsEpoch has the reasons for which the history before is of no use to anybody.
var beginsEpoch = map[string]bool{"empty": true, "regress": true, "diverge": true}

// noteEntries returns a note as other nodes get it.
func noteEntries(s *Store, revision uint64, note string) []byte {
	c := &change{store: s, now: s.now(), revision: revision, actor: Actor{Name: "scopegate"}}
	c.record("join", "store", "", []string{note})
	return c.encodeEntries()
}

// Reset drops all that the cluster has, on every node, for ever: APIs, accounts and
// tokens. What waits to be sent is dropped too. It is for a cluster that is to be begun
// anew; nodes that are away drop what they have when they come back.
func (s *Store) Reset(ctx context.Context) error {
	if s.replica.Load() == nil {
		return errors.New("store: there is no cluster to reset: this is a single node; stop it and remove its file to begin anew")
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	if err := s.writable(); err != nil {
		return err
	}
	return s.replica.Load().reset(ctx)
}

func (r *replica) reset(ctx context.Context) error {
	if err := r.catchUp(ctx); err != nil && !errors.Is(err, ErrIntegrity) {
		return fmt.Errorf("store: resetting the cluster: %w", err)
	}
	pulled, err := r.pull(ctx, r.standing.Position) // whatever the head is, it is replaced
	if err != nil {
		return fmt.Errorf("store: resetting the cluster: %w", err)
	}
	epoch, err := newID(r.store.random)
	if err != nil {
		return err
	}
	head := Head{Format: format, Resets: r.standing.Resets + 1, Position: Position{
		Epoch: epoch[len(idPrefix):], Revision: r.store.revision + 1,
	}}
	commit := &Commit{Base: pulled.Head, NewEpoch: true, Replace: true}
	commit.Audit, _ = r.integrity.seal(auditKey(head.Epoch, head.Revision), noteEntries(r.store, head.Revision, "the cluster was reset"))
	r.integrity.extend(&commit.Base, &head, sum{})
	commit.Next = head
	if err := r.sequencer.Commit(ctx, commit); err != nil {
		return fmt.Errorf("store: resetting the cluster: %w", err)
	}
	return r.adopt(make(records), &installation{standing: standing{Head: head}, note: "the cluster was reset", forget: true})
}
