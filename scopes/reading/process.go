package reading

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/scopegate/scopegate/priority"
	"github.com/scopegate/scopegate/scopes"
)

// processName is what the other process is called, and how it knows what it is there for.
const processName = "scopegate-reader"

// ErrProcess is wrapped by the error of [FilesApart] where it is not the files that failed.
var ErrProcess = errors.New("the process " + processName + " that reads scope files failed")

// init turns the process into a reader, if it was started as one. It is done here and not
// by a command, since who builds Caddy into a program of their own has no such command.
func init() {
	if len(os.Args) == 1 && os.Args[0] == processName {
		os.Exit(serve(os.Stdin, os.NewFile(answerFile, "answer"), os.Stderr))
	}
}

// answerFile is the descriptor of the pipe that takes the answer. Standard output is
// nobody's: what else is built into the program may write there when it starts.
const answerFile = 3

// greeting is what a reader says first. A process that has not got so far has not read
// anything, and is to blame for that itself.
const greeting = "scopegate reader\n"

// serve reads files for another process, and returns the exit code.
func serve(in io.Reader, out io.Writer, complaints io.Writer) int {
	priority.LowerProcess()
	_, err := io.WriteString(out, greeting)
	var sources []scopes.Source
	var o Options
	if err == nil {
		sources, o, err = read(in)
	}
	if err == nil {
		var file *scopes.File
		file, err = Files(sources, o)
		err = respond(out, file, err)
	}
	if err != nil {
		fmt.Fprintln(complaints, err)
		return 1
	}
	return 0
}

// errNotStarted is why nothing was read: no process could be started, or none that reads.
var errNotStarted = errors.New("the process could not be started")

// readApart has files read by another process of a program. It gets nothing of the
// environment, where secrets may be, and is ended after some time.
func readApart(ctx context.Context, program string, most time.Duration, sources []scopes.Source, o Options) (*scopes.File, error) {
	if program == "" {
		return nil, errNotStarted
	}
	ctx, cancel := context.WithTimeoutCause(ctx, most, errSlow)
	defer cancel()
	var complaints excerpt
	answered, ended := run(ctx, program, &complaints, func(w io.Writer) { _ = write(w, sources, o) })
	answer, greeted := bytes.CutPrefix(answered, []byte(greeting))
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !greeted:
		return nil, errors.Join(errNotStarted, ended)
	case ended != nil:
		return nil, fmt.Errorf("%w; the files may be in order, try again, with more memory if it was killed: %w: %s", ErrProcess, ended, complaints.firstLine())
	}
	return receive(answer)
}

// run runs a program, and returns what it answers to what it is asked.
func run(ctx context.Context, program string, complaints io.Writer, ask func(io.Writer)) (answered []byte, err error) {
	answers, answer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer answers.Close() //nolint:errcheck // it was only read
	in, asked := io.Pipe()
	cmd := exec.CommandContext(ctx, program)
	cmd.Args, cmd.Env, cmd.Dir = []string{processName}, environment(), "/"
	cmd.Stdin, cmd.Stderr, cmd.ExtraFiles = in, complaints, []*os.File{answer}
	err = cmd.Start()
	_ = answer.Close() // it is the other process's
	if err != nil {
		return nil, err
	}
	var asking sync.WaitGroup
	asking.Go(func() {
		ask(asked)
		_ = asked.Close()
	})
	answered, err = io.ReadAll(answers)
	err = errors.Join(cmd.Wait(), err)
	_ = in.Close() // it may have ended before it had read all
	asking.Wait()
	return answered, err
}

// errSlow is why a process was ended that took too long.
var errSlow = fmt.Errorf("%w; the files may be in order, try again: it took too long", ErrProcess)

// patience is how long a process may take: many times as long as it usually does.
func patience(sources []scopes.Source, o Options) time.Duration {
	return 2*time.Minute + time.Duration(sizeOf(sources, o.Documents)>>18)*time.Second
}

// environment returns the variables that a reader gets. Where the memory of this process is
// limited, a reader keeps to what is left of that.
func environment() []string {
	variables := []string{"GOMAXPROCS=1"}
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		const least = 64 << 20
		variables = append(variables, fmt.Sprintf("GOMEMLIMIT=%d", max(limit-memoryInUse(), least)))
	}
	return variables
}

// memoryInUse returns what counts against the memory limit: see [debug.SetMemoryLimit].
func memoryInUse() int64 {
	all := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(all)
	return int64(all[0].Value.Uint64() - all[1].Value.Uint64()) //nolint:gosec // no memory has so much
}

// excerpt is the beginning of what is written to it.
type excerpt struct{ text []byte }

// Write implements io.Writer. It keeps what there is room for.
func (e *excerpt) Write(b []byte) (int, error) {
	const most = 500
	e.text = append(e.text, b[:min(len(b), most-len(e.text))]...)
	return len(b), nil
}

func (e *excerpt) firstLine() string {
	line, _, _ := bytes.Cut(e.text, []byte("\n"))
	if len(line) == 0 {
		return "it said nothing"
	}
	return scopes.Redact(string(line))
}
