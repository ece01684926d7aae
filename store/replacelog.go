package store

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// replaceLog writes the log anew from all that the open store knows, before a copy
// takes its place: somebody may have put an older log there meanwhile. What a newer
// one has besides is kept.
func (s *Store) replaceLog() error {
	path := s.path + logSuffix
	known, err := s.loggedLines(path)
	if err != nil {
		return err
	}
	var state state
	var pending []logLine
	err = s.view(func(r reader) error {
		state = r.state
		pending = r.pendingLines(s)
		return nil
	})
	if err != nil {
		return err
	}
	lines, err := s.storedLines(state, known)
	if err != nil {
		return err
	}
	lines = append(lines, pending...)
	for i := range known {
		if known[i].revision > s.revision {
			lines = append(lines, known[i])
		}
	}
	if err := writeLog(path, state.id, lines, replaceFile); err != nil {
		return fmt.Errorf("writing the revocations log anew: %w", err)
	}
	return s.reopenLog(path)
}

// loggedLines returns the lines of the log that is open and of the one that has its
// name, in the order of their revisions.
func (s *Store) loggedLines(path string) ([]logLine, error) {
	data, err := io.ReadAll(io.NewSectionReader(s.journal.file, 0, s.journal.size))
	if err != nil {
		return nil, fmt.Errorf("reading the revocations log: %w", err)
	}
	lines := parseLog(data).lines
	log, err := readLog(path)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it was removed meanwhile
	case err != nil:
		return nil, fmt.Errorf("reading the revocations log: %w", err)
	case log.damaged > 0 && !log.accept:
		return nil, noLog(path, "is damaged")
	default:
		lines = append(lines, log.lines...)
	}
	slices.SortStableFunc(lines, func(a, b logLine) int { return cmp.Compare(a.revision, b.revision) })
	return lines, nil
}

// pendingLines returns what is pending in a store as lines of the log.
func (r reader) pendingLines(s *Store) []logLine {
	pending := r.pending
	r.pending = nil
	var lines []logLine
	for _, id := range sortedKeys(pending) {
		old, err := r.token(id)
		if err != nil { // it is lost or damaged
			lines = append(lines, revocationsBetween(nil, pending[id].stub(s.now()), s.revision)...)
			continue
		}
		now := old.clone()
		pending[id].apply(now)
		lines = append(lines, revocationsBetween(old, now, s.revision)...)
	}
	return lines
}

// reopenLog goes on with the log that was written anew. What is appended to the one
// before would be lost.
func (s *Store) reopenLog(path string) error {
	log, err := readLog(path)
	var journal *revocationLog
	if err == nil {
		journal, err = openLog(path, log.end)
	}
	if err != nil {
		broken := fmt.Errorf("%w: the revocations log was written anew and cannot be opened: %w", ErrReopen, err)
		s.broken.Store(&broken)
		return broken
	}
	_ = s.journal.close() // nothing is left to be written to it
	s.journal = journal
	return nil
}
