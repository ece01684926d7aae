package priority

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// lowered is set in the environment of a process that lowers itself and tells how it is.
const lowered = "SCOPEGATE_TEST_LOWERED"

func TestMain(m *testing.M) {
	if os.Getenv(lowered) != "" {
		LowerProcess()
		tellThreads()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// tellThreads writes a line for each thread of the process: its nice value, on how many
// processors it may run, and whether its slice is long, or unknown to Linux.
func tellThreads() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		fmt.Println(err)
	}
	for _, thread := range threads {
		id, _ := strconv.Atoi(thread.Name())
		attr, err := unix.SchedGetAttr(id, 0)
		if err != nil {
			fmt.Println(err)
			continue
		}
		var allowed unix.CPUSet
		if err := unix.SchedGetaffinity(id, &allowed); err != nil {
			fmt.Println(err)
		}
		fmt.Println("nice", attr.Nice, "processors", allowed.Count(), "long", attr.Runtime == longSlice || attr.Runtime == 0)
	}
}

// Each thread of the process gives way, not only the one that asked for it.
func TestLowerProcess(t *testing.T) {
	t.Parallel()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), lowered+"=yes", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) < 2 {
		t.Fatalf("got %q, want several threads", out)
	}
	want := fmt.Sprintf("nice %d processors 1 long true", min(before.Nice+niceStep, highestNice))
	for _, line := range lines {
		if line != want {
			t.Errorf("a thread has %q, want %q", line, want)
		}
	}
}

// A goroutine gives way until it is done, and then is as it was.
func TestGiveWay(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread() // the same thread before, meanwhile and afterwards
	defer runtime.UnlockOSThread()
	sliceOf := func() uint64 {
		attr, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return attr.Runtime
	}
	before := sliceOf()
	done := GiveWay()
	if meanwhile := sliceOf(); meanwhile != longSlice && meanwhile != 0 { // Linux before 6.12 knows none
		t.Errorf("meanwhile the slice is %d, want %d", meanwhile, longSlice)
	}
	done()
	if after := sliceOf(); after != before {
		t.Errorf("the slice is %d afterwards, and was %d before", after, before)
	}
}

// However many want to give way, few threads are taken for it.
func TestGiveWayOfMany(t *testing.T) { // not parallel: it takes all there is
	var done []func()
	for range 100 {
		done = append(done, GiveWay())
	}
	if got := giving.Load(); got != maxGiving {
		t.Errorf("%d give way, want %d", got, maxGiving)
	}
	for _, catchUp := range done {
		catchUp()
	}
	if got := giving.Load(); got != 0 {
		t.Errorf("afterwards %d give way", got)
	}
}
