package store

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// revocation is what was taken from one token: what a record that has not seen it
// is brought up to.
type revocation struct {
	id, ref      string
	deleted      bool
	inactive     bool
	held         bool                    // inactive by hand
	deactivation deactivationID          // of inactive; zero if an older version wrote it down
	digests      []scopes.Digest         // of the credentials that it had
	dead         []scopes.Digest         // of credentials that were taken from it
	ends         map[scopes.Digest]int64 // when credentials are taken from it, in Unix seconds
}

// foldRevocations sums up the lines of a revocations log after a revision, by the
// token's id. What was taken and given back since is left out.
func foldRevocations(lines []logLine, after uint64) map[string]*revocation {
	folded := make(map[string]*revocation)
	for i := range lines {
		line := &lines[i]
		if line.revision <= after || line.act == actCommit {
			continue
		}
		r := folded[line.id]
		if r == nil {
			r = &revocation{id: line.id, ref: line.ref}
			folded[line.id] = r
		}
		r.add(line)
		if !r.deleted && !r.inactive && len(r.dead) == 0 && len(r.ends) == 0 {
			delete(folded, line.id)
		}
	}
	return folded
}

func (r *revocation) add(line *logLine) {
	switch line.act {
	case actDelete:
		r.deleted = true
		r.dead = append(r.dead, line.digests...)
	case actHold, actDeactivate:
		r.inactive, r.held, r.deactivation = true, line.act == actHold, line.deactivation
		r.digests = line.digests
	case actActivate:
		r.inactive, r.held, r.deactivation, r.digests = false, false, deactivationID{}, nil
	case actKill:
		r.dead = append(r.dead, line.digests...)
	case actEnd:
		if r.ends == nil {
			r.ends = make(map[scopes.Digest]int64)
		}
		for _, d := range line.digests {
			r.ends[d] = line.ends
		}
	case actCommit:
	}
}

// apply takes from a record what was revoked, and reports whether it had it.
func (r *revocation) apply(rec *record) (changed bool) {
	if rec.terminal {
		return false
	}
	if r.deleted {
		rec.delete()
		changed = true
	}
	if r.inactive && !r.isSeen(rec) {
		rec.token.Inactive = true
		rec.held = rec.held || r.held
		if r.deactivation != (deactivationID{}) {
			rec.noteDeactivation(r.deactivation)
		}
		changed = true
	}
	for _, d := range r.dead {
		changed = rec.kill(d) || changed
	}
	for d, ends := range r.ends {
		changed = rec.endAt(d, timeOf(ends)) || changed
	}
	return changed
}

// isSeen reports whether a record has seen the deactivation. Who activates a token later
// has seen it then; one that is inactive by another deactivation may be activated by
// somebody who has not.
func (r *revocation) isSeen(rec *record) bool {
	if r.deactivation != (deactivationID{}) {
		return slices.Contains(rec.seen, r.deactivation)
	}
	return rec.token.Inactive && (rec.held || !r.held)
}

// endAt ends a credential at a time, unless it ends sooner, and one that the record
// has lost at once. It reports whether that is news.
func (r *record) endAt(d scopes.Digest, ends time.Time) bool {
	at := slices.IndexFunc(r.credentials, func(c credential) bool { return c.digest == d })
	if at < 0 {
		return r.kill(d)
	}
	c := &r.credentials[at]
	if !c.ends.IsZero() && !c.ends.After(ends) {
		return false
	}
	c.ends = ends
	return true
}

// stub returns a record of a token that the store has lost, without anything
// but what was revoked, so that its id, name and digests stay taken. It is inactive,
// since nothing is known that it could be active with, and so that it counts towards
// no limit: what is revoked must be written down in any case.
func (r *revocation) stub(now time.Time) *record {
	account, name, _ := strings.Cut(r.ref, "/")
	rec := &record{
		id: r.id, account: account, created: now,
		token: scopes.Token{Name: name, Description: "known from the revocations log only", Inactive: true},
	}
	for _, d := range r.digests[:min(len(r.digests), maxCredentials)] {
		rec.credentials = append(rec.credentials, credential{digest: d, created: now})
	}
	r.apply(rec)
	for d := range r.ends {
		rec.kill(d)
	}
	return rec
}

// revoked returns every digest that the revocation concerns, of credentials that
// will end too: until that can be written into their records, they are refused.
func (r *revocation) revoked() []scopes.Digest {
	return slices.AppendSeq(append(slices.Clone(r.digests), r.dead...), maps.Keys(r.ends))
}

// delete makes the record a deleted token's: its credentials are dead.
func (r *record) delete() {
	r.terminal, r.token.Inactive = true, true
	for i := range r.credentials {
		r.dead = append(r.dead, r.credentials[i].digest)
	}
	r.credentials = nil
}

// kill makes a digest dead, and reports whether it was not yet.
func (r *record) kill(d scopes.Digest) bool {
	if slices.Contains(r.dead, d) {
		return false
	}
	r.dead = append(r.dead, d)
	r.credentials = slices.DeleteFunc(r.credentials, func(c credential) bool { return c.digest == d })
	return true
}

// digests returns the digests of the credentials that the token has.
func (r *record) digests() []scopes.Digest {
	if r == nil {
		return nil
	}
	digests := make([]scopes.Digest, len(r.credentials))
	for i := range r.credentials {
		digests[i] = r.credentials[i].digest
	}
	return digests
}

// revocationsBetween returns what the step from one state of a token to the next
// takes away, as lines for the log. A nil record is no token.
func revocationsBetween(old, now *record, revision uint64) []logLine {
	line := logLine{revision: revision, id: now.id, ref: now.ref()}
	if now.terminal {
		if old != nil && old.terminal {
			return nil
		}
		line.act, line.digests = actDelete, now.dead
		return []logLine{line}
	}
	var lines []logLine
	if now.token.Inactive && (!old.sharesDeactivation(now) || now.held && !old.held) {
		line.act, line.digests = actDeactivate, now.digests()
		if now.held {
			line.act = actHold
		}
		if len(now.seen) > 0 {
			line.deactivation = now.lastDeactivation()
		}
		lines = append(lines, line)
	}
	line.act, line.deactivation, line.digests = actKill, deactivationID{}, nil
	for _, d := range now.dead {
		if old == nil || !slices.Contains(old.dead, d) {
			line.digests = append(line.digests, d)
		}
	}
	if len(line.digests) > 0 {
		lines = append(lines, line)
	}
	return append(lines, endsBetween(old, now, revision)...)
}

// endsBetween returns which credentials have got an end in the step from one state
// of a token to the next, a line for each.
func endsBetween(old, now *record, revision uint64) []logLine {
	var lines []logLine
	for _, c := range now.credentials {
		if c.ends.IsZero() || old != nil && slices.Contains(old.credentials, c) {
			continue
		}
		lines = append(lines, logLine{
			act: actEnd, revision: revision, id: now.id, ref: now.ref(),
			digests: []scopes.Digest{c.digest}, ends: c.ends.Unix(),
		})
	}
	return lines
}

// activationsBetween returns what the step gives back of what revocations took.
func activationsBetween(old, now *record, revision uint64) []logLine {
	if old == nil || !old.token.Inactive || now.token.Inactive {
		return nil
	}
	return []logLine{{act: actActivate, revision: revision, id: now.id, ref: now.ref()}}
}
