package caddymodule

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes/reading"
	"github.com/scopegate/scopegate/store"
)

func TestStatusOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want int
	}{
		{store.ErrAuthority, http.StatusForbidden},
		{store.ErrNotFound, http.StatusNotFound},
		{store.ErrDead, http.StatusGone},
		{store.ErrExists, http.StatusConflict},
		{store.ErrLimit, http.StatusConflict},
		{store.ErrWiden, http.StatusConflict},
		{store.ErrMoved, http.StatusConflict},
		{store.ErrConflict, http.StatusConflict},
		{store.ErrClosed, http.StatusServiceUnavailable},
		{store.ErrReopen, http.StatusServiceUnavailable},
		{store.ErrReadOnly, http.StatusServiceUnavailable},
		{store.ErrLocked, http.StatusServiceUnavailable},
		{store.ErrUnreachable, http.StatusServiceUnavailable},
		{store.ErrUncertain, http.StatusServiceUnavailable},
		{store.ErrHeadMoved, http.StatusConflict},
		{reading.ErrProcess, http.StatusServiceUnavailable},
		{store.ErrForeign, http.StatusUnprocessableEntity},
		{store.ErrNewer, http.StatusUnprocessableEntity},
		{store.ErrNoLog, http.StatusConflict},
		{store.ErrDamaged, http.StatusInternalServerError},
		{syscall.ENOSPC, http.StatusInsufficientStorage},
		{syscall.EDQUOT, http.StatusInsufficientStorage},
		{syscall.EFBIG, http.StatusInsufficientStorage},
		{syscall.EIO, http.StatusInternalServerError},
	} {
		if got := statusOf(fmt.Errorf("changing token acme/sync: %w", c.err)); got != c.want {
			t.Errorf("statusOf(%v): got %d, want %d", c.err, got, c.want)
		}
	}
}

func TestShowInterval(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		interval time.Duration
		want     string
	}{
		{0, ""},
		{90 * 24 * time.Hour, "90d"},
		{36 * time.Hour, "36h"},
		{90 * time.Minute, "1h30m"},
		{10 * time.Minute, "10m"},
		{100 * time.Second, "1m40s"},
		{20 * time.Hour, "20h"},
	} {
		if got := showInterval(c.interval); got != c.want {
			t.Errorf("showInterval(%v): got %q, want %q", c.interval, got, c.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"plain", "alice", "alice"},
		{"line break", "alice\nrevision 7 root", "alicerevision 7 root"},
		{"terminal escape", "\x1b[2Jalice", "[2Jalice"},
		{"no UTF-8", "al\xffice", "alice"},
		{"cut inside a character", "0123456789012345678901234567890123456789012345678901234567890123é", "0123456789012345678901234567890123456789012345678901234567890123"},
		{"umlaut", "müller", "müller"},
	} {
		if got := printable(c.in); got != c.want {
			t.Errorf("%s: printable(%q): got %q, want %q", c.name, c.in, got, c.want)
		}
	}
}
