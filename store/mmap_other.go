//go:build !linux

package store

// mapFlags: only Linux can read a file while it is mapped.
const mapFlags = 0
