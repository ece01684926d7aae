package store

import "syscall"

// mapFlags make the kernel read the file while it is mapped: a boot reads all of
// it, and faults page by page otherwise.
const mapFlags = syscall.MAP_POPULATE
