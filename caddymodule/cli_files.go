package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scopegate/scopegate/scopes"
)

// readFiles reads the scope files that the arguments name: files, "-" for standard
// input, and folders, which stand for the *.yaml and *.yml in them.
func readFiles(cmd *cobra.Command, arguments []string) ([]scopes.Source, error) {
	var files []scopes.Source
	for _, argument := range arguments {
		names, err := filesAt(argument)
		if err != nil {
			return nil, fmt.Errorf("reading the scope file: %w", err)
		}
		for _, name := range names {
			src, err := readScopeFile(cmd, name)
			if err != nil {
				return nil, err
			}
			files = append(files, scopes.Source{Name: name, Data: src})
		}
	}
	return files, nil
}

// filesAt returns the files that an argument stands for, by name.
func filesAt(argument string) ([]string, error) {
	if argument == "-" {
		return []string{argument}, nil
	}
	if info, err := os.Stat(argument); err != nil || !info.IsDir() {
		return []string{argument}, nil //nolint:nilerr // reading it says what is wrong
	}
	entries, err := os.ReadDir(argument)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(argument, e.Name()))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the folder %s has no *.yaml or *.yml", argument)
	}
	slices.Sort(names)
	return names, nil
}

// readScopeFile reads a file, or standard input for "-".
func readScopeFile(cmd *cobra.Command, name string) (src []byte, err error) {
	if name == "-" {
		src, err = io.ReadAll(cmd.InOrStdin())
	} else {
		src, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the scope file: %w", err)
	}
	return src, nil
}

// send sends scope files as they are: one by itself, several as a form, and with
// them the documents that they name, and credentials that were made for new tokens.
func send(cmd *cobra.Command, to *client, path string, files []scopes.Source, made map[string]sentCredential, query url.Values, answer *planned) error {
	defer watchWork(cmd, to)()
	named, err := readDocuments(files...).all()
	if err != nil {
		return err
	}
	if len(files) == 1 && len(made) == 0 && len(named) == 0 {
		query.Set("name", files[0].Name)
		return to.call(cmd.Context(), http.MethodPost, path, query, fileTypes[0], files[0].Data, answer)
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, f := range files {
		part := map[string]string{"name": "file", "filename": f.Name}
		if err := writePart(form, part, fileTypes[0], f.Data); err != nil {
			return err
		}
	}
	for _, d := range named {
		part := map[string]string{"name": "document", "filename": d.Name}
		if err := writePart(form, part, "application/octet-stream", d.Data); err != nil {
			return err
		}
	}
	if len(made) > 0 {
		credentials, err := json.Marshal(made)
		if err != nil {
			return err
		}
		if err := writePart(form, map[string]string{"name": "credentials"}, "application/json", credentials); err != nil {
			return err
		}
	}
	if err := form.Close(); err != nil {
		return err
	}
	return to.call(cmd.Context(), http.MethodPost, path, query, form.FormDataContentType(), body.Bytes(), answer)
}

func writePart(form *multipart.Writer, disposition map[string]string, mediaType string, data []byte) error {
	part, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {mime.FormatMediaType("form-data", disposition)},
		"Content-Type":        {mediaType},
	})
	if err != nil {
		return err
	}
	_, err = part.Write(data)
	return err
}
