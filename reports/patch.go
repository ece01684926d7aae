package reports

import (
	"fmt"
	"strings"

	"github.com/scopegate/scopegate/scopes"
)

// context is how many lines stand around a change in a patch.
const context = 3

// Patch writes edits of a file as a unified diff, as patch and git apply read it. The edits
// are in the order of the file. It is "" if there are none.
func Patch(name string, src []byte, edits []scopes.Edit) string {
	if len(edits) == 0 {
		return ""
	}
	text := string(src)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	p := patch{lines: lines, open: !strings.HasSuffix(text, "\n")}
	fmt.Fprintf(&p.out, "--- %s\n+++ %s\n", name, name)
	for len(edits) > 0 {
		count := 1
		for count < len(edits) && edits[count].First-edits[count-1].Last <= 2*context {
			count++
		}
		p.hunk(edits[:count])
		edits = edits[count:]
	}
	return p.out.String()
}

// patch is a unified diff as it is written.
type patch struct {
	out   strings.Builder
	lines []string // of the file before
	open  bool     // its last line has no end
	grown int      // lines that the hunks so far have added
}

// hunk writes edits that are so near that their contexts meet.
func (p *patch) hunk(edits []scopes.Edit) {
	first := max(edits[0].First-context, 1)
	last := min(edits[len(edits)-1].Last+context, len(p.lines))
	before, after := last-first+1, last-first+1
	for _, e := range edits {
		after += len(e.Lines) - (e.Last - e.First + 1)
	}
	fmt.Fprintf(&p.out, "@@ -%d,%d +%d,%d @@\n", first, before, first+p.grown, after)
	next := first
	for _, e := range edits {
		p.write(' ', next, e.First-1)
		p.write('-', e.First, e.Last)
		for _, line := range e.Lines {
			fmt.Fprintf(&p.out, "+%s\n", line)
		}
		if p.open && e.Last == len(p.lines) {
			p.out.WriteString(noNewline)
		}
		next = e.Last + 1
	}
	p.write(' ', next, last)
	p.grown += after - before
}

const noNewline = "\\ No newline at end of file\n"

// write writes lines of the file before.
func (p *patch) write(mark byte, first, last int) {
	for n := first; n <= last; n++ {
		fmt.Fprintf(&p.out, "%c%s\n", mark, p.lines[n-1])
		if p.open && n == len(p.lines) {
			p.out.WriteString(noNewline)
		}
	}
}

// Apply returns a file with edits made, which are in its order.
func Apply(src []byte, edits []scopes.Edit) []byte {
	lines := strings.Split(string(src), "\n")
	var out []string
	next := 1
	for _, e := range edits {
		out = append(append(out, lines[next-1:e.First-1]...), e.Lines...)
		next = e.Last + 1
	}
	return []byte(strings.Join(append(out, lines[next-1:]...), "\n"))
}
