//go:build amd64 || arm64

package store

// prefetch has the processor fetch an entry, a cache line, without waiting for it.
//
//go:noescape
func prefetch(e *entry)
