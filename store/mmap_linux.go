package store

import "syscall"

const (
	// mapFlags make the kernel read the file while it is mapped: a boot reads all of
	// it, and faults page by page otherwise.
	mapFlags = syscall.MAP_POPULATE
	// mapBytes is how much address space the file gets, where there is so much: 4 GiB
	// of 64 bits, else 64 MiB. It takes no memory. A file that outgrows it is mapped
	// anew, for which bbolt copies all that a change has written so far, and waits for
	// whoever reads, such as a backup.
	mapBytes = 1 << (26 + 6*(^uint(0)>>63))
)
