package store

import "sync/atomic"

// Work is how far something is that takes long.
type Work struct {
	What  string // "plan" or "apply"
	Done  int    // of the changes or tokens that there are
	Total int
}

// work is what the store does now. Plans may be made at the same time; what began
// last is told.
type work struct{ current atomic.Pointer[runningWork] }

type runningWork struct {
	what  string
	total int
	done  atomic.Int64
}

// begin tells of something that takes long, until it is over.
func (w *work) begin(what string, total int) *runningWork {
	running := &runningWork{what: what, total: total}
	w.current.Store(running)
	return running
}

func (w *work) end(running *runningWork) { w.current.CompareAndSwap(running, nil) }

// Working returns what the store does that may take long, and whether it does.
func (s *Store) Working() (Work, bool) {
	running := s.work.current.Load()
	if running == nil {
		return Work{}, false
	}
	return Work{running.what, int(running.done.Load()), running.total}, true
}
