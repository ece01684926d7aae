package redislog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
)

// TLS says whom a node trusts, and who it is, where a Redis speaks TLS. The files are PEM.
// They are read for each connection, so that one that was renewed counts from the next on.
// The zero TLS trusts whom the system trusts, and shows the servers nothing.
type TLS struct {
	// CA is a file with the certificates of those who sign the servers'. Nobody else is
	// trusted then, also none of those whom the system trusts.
	CA string
	// Cert and Key are the files of the certificate that the servers are shown, and of its
	// key: both or neither.
	Cert, Key string
	// ServerName is what the servers' certificates are for; "" for the host that is
	// connected to.
	ServerName string
}

// Check reads the files, and returns what is wrong with them.
func (t TLS) Check() error {
	_, err := t.config()
	return err
}

func (t TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		trusted, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("the certificates that are trusted cannot be read: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(trusted) {
			return nil, fmt.Errorf("%s has no certificate to trust; it must be PEM, with BEGIN CERTIFICATE", t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("a certificate and its key belong together: name cert and key, or neither")
	}
	if t.Cert != "" {
		own, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("the certificate %s and its key %s cannot be used: %w", t.Cert, t.Key, err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	return c, nil
}

// dialer is what the client connects with.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// dialer returns nil where the client's own will do. stated is what the URL says of TLS.
func (t TLS) dialer(stated *tls.Config) (dialer, error) {
	switch {
	case t == TLS{}:
		return nil, nil //nolint:nilnil // the client's zero value
	case stated == nil:
		return nil, errors.New("redislog: there are settings for TLS, but the URL of the Redis is not for it; write rediss://")
	case stated.InsecureSkipVerify:
		return nil, errors.New("redislog: the URL of the Redis has skip_verify, but the settings for TLS say whom to trust; leave one out")
	}
	if err := t.Check(); err != nil {
		return nil, fmt.Errorf("redislog: TLS: %w", err)
	}
	return t.dial, nil
}

// dial connects to a server, and has looked at its certificate when it returns.
func (t TLS) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := t.config()
	if err != nil {
		return nil, err
	}
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}, Config: c}
	return d.DialContext(ctx, network, addr)
}
