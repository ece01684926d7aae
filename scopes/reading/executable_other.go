//go:build !linux

package reading

// executable is empty: on this system no path is sure to be the program that runs, for its
// file may have been replaced.
const executable = ""
