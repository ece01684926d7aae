package caddymodule

import (
	"bytes"
	"context"
	"testing"
	"time"
)

// The line is written anew at each tick, and gone at the end.
func TestShowProgress(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ticks := make(chan time.Time)
	stop := showProgress(t.Context(), &out, ticks, func(context.Context) string { return "apply: 7 of 9" })
	ticks <- time.Time{}
	stop()
	if got, want := out.String(), "\r\x1b[Kapply: 7 of 9 (0s)\r\x1b[K"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
