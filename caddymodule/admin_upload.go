package caddymodule

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scopegate/scopegate/priority"
	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/scopes/openapi"
	"github.com/scopegate/scopegate/scopes/reading"
	"github.com/scopegate/scopegate/store"
)

// upload is what was sent to be compared or applied, and what to do with it.
type upload struct {
	sent       *received // until the files are read
	file       *scopes.File
	name       string            // of the files, for the audit log
	digest     [sha256.Size]byte // of their bytes; of several files, of their digests one after the other
	prune      bool
	allowWiden bool
	revision   *uint64 // that the store must have; nil for any
	// credentials are those that were made for new tokens.
	credentials map[string]store.NewCredential
}

// planOptions returns how the file is planned.
func (up *upload) planOptions() store.PlanOptions {
	return store.PlanOptions{Prune: up.prune, Credentials: up.credentials}
}

// received are the parts of an upload.
type received struct {
	files       []scopes.Source
	documents   documents // that the files name
	credentials map[string]sentCredential
}

// sentCredential is a credential that a client has made for a new token.
type sentCredential struct {
	Digest   string `json:"digest"`
	LastFour string `json:"last_four"`
}

// Bounds of the parts of an upload, in bytes.
const (
	maxSentCredentials = 32 << 20
	maxSentDocuments   = 2 * openapi.MaxBytes // all together
)

// The media types of an upload.
var fileTypes = []string{"application/yaml", "application/x-yaml", "text/yaml", "application/json"}

const severalFiles = "multipart/form-data"

// receiveUpload takes in what a request has to plan or apply, and the parameters that may
// stand beside it. The body is one file's bytes and nothing else, so that they are read
// exactly as they would be from a disk, or a form with several of them.
func receiveUpload(r *http.Request, known ...string) (*upload, error) {
	values, err := parameters(r, known...)
	if err != nil {
		return nil, err
	}
	up := new(upload)
	if err := up.readParameters(values); err != nil {
		return nil, err
	}
	if err := hasMediaType(r, append(slices.Clone(fileTypes), severalFiles)...); err != nil {
		return nil, err
	}
	if up.sent, err = receive(r, values.Get("name")); err != nil {
		return nil, err
	}
	if reading.IsLarge(up.sent.files, up.sent.documents) {
		defer priority.GiveWay()()
	}
	up.name, up.digest = identify(up.sent)
	up.sent.documents.noteMissing(up.sent.files)
	if up.credentials, err = readCredentials(up.sent.credentials); err != nil {
		return nil, err
	}
	if len(up.credentials) > 0 && up.revision == nil {
		return nil, failf(http.StatusBadRequest, "credentials are for the tokens that a plan creates; send its revision too")
	}
	return up, nil
}

// readFiles reads the files that were received. What the store has of APIs they may use.
func (up *upload) readFiles(ctx context.Context, s *store.Store) error {
	apis, err := s.APIs()
	if err != nil {
		return err
	}
	sent := up.sent
	up.sent = nil // it is not needed any more once they are read, and may be large
	options := reading.Options{Now: time.Now(), Known: apis, Documents: sent.documents}
	up.file, err = readScopes(ctx, sent.files, options)
	if err == nil || errors.Is(err, reading.ErrProcess) || ctx.Err() != nil {
		return err
	}
	return refuseFiles(sent.files, err)
}

// identify returns what the audit log has of files: their names and a digest.
func identify(sent *received) (name string, digest [sha256.Size]byte) {
	files := sent.files
	if len(files) == 1 {
		return files[0].Name, sent.documents.digest(files[0])
	}
	names, all := make([]string, len(files)), sha256.New()
	for i, f := range files {
		sum := sent.documents.digest(f)
		names[i] = f.Name
		_, _ = all.Write(sum[:]) // never fails
	}
	return firstNames(names), [sha256.Size]byte(all.Sum(nil))
}

// firstNames names the first files of some.
func firstNames(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func (up *upload) readParameters(values url.Values) (err error) {
	if up.prune, err = switched(values, "prune"); err != nil {
		return err
	}
	if up.allowWiden, err = switched(values, "allow_widen"); err != nil {
		return err
	}
	if !values.Has("revision") {
		return nil
	}
	revision, err := strconv.ParseUint(values.Get("revision"), 10, 64)
	if err != nil {
		return failf(http.StatusBadRequest, "the parameter revision is a number, not %q", values.Get("revision"))
	}
	up.revision = &revision
	return nil
}

// receive reads a body. name is what a single file is called; "" for a name that
// says nothing.
func receive(r *http.Request, name string) (*received, error) {
	if name == "" {
		name = "scopes.yaml"
	}
	if isType(r, fileTypes) {
		src, err := readBody(r, scopes.MaxFileBytes)
		return &received{files: []scopes.Source{{Name: name, Data: src}}, documents: make(documents)}, err
	}
	r.Body = http.MaxBytesReader(nil, r.Body, scopes.MaxFileBytes+maxSentDocuments+maxSentCredentials)
	form, err := r.MultipartReader()
	if err != nil {
		return nil, failf(http.StatusBadRequest, "the form cannot be read: %v", err)
	}
	sent := &received{documents: make(documents)}
	for {
		part, err := form.NextPart()
		switch {
		case errors.Is(err, io.EOF) && len(sent.files) == 0:
			return nil, failf(http.StatusBadRequest, "the form has no part called file")
		case errors.Is(err, io.EOF):
			return sent, nil
		case err == nil:
			err = sent.read(part)
		}
		if err != nil {
			return nil, unreadable(err)
		}
	}
}

// unreadable says why a form cannot be read.
func unreadable(err error) error {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return failf(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	}
	if _, ok := errors.AsType[caddy.APIError](err); ok {
		return err
	}
	return failf(http.StatusBadRequest, "the form cannot be read: %v", err)
}

// read reads one part of a form.
func (sent *received) read(part *multipart.Part) error {
	switch part.FormName() {
	case "file":
		name := fileName(part)
		if name == "" {
			return failf(http.StatusBadRequest, "a part called file has no filename")
		}
		src, err := readInParts(part)
		sent.files = append(sent.files, scopes.Source{Name: name, Data: src})
		return err
	case "document":
		return sent.readDocument(part)
	case "credentials":
		if sent.credentials != nil {
			return failf(http.StatusBadRequest, "the part credentials stands twice")
		}
		if err := decodeJSON(part, &sent.credentials); err != nil { // it does not show what was sent
			return failf(http.StatusBadRequest, `the part credentials is JSON such as {"acme/sync": {"digest": "sha256:…", "last_four": "07aB"}}`)
		}
		return nil
	}
	return failf(http.StatusBadRequest, "unknown part %q of the form; expected file, document or credentials", part.FormName())
}

// readDocument reads an OpenAPI document. Its name is only compared with those that
// the files have: nothing is opened by it.
func (sent *received) readDocument(part *multipart.Part) error {
	name := fileName(part)
	if _, twice := sent.documents[name]; twice || name == "" {
		return failf(http.StatusBadRequest, "each part called document has a filename of its own, the path of an OpenAPI document")
	}
	src, err := readInParts(part)
	sent.documents[name] = reading.Document{Data: src}
	return err
}

// fileName returns the name of a part as it was sent, with its folders, which
// [multipart.Part.FileName] leaves out: nothing is written under it.
func fileName(part *multipart.Part) string {
	_, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	return parameters["filename"]
}

// readCredentials checks the credentials that were sent.
func readCredentials(sent map[string]sentCredential) (map[string]store.NewCredential, error) {
	made := make(map[string]store.NewCredential, len(sent))
	for ref, c := range sent {
		if !isName.MatchString(ref) {
			return nil, failf(http.StatusBadRequest, "credentials are by account/name")
		}
		digest, err := scopes.ParseDigest(c.Digest)
		if err != nil { // it does not show what was sent: that may be the secret
			return nil, failf(http.StatusBadRequest, "the digest of %s: %w", ref, err)
		}
		if len(c.LastFour) != 4 {
			return nil, failf(http.StatusBadRequest, "last_four of %s has 4 characters", ref)
		}
		made[ref] = store.NewCredential{Digest: digest, LastFour: c.LastFour}
	}
	return made, nil
}

// refuseFiles says that scope files are not valid, and where.
func refuseFiles(files []scopes.Source, err error) error {
	problems := problemsOf(err)
	return &refusal{
		status:   http.StatusUnprocessableEntity,
		Message:  invalid(files, len(problems)),
		Problems: problems,
	}
}

// invalid returns the message about files that are not valid.
func invalid(files []scopes.Source, problems int) string {
	if len(files) == 1 {
		return fmt.Sprintf("%s is not valid: %s", files[0].Name, count(problems, "problem"))
	}
	return fmt.Sprintf("the %s are not valid: %s", count(len(files), "file"), count(problems, "problem"))
}

// isType reports whether a body is of one of some types.
func isType(r *http.Request, types []string) bool {
	found, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && slices.Contains(types, found)
}

// hasMediaType refuses a body of another type than those that are expected.
func hasMediaType(r *http.Request, expected ...string) error {
	if isType(r, expected) {
		return nil
	}
	return failf(http.StatusUnsupportedMediaType, "the Content-Type is %q; expected %s",
		r.Header.Get("Content-Type"), expected[0])
}
