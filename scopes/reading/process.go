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
	"sync"

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
		os.Exit(serve(os.Stdin, os.Stdout, os.Stderr))
	}
}

// serve reads files for another process, and returns the exit code.
func serve(in io.Reader, out, complaints io.Writer) int {
	priority.LowerProcess()
	sources, o, err := read(in)
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

// errNotStarted is why nothing was read: no process could be started.
var errNotStarted = errors.New("the process could not be started")

// readApart has files read by another process of a program, which gets nothing of the environment: that
// may have secrets.
func readApart(ctx context.Context, program string, sources []scopes.Source, o Options) (*scopes.File, error) {
	if program == "" {
		return nil, errNotStarted
	}
	var answered bytes.Buffer
	var complaints excerpt
	in, asked := io.Pipe()
	cmd := exec.CommandContext(ctx, program)
	cmd.Args, cmd.Env, cmd.Dir = []string{processName}, environment(), "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &answered, &complaints
	if err := cmd.Start(); err != nil { // also where the context has ended
		return nil, fmt.Errorf("%w: %w", errNotStarted, err)
	}
	var writing sync.WaitGroup
	writing.Go(func() { _ = asked.CloseWithError(write(asked, sources, o)) })
	ended := cmd.Wait()
	_ = in.Close() // it may have ended before it had read all
	writing.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case ended != nil:
		return nil, fmt.Errorf("%w, which says nothing about them: %w: %s", ErrProcess, ended, complaints.firstLine())
	}
	return receive(answered.Bytes())
}

// environment returns the variables that a reader gets. Where the memory of this process is
// limited, the reader's is, to half of that.
func environment() []string {
	variables := []string{"GOMAXPROCS=1"}
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		variables = append(variables, fmt.Sprintf("GOMEMLIMIT=%d", limit/2))
	}
	return variables
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
