package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// StartTLS starts a redis-server that also speaks TLS, with a certificate that nobody
// trusts, and returns the URL for it.
func StartTLS(tb testing.TB) (s *Server, url string) {
	tb.Helper()
	return startTLS(tb, NewAuthority(tb), "127.0.0.1", "no")
}

// StartMutualTLS starts a redis-server that also speaks TLS, and then only with who shows a
// certificate of the authority. Its own is for a host of that name, which may be another
// than that in the URL.
func StartMutualTLS(tb testing.TB, a *Authority, host string) (s *Server, url string) {
	tb.Helper()
	return startTLS(tb, a, host, "yes")
}

func startTLS(tb testing.TB, a *Authority, host, authClients string) (s *Server, url string) {
	tb.Helper()
	port := freePort(tb)
	cert, key := a.Issue(tb, host)
	s = Start(tb, "--tls-port", strconv.Itoa(port), "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-auth-clients", authClients, "--tls-ca-cert-file", a.CertFile)
	return s, fmt.Sprintf("rediss://127.0.0.1:%d/0", port)
}

// Authority signs certificates, each for an hour.
type Authority struct {
	CertFile string // its own certificate
	cert     *x509.Certificate
	key      *ecdsa.PrivateKey
}

// NewAuthority returns one that nothing trusts yet.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	a := &Authority{cert: hourLong("authority of " + tb.Name()), key: newKey(tb)}
	a.cert.Subject.SerialNumber = a.cert.SerialNumber.String() // tells two of one test apart
	a.cert.IsCA, a.cert.BasicConstraintsValid = true, true
	a.cert.KeyUsage = x509.KeyUsageCertSign
	a.CertFile = writePEM(tb, "CERTIFICATE", a.sign(tb, a.cert, a.key))
	return a
}

// Issue writes a certificate for a host, a name or an IP address, and its key. It may be
// shown by a server and by a client.
func (a *Authority) Issue(tb testing.TB, host string) (certFile, keyFile string) {
	tb.Helper()
	template, key := hourLong(host), newKey(tb)
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return writePEM(tb, "CERTIFICATE", a.sign(tb, template, key)), writePEM(tb, "PRIVATE KEY", private)
}

func (a *Authority) sign(tb testing.TB, template *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	tb.Helper()
	cert, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

func hourLong(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func writePEM(tb testing.TB, kind string, der []byte) (file string) {
	tb.Helper()
	file = filepath.Join(tb.TempDir(), "tls.pem")
	const mode = 0o600
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		tb.Fatal(err)
	}
	return file
}
