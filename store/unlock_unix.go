//go:build unix && !solaris && !illumos && !aix

package store

import (
	"os"
	"syscall"
)

// unlock gives up bbolt's lock on a file that stays mapped: the lock belongs to
// what was opened, and the map keeps that open though the file is closed.
func unlock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
}
