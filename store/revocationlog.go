package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/scopegate/scopegate/scopes"
)

// The revocations log is a text file beside the store. Each line has a checksum
// in front, and the first names the store that it belongs to:
//
//	75ccaa95 scopegate-revocations 1 Zk3vQ…
//	0a1f55d2 kill 7 tok_… acme/nightly-sync 9f86d0…
//	c02bb1c5 hold@9c1e77d1b0a24f36 8 tok_… acme/old-erp 60303a…,fd61a0…
//	1f0c6a3d end@1790000000 8 tok_… acme/sync 2c26b4…
//	e5cde3e3 commit 8 - - -
//
// It is only ever appended to, and written anew as a whole when most of it is
// superseded. The file is longer than its text, and filled up with zeros, so that
// a revocation can be written down on a full disk as well.
const (
	logSuffix  = ".revocations"
	logTitle   = "scopegate-revocations"
	logFormat  = "1"
	logReserve = 64 << 10 // bytes kept free for lines; some 300 revocations

	// acceptLoss is what an operator writes into the log's place to go on without it.
	acceptLoss = "accept loss"
)

// act is what a line of the log says happened.
type act string

const (
	actDelete     act = "delete"     // a token, for ever
	actDeactivate act = "deactivate" // a token, by a scope file
	actHold       act = "hold"       // a token, by hand: a scope file cannot undo it
	actActivate   act = "activate"   // a token again
	actKill       act = "kill"       // credentials of a token, for ever
	actEnd        act = "end"        // credentials of a token, from a time on, for ever
	actCommit     act = "commit"     // every change up to this revision was committed
)

// logLine is one line of the log: "act revision id ref digests".
type logLine struct {
	act          act
	revision     uint64
	id, ref      string          // of the token; "" for actCommit
	digests      []scopes.Digest // of the token's credentials; of those concerned for actKill and actEnd
	ends         int64           // in Unix seconds, for actEnd: it stands behind the act, as "end@1790000000"
	deactivation deactivationID  // for actDeactivate and actHold, where it is known: "hold@9c1e77d1b0a24f36"
}

// String returns the line without its checksum; "-" stands for what there is not.
func (l *logLine) String() string {
	digests := make([]string, len(l.digests))
	for i, d := range l.digests {
		digests[i] = hex.EncodeToString(d[:])
	}
	act := string(l.act)
	switch {
	case l.act == actEnd:
		act += "@" + strconv.FormatInt(l.ends, 10)
	case l.deactivation != deactivationID{}:
		act += "@" + hex.EncodeToString(l.deactivation[:])
	}
	fields := []string{act, strconv.FormatUint(l.revision, 10), l.id, l.ref, strings.Join(digests, ",")}
	for i := range fields {
		if fields[i] == "" {
			fields[i] = "-"
		}
	}
	return strings.Join(fields, " ")
}

// parseLogLine is the inverse of String.
func parseLogLine(text string) (logLine, error) {
	fields := strings.Split(text, " ")
	if len(fields) != 5 {
		return logLine{}, errFields
	}
	for i := range fields {
		if fields[i] == "-" {
			fields[i] = ""
		}
	}
	revision, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return logLine{}, errFields
	}
	line := logLine{revision: revision, id: fields[2], ref: fields[3]}
	if err := line.parseAct(fields[0]); err != nil {
		return logLine{}, err
	}
	for digits := range strings.SplitSeq(fields[4], ",") {
		if digits == "" {
			continue
		}
		d, err := scopes.ParseDigest("sha256:" + digits)
		if err != nil {
			return logLine{}, errFields
		}
		line.digests = append(line.digests, d)
	}
	return line, nil
}

// parseAct reads what a line says happened, with what stands behind it: the time of
// actEnd, and which deactivation it was.
func (l *logLine) parseAct(text string) error {
	name, detail, detailed := strings.Cut(text, "@")
	l.act = act(name)
	switch l.act {
	case actDelete, actActivate, actKill, actCommit:
		if !detailed {
			return nil
		}
	case actDeactivate, actHold:
		id, err := hex.DecodeString(detail)
		copy(l.deactivation[:], id)
		if !detailed || err == nil && len(id) == len(l.deactivation) && l.deactivation != (deactivationID{}) {
			return nil
		}
	case actEnd:
		ends, err := strconv.ParseInt(detail, 10, 64)
		if l.ends = ends; err == nil && ends != 0 {
			return nil
		}
	}
	return errFields
}

// sumLine returns a line as it stands in the file.
func sumLine(text string) string {
	return fmt.Sprintf("%08x %s\n", checksum(nil, []byte(text)), text)
}

// unsumLine is the inverse of sumLine, without the line's end.
func unsumLine(line string) (text string, ok bool) {
	_, text, ok = strings.Cut(line, " ")
	return text, ok && sumLine(text) == line+"\n"
}

// logContents is a revocations log as read.
type logContents struct {
	storeID string // "" if the first line cannot be read
	lines   []logLine
	last    uint64 // the highest revision
	damaged int    // lines that cannot be read, but for a last one that was not written to its end
	tail    bool   // no line that can be read is behind the damage: any revision may have been there
	end     int64  // where the next line goes
	accept  bool   // instead of a log there is acceptLoss
}

// readLog reads the log at path. The error is fs.ErrNotExist if there is none.
func readLog(path string) (*logContents, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseLog(data), nil
}

// parseLog reads a log. Zeros are behind its text at any time, so one without them
// was cut off.
func parseLog(data []byte) *logContents {
	text := bytes.TrimRight(data, "\x00")
	cutOff := len(text) == len(data)
	c := &logContents{accept: strings.TrimSpace(string(text)) == acceptLoss}
	for first := true; len(text) > 0; first = false {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		if !ended { // the process or the machine died while it was written
			if bytes.IndexByte(line, 0) >= 0 {
				c.damage()
			}
			break
		}
		c.end += int64(len(line)) + 1
		c.add(string(line), first)
		text = rest
	}
	if cutOff {
		c.damage()
	}
	return c
}

func (c *logContents) damage() {
	c.damaged++
	c.tail = true
}

func (c *logContents) add(line string, first bool) {
	text, ok := unsumLine(line)
	if first {
		id, found := strings.CutPrefix(text, logTitle+" "+logFormat+" ")
		if ok && found {
			c.storeID = id
		}
		return
	}
	parsed, err := parseLogLine(text)
	if !ok || err != nil {
		c.damage()
		return
	}
	c.tail = false
	c.lines = append(c.lines, parsed)
	c.last = max(c.last, parsed.revision)
}

// revocationLog is a log that is open for appending. The writer of the store
// guards it.
type revocationLog struct {
	file *os.File
	end  int64 // where the next line goes
	size int64 // of the file, filling included
}

// openLog opens the log at path, whose text ends at end.
func openLog(path string, end int64) (*revocationLog, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	l := &revocationLog{file: file, end: end}
	if err := l.clean(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	_ = l.reserve() // on a full disk there may be enough left all the same
	return l, nil
}

// clean overwrites what stands behind the text: a line that was not written to its
// end must not come back behind what is written next.
func (l *revocationLog) clean() error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	l.size = max(info.Size(), l.end)
	_, err = l.file.WriteAt(make([]byte, l.size-l.end), l.end)
	return err
}

// reserve makes the file longer where few zeros are left.
func (l *revocationLog) reserve() error {
	if l.size-l.end >= logReserve/2 {
		return nil
	}
	size := l.end + logReserve
	if _, err := l.file.WriteAt(make([]byte, size-l.size), l.size); err != nil {
		return err
	}
	l.size = size
	return l.file.Sync()
}

// makeRoom makes the file long enough for lines to be appended, and a zero behind.
func (l *revocationLog) makeRoom(lines []logLine) error {
	end := l.end + int64(len(encodeLines(lines))) + 1
	if end <= l.size {
		return nil
	}
	if _, err := l.file.WriteAt(make([]byte, end-l.size), l.size); err != nil {
		return err
	}
	l.size = end
	return l.file.Sync()
}

// append writes lines behind the others, and if sync is set onto the disk.
func (l *revocationLog) append(lines []logLine, sync bool) error {
	if err := l.makeRoom(lines); err != nil {
		return err
	}
	b := encodeLines(lines)
	_, err := l.file.WriteAt(b, l.end)
	if err == nil && sync {
		err = l.file.Sync()
	}
	if err != nil { // what is appended next may be shorter: nothing of this may stand behind it
		_, undo := l.file.WriteAt(make([]byte, len(b)), l.end)
		return errors.Join(err, undo)
	}
	l.end += int64(len(b))
	_ = l.reserve() // these lines are written; without a reserve the next may fail, and will say so
	return nil
}

// encodeLines returns lines as they stand in the file.
func encodeLines(lines []logLine) []byte {
	var b []byte
	for i := range lines {
		b = append(b, sumLine(lines[i].String())...)
	}
	return b
}

func (l *revocationLog) close() error { return l.file.Close() }

// writeLog writes a log as a whole, which name then puts at the path: nameNew where
// there is to be none yet, or replaceFile.
func writeLog(path, storeID string, lines []logLine, name func(temporary, path string) error) error {
	b := append([]byte(sumLine(logTitle+" "+logFormat+" "+storeID)), encodeLines(lines)...)
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // in vain once it is renamed
	_, err = file.Write(append(b, make([]byte, logReserve)...))
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return name(file.Name(), path)
}

// replaceFile puts a finished temporary file in the place of another, at once.
func replaceFile(temporary, path string) error {
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a renamed or linked file's new name durable. Not every file
// system can do that, and none that cannot needs it.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := folder.Sync(); err != nil && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, errors.ErrUnsupported) {
		return errors.Join(err, folder.Close())
	}
	return folder.Close()
}
