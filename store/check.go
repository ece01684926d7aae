package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// Where bbolt keeps what in a file: see its internal/common/meta.go. Its first two
// pages are metas, written in turn, in the machine's byte order.
const (
	metaOffset   = 16 // in the page, behind the page's header
	metaBytes    = 64
	metaSummed   = metaBytes - 8
	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	noFreelist   = ^uint64(0)
	minPageBytes = 1 << 10
	maxPageBytes = 1 << 24
)

// meta is a meta page: one committed transaction.
type meta struct {
	pageBytes   uint32
	root        uint64 // page of the root bucket
	freelist    uint64 // page of the freelist
	pages       uint64 // all pages in use are below
	transaction uint64
}

// parseMeta reads a meta page, and reports whether it is a whole one.
func parseMeta(b []byte) (m meta, ok bool) {
	order := binary.NativeEndian
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSummed])
	m = meta{
		pageBytes: order.Uint32(b[8:]), root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]),
		pages: order.Uint64(b[40:]), transaction: order.Uint64(b[48:]),
	}
	ok = order.Uint32(b) == metaMagic && order.Uint32(b[4:]) == metaVersion && order.Uint64(b[metaSummed:]) == sum.Sum64() &&
		m.pageBytes >= minPageBytes && m.pageBytes <= maxPageBytes &&
		m.root < m.pages && (m.freelist < m.pages || m.freelist == noFreelist)
	return m, ok
}

// checkFile reads the beginning of a store before bbolt maps it: a truncated file
// would be a fault that ends the process, an empty one would silently become a new
// store. It reports whether both metas are whole; with one, the last commit may be
// lost.
func checkFile(file *os.File) (whole bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	switch {
	case !info.Mode().IsRegular():
		return false, fmt.Errorf("%w: it is not a regular file; name the file itself", ErrForeign)
	case info.Size() == 0:
		return false, fmt.Errorf("%w: it is empty, which a store never is; restore a backup, or remove it to begin anew", ErrDamaged)
	}
	metas, err := readMetas(file)
	if err != nil {
		return false, err
	}
	if len(metas) == 0 {
		return false, diagnose(file)
	}
	newest := metas[0]
	if len(metas) > 1 && metas[1].transaction > newest.transaction {
		newest = metas[1]
	}
	if need := newest.pages * uint64(newest.pageBytes); uint64(info.Size()) < need { //nolint:gosec // not negative
		return false, fmt.Errorf("%w: it has %d bytes, and %d when it was last written: it was cut off; restore a backup",
			ErrDamaged, info.Size(), need)
	}
	return len(metas) == 2, nil
}

// readMetas returns the valid metas of a file. The second one's place depends on
// the size of the pages, which is the first one's to tell.
func readMetas(file io.ReaderAt) ([]meta, error) {
	first, ok, err := readMeta(file, 0)
	if err != nil {
		return nil, err
	}
	if ok {
		second, ok, err := readMeta(file, int64(first.pageBytes))
		if !ok {
			return []meta{first}, err
		}
		return []meta{first, second}, err
	}
	for at := int64(minPageBytes); at <= maxPageBytes; at *= 2 {
		second, ok, err := readMeta(file, at)
		if err != nil {
			return nil, err
		}
		if ok && int64(second.pageBytes) == at {
			return []meta{second}, nil
		}
	}
	return nil, nil
}

// readMeta reads the meta of a page, and reports whether there is a whole one.
func readMeta(file io.ReaderAt, page int64) (m meta, ok bool, err error) {
	var b [metaBytes]byte
	if _, err := file.ReadAt(b[:], page+metaOffset); err != nil {
		if errors.Is(err, io.EOF) { // it is too short for this page
			err = nil
		}
		return meta{}, false, err
	}
	m, ok = parseMeta(b[:])
	return m, ok, nil
}

// diagnose tells what is wrong with a file that has no valid meta.
func diagnose(file io.ReaderAt) error {
	start := make([]byte, 2*minPageBytes)
	n, err := file.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	order := binary.NativeEndian
	switch {
	case n > metaOffset && len(bytes.Trim(start[:n], "\x00")) == 0:
		return fmt.Errorf("%w: it begins with zeros; restore a backup", ErrDamaged)
	case order.Uint32(start[metaOffset:]) == metaMagic:
		return fmt.Errorf("%w: both its meta pages are damaged; restore a backup", ErrDamaged)
	}
	return fmt.Errorf("%w: it is another kind of file, or its beginning was overwritten; name another file, or restore a backup", ErrForeign)
}

// tighten takes from everyone but the owner what access to a file they have: it
// holds digests of credentials.
func tighten(file *os.File) (was fs.FileMode, err error) {
	info, err := file.Stat()
	if err != nil || info.Mode().Perm()&0o077 == 0 || runtime.GOOS == "windows" {
		return 0, err
	}
	return info.Mode().Perm(), file.Chmod(fileMode)
}
