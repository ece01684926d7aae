package store

import (
	"errors"
	"fmt"
	"io/fs"
)

// openJournal opens the revocations log and compares it with the store. If it
// knows of changes that the file does not have, their revocations become pending,
// and lost says what happened; "" if the file has all.
func (s *Store) openJournal(state state, whole bool) (lost string, err error) {
	path := s.path + logSuffix
	log, err := readLog(path)
	switch {
	case s.cluster != nil && (errors.Is(err, fs.ErrNotExist) || err == nil && log.isUnfit(state, whole)):
		s.log.Warn("the revocations log is missing or damaged; the other nodes know what it had", "log", path)
		log = &logContents{storeID: state.id, damaged: 1}
	case errors.Is(err, fs.ErrNotExist):
		return "", noLog(path, "is missing")
	case err != nil:
		return "", fmt.Errorf("reading the revocations log: %w", err)
	case log.accept:
		s.log.Warn("going on without the revocations log, as its file says: what was revoked after the store was written may be valid again")
		log = &logContents{storeID: state.id, damaged: 1}
	case log.storeID == "":
		return "", noLog(path, "cannot be read")
	case log.storeID != state.id:
		return "", noLog(path, "belongs to another store")
	case log.damaged > 0 && (log.last > state.revision || !whole):
		return "", noLog(path, "is damaged, and the store is older than it or damaged too")
	case log.tail:
		return "", noLog(path, "is damaged or cut off at its end, where it may have had revocations that the store does not have")
	case log.damaged > 0:
		s.log.Error("the revocations log is damaged; the store has all that was in the damaged lines: check the disk", "lines", log.damaged)
	}
	s.revision = max(state.revision, log.last)
	lost = s.compare(state, log, whole)
	if s.readOnly {
		return lost, nil
	}
	if log, err = s.renewLog(path, state, log); err != nil {
		return "", err
	}
	if s.journal, err = openLog(path, log.end); err != nil {
		return "", fmt.Errorf("opening the revocations log: %w", err)
	}
	return lost, s.protectFile(s.journal.file, "revocations log")
}

// isUnfit reports whether a log does not tell what the store may have lost.
func (c *logContents) isUnfit(state state, whole bool) bool {
	return c.storeID != state.id || c.tail || c.damaged > 0 && (c.last > state.revision || !whole)
}

func noLog(path, what string) error {
	return fmt.Errorf("%w: %s %s. It keeps tokens revoked that an older copy of the store takes for valid. "+
		"Put the newest copy of it there; or, if it is lost for good, write %q into that file to go on without it, and revoke again what must not come back",
		ErrNoLog, path, what, acceptLoss)
}

// compare finds out what the file has lost, makes it pending, and tells of it.
func (s *Store) compare(state state, log *logContents, whole bool) (lost string) {
	if log.last > state.revision {
		pending := foldRevocations(log.lines, state.revision)
		s.pending.Store(&pending)
		lost = fmt.Sprintf("the file was at revision %d, the revocations log at %d: %d revocations were applied again",
			state.revision, log.last, len(pending))
	}
	switch {
	case log.committed() > state.revision:
		s.log.Error("the store went back in time, because it was restored or a page was damaged; "+
			"what was revoked since stays so, other changes since are lost: apply the scope file again",
			"revision", state.revision, "lost up to", log.committed(), "damaged page", !whole)
	case lost != "":
		s.log.Info("writing into the store what was revoked when it could not be written", "revision", log.last)
	case !whole:
		s.log.Warn("one of the two meta pages of the store is damaged; nothing was lost, and the next change writes it anew")
	}
	return lost
}

// committed returns the highest revision that is known to have been committed.
func (c *logContents) committed() uint64 {
	var highest uint64
	for i := range c.lines {
		if c.lines[i].act == actCommit {
			highest = max(highest, c.lines[i].revision)
		}
	}
	return highest
}

// needsRewrite reports whether the log is to be made anew from the store: lines
// are damaged or may be missing, or most of them are superseded. It never is
// where it knows more than the store.
func (c *logContents) needsRewrite(state state) bool {
	switch {
	case c.last > state.revision:
		return false
	case c.damaged > 0:
		return true
	case c.committed() < state.revision: // the process died between the commit and the log
		return true
	}
	const few = 1024
	return len(c.lines) > few && len(c.lines) > few+4*len(foldRevocations(c.lines, 0))
}

// renewLog makes the log anew where that is needed, and returns what is in it then.
// Where it only has become long, it is of use as it is: a full disk does not keep
// the store closed.
func (s *Store) renewLog(path string, state state, log *logContents) (*logContents, error) {
	if !log.needsRewrite(state) {
		return log, nil
	}
	lines, err := s.storedLines(state, log.lines)
	if err == nil {
		err = writeLog(path, state.id, lines, replaceFile)
	}
	switch {
	case err != nil && log.damaged == 0 && log.committed() >= state.revision:
		s.log.Warn("the revocations log has become long and could not be written anew; going on with it as it is", "error", err)
		return log, nil
	case err != nil:
		return nil, fmt.Errorf("writing the revocations log anew: %w", err)
	}
	if log, err = readLog(path); err != nil {
		return nil, fmt.Errorf("reading the revocations log: %w", err)
	}
	return log, nil
}

// storedLines returns the lines of a log that has all that the file has revoked. Of
// tokens whose records cannot be read, it has the lines of the log before.
func (s *Store) storedLines(state state, before []logLine) ([]logLine, error) {
	unread := make(map[string]bool)
	for i := range before {
		unread[before[i].id] = before[i].act != actCommit
	}
	var lines []logLine
	err := s.view(func(r reader) error {
		return r.bucket(bucketTokens).ForEach(func(id, value []byte) error {
			rec, err := decodeRecord(id, value)
			if err != nil {
				return nil //nolint:nilerr // its lines are kept below
			}
			delete(unread, rec.id)
			lines = append(lines, revocationsBetween(nil, rec, rec.revision)...)
			return nil
		})
	})
	for i := range before {
		if unread[before[i].id] {
			lines = append(lines, before[i])
		}
	}
	return append(lines, logLine{act: actCommit, revision: state.revision}), err
}
