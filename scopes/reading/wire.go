package reading

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/scopegate/scopegate/priority"
	"github.com/scopegate/scopegate/scopes"
)

// request is what the other process is asked, but for the bytes of the files and then of
// the documents, which follow one after the other.
type request struct {
	Now       time.Time
	Known     []scopes.API
	Sources   []part
	Documents []part
}

// part is a file or a document.
type part struct {
	Name  string
	Bytes int
	Error string // why a document cannot be read; "" if it can
}

// write sends what is to be read.
func write(w io.Writer, sources []scopes.Source, o Options) error {
	ask := request{Now: o.Now, Known: o.Known}
	var all [][]byte
	for i := range sources {
		ask.Sources = append(ask.Sources, part{Name: sources[i].Name, Bytes: len(sources[i].Data)})
		all = append(all, sources[i].Data)
	}
	for _, path := range slices.Sorted(maps.Keys(o.Documents)) {
		document := part{Name: path, Bytes: len(o.Documents[path].Data)}
		if err := o.Documents[path].Err; err != nil {
			document.Error = err.Error()
		}
		ask.Documents = append(ask.Documents, document)
		all = append(all, o.Documents[path].Data)
	}
	err := gob.NewEncoder(w).Encode(&ask)
	for i := 0; i < len(all) && err == nil; i++ {
		_, err = w.Write(all[i])
	}
	return err
}

// read is the inverse of write.
func read(from io.Reader) (sources []scopes.Source, o Options, err error) {
	r := bufio.NewReader(from) // an io.ByteReader: gob takes no more of it than is its own
	var ask request
	if err := gob.NewDecoder(r).Decode(&ask); err != nil {
		return nil, Options{}, err
	}
	o = Options{Now: ask.Now, Known: ask.Known, Documents: make(map[string]Document)}
	for _, p := range ask.Sources {
		data := make([]byte, p.Bytes)
		if _, err := io.ReadFull(r, data); err != nil {
			return nil, Options{}, err
		}
		sources = append(sources, scopes.Source{Name: p.Name, Data: data})
	}
	for _, p := range ask.Documents {
		document := Document{Data: make([]byte, p.Bytes)}
		if _, err := io.ReadFull(r, document.Data); err != nil {
			return nil, Options{}, err
		}
		if p.Error != "" {
			document.Err = errors.New(p.Error)
		}
		o.Documents[p.Name] = document
	}
	return sources, o, nil
}

// answer is what came of it. Where both fields are empty, the file follows.
type answer struct {
	Problems scopes.Problems
	Failure  string // why it failed otherwise
}

// respond writes what came of reading. It is encoded as a whole first, so that the gateway
// and this process do not compute at the same time.
func respond(w io.Writer, file *scopes.File, failure error) error {
	var told answer
	if problems, ok := errors.AsType[scopes.Problems](failure); ok {
		told.Problems = problems
	} else if failure != nil {
		told.Failure = failure.Error()
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(&told); err != nil {
		return err
	}
	if failure == nil {
		if err := file.Encode(&b); err != nil {
			return err
		}
	}
	_, err := b.WriteTo(w)
	return err
}

// receive reads what respond has written.
func receive(answered []byte) (*scopes.File, error) {
	defer priority.GiveWay()()
	r := bytes.NewReader(answered) // an io.ByteReader, again
	var told answer
	if err := gob.NewDecoder(r).Decode(&told); err != nil {
		return nil, fmt.Errorf("%w: its answer cannot be read: %w", ErrProcess, err)
	}
	switch {
	case len(told.Problems) > 0:
		return nil, told.Problems
	case told.Failure != "":
		return nil, errors.New(told.Failure)
	}
	file, err := scopes.DecodeFile(r)
	if err != nil {
		return nil, fmt.Errorf("%w: its answer cannot be read: %w", ErrProcess, err)
	}
	return file, nil
}
