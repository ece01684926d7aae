package priority

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// longSlice is how long a thread asks to run without a break, in nanoseconds: the most that
// Linux accepts (sched(7), sched_runtime). A thread that wakes up and has a shorter slice
// goes first, and both get the same share of the processor.
const longSlice = 100_000_000

// niceStep is by how much the nice value of a process is raised: by 10 it gets about a tenth
// of the processor where others want all of it.
const niceStep = 10

const highestNice = 19 // nice(2)

// maxGiving is how many goroutines give way at the same time.
const maxGiving = 4

var giving atomic.Int32 // that many do now

// GiveWay lets all threads that wake up go before the goroutine that calls it, until that
// goroutine calls done. It gets as much of the processor as before, and has a thread of its
// own: it should compute, and wait for nothing that may take long. Goroutines that it starts
// do not give way. Linux before 6.12 takes no notice.
//
// Where maxGiving goroutines give way already, it does nothing: threads are not without end.
func GiveWay() (done func()) {
	if giving.Add(1) > maxGiving {
		giving.Add(-1)
		return func() {}
	}
	runtime.LockOSThread()
	attr, err := unix.SchedGetAttr(0, 0)
	isKnown := err == nil && isOrdinary(attr.Policy)
	if isKnown {
		setSlice(longSlice)
	}
	return func() {
		if isKnown {
			setSlice(attr.Runtime)
		}
		runtime.UnlockOSThread()
		giving.Add(-1)
	}
}

// setSlice sets the slice of the calling thread, and leaves alone whatever else somebody may
// have set meanwhile.
func setSlice(slice uint64) {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil || !isOrdinary(attr.Policy) {
		return
	}
	attr.Runtime = slice
	_ = unix.SchedSetAttr(0, attr, 0)
}

// isOrdinary reports whether threads of a policy share the processor: what somebody has
// made a real-time process stays one.
func isOrdinary(policy uint32) bool { return policy == unix.SCHED_NORMAL || policy == unix.SCHED_BATCH }

// LowerProcess makes the whole process less important than the one that has started it:
// it stays on one processor, of which it gets what others leave. What the system refuses is
// left out.
func LowerProcess() {
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
	if err != nil {
		return
	}
	if !isOrdinary(attr.Policy) { // nobody wants that of such work
		attr.Policy, attr.Priority = unix.SCHED_NORMAL, 0
	}
	attr.Nice = min(attr.Nice+niceStep, highestNice)
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
