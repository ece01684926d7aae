// Package priority tells the operating system which work can wait.
//
// Go schedules goroutines as if all were of one importance, and so does the system with
// the threads that they run on. Work that takes seconds of a processor then holds up
// requests that take microseconds: on Linux for up to some milliseconds each time.
package priority
