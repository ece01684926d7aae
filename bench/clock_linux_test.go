package main

import (
	"os"
	"slices"
	"syscall"
	"testing"
)

func TestOwnCPUTimeGrowsWithWork(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	credentials(3, 10_000)
	after, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after <= before {
		t.Errorf("CPU time %v before work, %v after it", before, after)
	}
}

func TestOwnProcessIsInItsGroup(t *testing.T) {
	members, err := groupMembers(syscall.Getpgrp())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(members, os.Getpid()) {
		t.Errorf("group %d has %v, want %d among them", syscall.Getpgrp(), members, os.Getpid())
	}
}
