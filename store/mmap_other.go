//go:build !linux

package store

const (
	mapFlags = 0 // only Linux can read a file while it is mapped
	mapBytes = 0 // on Windows the file itself would get that large
)
