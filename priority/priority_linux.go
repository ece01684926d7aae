package priority

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// longSlice is how long a thread may be left alone by its own account: the longest time
// that Linux accepts (sched(7), sched_runtime), in nanoseconds. A thread that wakes up and
// has a shorter slice goes first, and both get the same share of the processor.
const longSlice = 100_000_000

// lower is how much less important than its parent a process becomes: 10 is about a tenth
// of the processor where others want all of it.
const lower = 10

const leastImportant = 19

// GiveWay lets all threads that wake up go before the goroutine that calls it, until that
// goroutine calls done. It gets as much of the processor as before. Linux before 6.12
// takes no notice.
func GiveWay() (done func()) {
	runtime.LockOSThread()
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil || !isOrdinary(attr.Policy) {
		return runtime.UnlockOSThread
	}
	before := *attr
	attr.Runtime = longSlice
	_ = unix.SchedSetAttr(0, attr, 0)
	return func() {
		_ = unix.SchedSetAttr(0, &before, 0)
		runtime.UnlockOSThread()
	}
}

// isOrdinary reports whether threads of a policy share the processor: what somebody has
// made a real-time process stays one.
func isOrdinary(policy uint32) bool { return policy == unix.SCHED_NORMAL || policy == unix.SCHED_BATCH }

// LowerProcess makes the whole process less important than the one that has started it:
// it stays on one processor, of which it gets what others leave, and where memory is short
// it is ended first. What the system refuses is left out.
func LowerProcess() {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	processor := anyProcessor()
	lowered := make(map[string]bool)
	for more := true; more; { // a thread may be started meanwhile, by one that was not lowered yet
		more = false
		threads, _ := os.ReadDir("/proc/self/task")
		for _, thread := range threads {
			if name := thread.Name(); !lowered[name] {
				lowered[name], more = true, true
				lowerThread(name, processor)
			}
		}
	}
}

func lowerThread(name string, processor *unix.CPUSet) {
	id, err := strconv.Atoi(name)
	if err != nil {
		return
	}
	if processor != nil {
		_ = unix.SchedSetaffinity(id, processor)
	}
	attr, err := unix.SchedGetAttr(id, 0)
	if err != nil || !isOrdinary(attr.Policy) {
		return
	}
	attr.Nice = min(attr.Nice+lower, leastImportant)
	attr.Runtime = longSlice
	_ = unix.SchedSetAttr(id, attr, 0)
}

// anyProcessor returns one of the processors that the process may run on; nil if they are
// not known. Where a busy process moves from one to another, Linux leaves other threads
// waiting behind it for milliseconds, beside an idle processor.
func anyProcessor() *unix.CPUSet {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil || allowed.Count() == 0 {
		return nil
	}
	one := new(unix.CPUSet)
	for cpu, skip := 0, rand.IntN(allowed.Count()); ; cpu++ { //nolint:gosec // whoever can guess it gains nothing
		if !allowed.IsSet(cpu) {
			continue
		}
		if skip == 0 {
			one.Set(cpu)
			return one
		}
		skip--
	}
}
