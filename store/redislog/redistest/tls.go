package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
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
	port := freePort(tb)
	cert, key := selfSigned(tb)
	s = Start(tb, "--tls-port", strconv.Itoa(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no", "--tls-ca-cert-file", cert)
	return s, fmt.Sprintf("rediss://127.0.0.1:%d/0", port)
}

// selfSigned writes a certificate for 127.0.0.1, and its key.
func selfSigned(tb testing.TB) (certFile, keyFile string) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, //nolint:mnd // it is for this machine
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return writePEM(tb, "CERTIFICATE", cert), writePEM(tb, "PRIVATE KEY", private)
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
