package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// requestPath is what every request asks for.
const requestPath = "/api/petstore/v1/items/42"

const (
	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

	// tokensPerAccount is the most active scoped tokens that an account may have.
	tokensPerAccount = 20
	// maxTokens is how many fit into a scope file, which has at most 64 MiB.
	maxTokens = 200_000
	// scopeKinds is how many different sets of rights the maps of nginx and HAProxy tell apart.
	scopeKinds = 16
)

// The files of an estate, in the bench's folder.
const (
	scopeFile         = "scopes.yaml"
	knownFile         = "known.txt"   // credentials that requests are allowed with, one a line
	unknownFile       = "unknown.txt" // well-formed credentials that no gateway knows
	nginxTokensFile   = "nginx-tokens.map"
	nginxScopesFile   = "nginx-scopes.map"
	haproxyTokensFile = "haproxy-tokens.map"
	haproxyScopesFile = "haproxy-scopes.map"
)

// credentials makes n credentials of the form that Scopegate issues: sgt_, 43 base62 characters, and 6 of their CRC-32. The
// same seed makes the same ones, so that runs compare; they are worth nothing elsewhere.
func credentials(seed uint64, n int) []string {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	source := rand.New(rand.NewChaCha8(key))
	made := make([]string, n)
	for i := range made {
		body := []byte("sgt_")
		for range 43 {
			body = append(body, base62[source.IntN(len(base62))])
		}
		made[i] = string(body) + checksum(body)
	}
	return made
}

// checksum is the CRC-32 (IEEE) of body as six base62 digits, the most significant first.
func checksum(body []byte) string {
	var digits [6]byte
	rest := crc32.ChecksumIEEE(body)
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = base62[rest%62]
		rest /= 62
	}
	return string(digits[:])
}

// writeEstate writes what the gateways know, and what is sent to them, into dir: tokens in all, sent of them used.
func writeEstate(dir, upstream string, tokens, sent int) error {
	known := credentials(1, tokens)
	files := map[string]func(io.Writer){
		scopeFile:         func(w io.Writer) { writeScopeFile(w, upstream, known) },
		knownFile:         func(w io.Writer) { writeLines(w, known[:sent]) },
		unknownFile:       func(w io.Writer) { writeLines(w, credentials(2, sent)) },
		nginxTokensFile:   func(w io.Writer) { writeTokenMap(w, known, "\"Bearer %s\" s%d;\n") },
		nginxScopesFile:   func(w io.Writer) { writeScopeMap(w, "\"s%d petstore v1 GET\" 1;\n") },
		haproxyTokensFile: func(w io.Writer) { writeTokenMap(w, known, "%s s%d\n") },
		haproxyScopesFile: func(w io.Writer) { writeScopeMap(w, "s%d:/api/petstore/v1:GET 1\n") },
	}
	for name, write := range files {
		if err := writeFile(filepath.Join(dir, name), write); err != nil {
			return err
		}
	}
	return nil
}

// writeFile makes a file of what write writes; the error is the first one of all the writing.
func writeFile(path string, write func(io.Writer)) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	write(w)
	if err := w.Flush(); err != nil {
		f.Close() //nolint:errcheck // the error that is reported came first
		return err
	}
	return f.Close()
}

func writeLines(w io.Writer, lines []string) {
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
}

func writeTokenMap(w io.Writer, known []string, format string) {
	for i, credential := range known {
		fmt.Fprintf(w, format, credential, i%scopeKinds)
	}
}

func writeScopeMap(w io.Writer, format string) {
	for kind := range scopeKinds {
		fmt.Fprintf(w, format, kind)
	}
}

// writeScopeFile declares the API and the tokens, in as many accounts as their limits ask for.
func writeScopeFile(w io.Writer, upstream string, known []string) {
	fmt.Fprintf(w, `format: 1
apis:
  petstore:
    title: Petstore
    versions: ["v1", "v2"]
    upstream: [http://%s]
    operations:
      items: GET|POST /api/petstore/{version}/items
      item:  GET|PUT|DELETE /api/petstore/{version}/items/{id}
      photo: "* /api/petstore/{version}/items/{id}/photos/**"
accounts:
`, upstream)
	methods := []string{"GET", "GET, POST", "GET, PUT", "GET, POST, PUT, DELETE"}
	for i, credential := range known {
		if i%tokensPerAccount == 0 {
			fmt.Fprintf(w, "  account-%06d:\n    tokens:\n", i/tokensPerAccount)
		}
		fmt.Fprintf(w, strings.TrimPrefix(`
      token-%02d:
        description: One of the tokens that the load generator sends
        contact: {email: bench@example.com}
        scopes:
          - {api: petstore, version: "v1", methods: [%s]}
        credential: sha256:%x
`, "\n"), i%tokensPerAccount, methods[i%len(methods)], sha256.Sum256([]byte(credential)))
	}
}
