package redislog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// With TLS, a certificate that is not trusted is refused before anything is sent.
func TestTLS(t *testing.T) {
	t.Parallel()
	_, url := redistest.StartTLS(t)
	first := &store.Commit{Next: headAt("e1", 1, 'a'), NewEpoch: true}
	untrusting := openLog(t, url)
	var err error
	for range 20 { // on a loaded machine the time for a call can be over before the handshake
		if err = untrusting.Commit(context.Background(), first); err == nil || errors.Is(err, store.ErrUnreachable) {
			break
		}
	}
	if !errors.Is(err, store.ErrUnreachable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that is not trusted: %v", err)
	}
	l := openLog(t, url+"?skip_verify=true")
	awaitWakeup(t, l, "the subscription")
	if p := pull(t, l, store.Position{}); p.Verdict != store.PullEmpty {
		t.Errorf("got %+v", p)
	}
	mustCommit(t, l, first)
}

// hostOfTLS is what the certificate of the server in these tests is for: not what is
// connected to.
const hostOfTLS = "redis.test"

// tlsFor returns what a node of an authority is given.
func tlsFor(tb testing.TB, a *redistest.Authority) TLS {
	tb.Helper()
	cert, key := a.Issue(tb, "node")
	return TLS{CA: a.CertFile, Cert: cert, Key: key, ServerName: hostOfTLS}
}

func openTLS(tb testing.TB, url string, trust TLS) *Log {
	tb.Helper()
	l, err := Open(Options{URL: url, TLS: trust})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// awaitPull pulls until it comes out as wanted: on a loaded machine the time for a call can
// be over before the handshake.
func awaitPull(tb testing.TB, l *Log, want string) {
	tb.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, err := l.Pull(context.Background(), store.Position{}, report("node_1"))
		if got := errText(err); got == want || want != "" && strings.Contains(got, want) {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("a pull: got the error %v, want %q", err, want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A Redis whose certificate is of an authority of one's own, and that wants to see one of
// the same: what is not as it should be is refused, on either side.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := redistest.NewAuthority(t), redistest.NewAuthority(t)
	_, url := redistest.StartMutualTLS(t, ours, hostOfTLS)
	l := openTLS(t, url, tlsFor(t, ours))
	awaitPull(t, l, "")
	awaitWakeup(t, l, "the subscription")
	commitUntil(t, l, &store.Commit{Next: headAt("e1", 1, 'a'), NewEpoch: true})
	for name, test := range map[string]struct {
		change func(*TLS)
		want   string
	}{
		"another authority is trusted": {func(o *TLS) { o.CA = theirs.CertFile }, "unknown authority"},
		"whom the system trusts":       {func(o *TLS) { o.CA = "" }, "unknown authority"},
		"another host":                 {func(o *TLS) { o.ServerName = "elsewhere.test" }, "elsewhere.test"},
		"the host connected to":        {func(o *TLS) { o.ServerName = "" }, "127.0.0.1"},
		"no certificate":               {func(o *TLS) { o.Cert, o.Key = "", "" }, "certificate required"},
		"a certificate of another authority": {func(o *TLS) {
			other := tlsFor(t, theirs)
			o.Cert, o.Key = other.Cert, other.Key
		}, "remote error: tls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trust := tlsFor(t, ours)
			test.change(&trust)
			awaitPull(t, openTLS(t, url, trust), test.want)
		})
	}
}

// What is renewed on the disk is in use from the next connection on.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	ours, theirs := redistest.NewAuthority(t), redistest.NewAuthority(t)
	server, url := redistest.StartMutualTLS(t, ours, hostOfTLS)
	good, bad, trust := tlsFor(t, ours), tlsFor(t, theirs), tlsFor(t, ours)
	trust.CA = filepath.Join(t.TempDir(), "ca.pem")
	replaceFile(t, trust.CA, good.CA)
	l := openTLS(t, url, trust)
	awaitPull(t, l, "")
	for _, step := range []struct {
		from TLS
		want string
	}{{bad, "unknown authority"}, {good, ""}} {
		for to, from := range map[string]string{trust.CA: step.from.CA, trust.Cert: step.from.Cert, trust.Key: step.from.Key} {
			replaceFile(t, to, from)
		}
		if err := server.Client(t).ClientKillByFilter(context.Background(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
			t.Fatal(err)
		}
		awaitPull(t, l, step.want)
	}
}

// replaceFile puts a copy of a file in the place of another.
func replaceFile(tb testing.TB, path, from string) {
	tb.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// What cannot work is refused at once, and the error says what it is.
func TestTLSOptions(t *testing.T) {
	t.Parallel()
	ours := redistest.NewAuthority(t)
	good := tlsFor(t, ours)
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for name, test := range map[string]struct {
		url   string
		trust TLS
		want  string
	}{
		"a URL without TLS":     {"redis://127.0.0.1:1", good, "write rediss://"},
		"sentinels without TLS": {"redis+sentinel://127.0.0.1:1?master_name=m", good, "write rediss://"},
		"a cluster without TLS": {"redis+cluster://127.0.0.1:1", good, "write rediss://"},
		"skip_verify":           {"rediss://127.0.0.1:1?skip_verify=true", good, "skip_verify"},
		"no such authority":     {"rediss://127.0.0.1:1", TLS{CA: missing}, missing},
		"a key as authority":    {"rediss://127.0.0.1:1", TLS{CA: good.Key}, "no certificate to trust"},
		"no such certificate":   {"rediss://127.0.0.1:1", TLS{Cert: missing, Key: good.Key}, missing},
		"a certificate without": {"rediss://127.0.0.1:1", TLS{Cert: good.Cert}, "belong together"},
		"a key without":         {"rediss+cluster://127.0.0.1:1", TLS{Key: good.Key}, "belong together"},
		"the key of another":    {"rediss+sentinel://127.0.0.1:1?master_name=m", TLS{Cert: good.Cert, Key: tlsFor(t, ours).Key}, "cannot be used"},
	} {
		l, err := Open(Options{URL: test.url, TLS: test.trust})
		if err == nil {
			_ = l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, test.want)
		}
	}
}
