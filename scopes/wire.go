package scopes

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
)

// A file goes from one process to another of the same program, account by account. It
// is no format to keep files in: another version may write it in another way.

// encodedFile is a [File] without its accounts, which follow it one by one.
type encodedFile struct {
	Name, Owner string
	APIs        []API
	Tests       []Test
	Warnings    []Problem
	Owners      []encodedOwner
	Others      []string
	Accounts    int // how many follow
}

// encodedOwner says whose a thing is: see [ownedKey].
type encodedOwner struct {
	Kind        byte
	Name, Owner string
}

// Encode writes the file for [DecodeFile].
func (f *File) Encode(w io.Writer) error {
	head := encodedFile{
		Name: f.Name, Owner: f.Owner, APIs: f.APIs, Tests: f.Tests, Warnings: f.Warnings, Others: f.others, Accounts: len(f.Accounts),
	}
	for key, owner := range f.owners {
		head.Owners = append(head.Owners, encodedOwner{key.kind, key.name, owner})
	}
	enc := gob.NewEncoder(w)
	err := enc.Encode(&head)
	for i := 0; i < len(f.Accounts) && err == nil; i++ {
		err = enc.Encode(&f.Accounts[i])
	}
	return err
}

// DecodeFile reads what [File.Encode] has written, by the same version of this package.
// Whatever follows may be lost unless r is an [io.ByteReader].
func DecodeFile(r io.Reader) (*File, error) {
	dec := gob.NewDecoder(r)
	var head encodedFile
	if err := dec.Decode(&head); err != nil {
		return nil, undecoded(err)
	}
	f := &File{
		Name: head.Name, Owner: head.Owner, APIs: head.APIs, Tests: head.Tests, Warnings: head.Warnings, others: head.Others,
	}
	for _, o := range head.Owners {
		f.setOwner(o.Kind, o.Name, o.Owner)
	}
	for range head.Accounts {
		var a Account
		if err := dec.Decode(&a); err != nil {
			return nil, undecoded(err)
		}
		f.Accounts = append(f.Accounts, a)
	}
	return f, nil
}

func undecoded(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("scopes: decoding a file: %w", err)
}
