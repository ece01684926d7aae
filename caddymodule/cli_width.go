package caddymodule

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// showTable is [show] for a table, with its columns cut to fit where it goes to a
// terminal. What reads it from a pipe gets all of it.
func showTable(cmd *cobra.Command, asJSON bool, value any, write func(io.Writer)) error {
	return show(cmd, asJSON, value, func(w io.Writer) {
		width := terminalWidth(cmd.OutOrStdout())
		if width == 0 {
			write(w)
			return
		}
		var table bytes.Buffer
		write(&table)
		_, _ = io.WriteString(w, fitTable(table.String(), width)) // its Flush reports what fails
	})
}

// terminalWidth returns how many characters a line of a terminal has; 0 where it is
// not known, or w is no terminal. COLUMNS comes first, as in POSIX (XBD, section 8.3).
func terminalWidth(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0
	}
	if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && columns > 0 {
		return columns
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

const (
	columnGap   = 2 // between columns
	leastColumn = 6 // characters that a column keeps, however narrow the terminal is
)

// fitTable cuts the cells of a table, which are separated by tabs, so that its lines
// are at most width characters long, if that can be. The widest columns are cut
// first, and the first column, which names what the line is about, last of all.
// A line without tabs is no part of the table.
func fitTable(table string, width int) string {
	lines := strings.Split(table, "\n")
	var widths []int
	for _, line := range lines {
		for i, cell := range cellsOf(line) {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	shrink(widths, width)
	for i, line := range lines {
		cells := cellsOf(line)
		if len(cells) == 0 {
			continue
		}
		for j := range cells {
			cells[j] = cut(cells[j], widths[j])
		}
		lines[i] = strings.Join(cells, "\t")
	}
	return strings.Join(lines, "\n")
}

// cellsOf returns the cells of a line of a table, none of another line.
func cellsOf(line string) []string {
	if !strings.Contains(line, "\t") {
		return nil
	}
	return strings.Split(line, "\t")
}

// shrink makes columns narrower until a line of them is at most width characters.
func shrink(widths []int, width int) {
	over := columnGap*(len(widths)-1) - width
	for _, w := range widths {
		over += w
	}
	for ; over > 0; over-- {
		widest := 0 // the first column, unless another can give
		for i := 1; i < len(widths); i++ {
			if widths[i] > leastColumn && (widest == 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widths[widest] <= leastColumn {
			return
		}
		widths[widest]--
	}
}

// cut returns text, or its beginning and … where it is longer than width.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}
