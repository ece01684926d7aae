//go:build !linux

package reading

// executable is not known to be the program that runs: its file may have been replaced.
const executable = ""
