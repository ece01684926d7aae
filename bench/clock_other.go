//go:build !linux

package main

import (
	"errors"
	"syscall"
	"time"
)

// errNotLinux is what everything that measures answers here; the tests of the rest still run.
var errNotLinux = errors.New("the bench reads other processes' CPU clocks, which needs Linux")

func cpuTime(int) (time.Duration, error) { return 0, errNotLinux }

func allowedCPUs() ([]int, error) { return nil, errNotLinux }

func ownGroup() *syscall.SysProcAttr { return nil }
