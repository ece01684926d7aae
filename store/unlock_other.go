//go:build !unix || solaris || illumos || aix

package store

import "os"

// unlock does nothing: the lock goes with the file.
func unlock(*os.File) error { return nil }
