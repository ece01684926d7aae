package store

import (
	"fmt"
	"io"
)

const (
	idPrefix  = "tok_"
	idRandom  = 22 // base62 characters: 131 bits
	idBytes   = len(idPrefix) + idRandom
	idDigits  = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	idAccepts = 256 - 256%len(idDigits) // random bytes from here on would favour the first digits
)

// newID makes an id of 131 random bits: nobody can guess one, and no two are alike.
func newID(random io.Reader) (string, error) {
	id := append(make([]byte, 0, idBytes), idPrefix...)
	var buf [32]byte
	for len(id) < idBytes {
		if _, err := io.ReadFull(random, buf[:]); err != nil {
			return "", fmt.Errorf("store: reading random bytes for an id: %w", err)
		}
		for _, b := range buf {
			if int(b) < idAccepts && len(id) < idBytes {
				id = append(id, idDigits[int(b)%len(idDigits)])
			}
		}
	}
	return string(id), nil
}

// isID reports whether a reference to a token is an id rather than a name. No
// name is taken for one, for "account/name" has a slash.
func isID(ref string) bool {
	return len(ref) == idBytes && ref[:len(idPrefix)] == idPrefix
}
