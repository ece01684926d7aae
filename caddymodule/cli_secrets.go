package caddymodule

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/scopegate/scopegate/scopes"
)

// madeSecret is a line of the file of new credentials.
type madeSecret struct {
	Token      string `json:"token"`
	Credential string `json:"credential"`
}

// withSecrets applies files, with new credentials for the tokens that are created
// without one. They are on the disk before anything is applied, and the server only
// learns their digests: so no token comes to be whose credential is not kept.
func (a *applying) withSecrets(cmd *cobra.Command, to *client, files []scopes.Source, done *planned) error {
	var plan planned
	query := a.query()
	query.Del("allow_widen")
	query.Del("revision")
	if err := send(cmd, to, "/scopegate/plan", files, nil, query, &plan); err != nil {
		return err
	}
	if !a.hasRevision {
		a.revision, a.hasRevision = plan.Revision, true
	}
	if len(plan.WithoutCredential) == 0 {
		notef(cmd, "No token needs a new credential: %s is not written.", a.secretsOut)
		return send(cmd, to, "/scopegate/apply", files, nil, a.query(), done)
	}
	made, err := writeSecrets(a.secretsOut, plan.WithoutCredential)
	if err != nil {
		return fmt.Errorf("nothing was applied: writing the credentials: %w", err)
	}
	if err := send(cmd, to, "/scopegate/apply", files, made, a.query(), done); err != nil {
		return a.settleSecrets(err)
	}
	notef(cmd, "%s written to %s: keep them where they are needed, and remove the file.", count(len(made), "credential"), a.secretsOut)
	return nil
}

// settleSecrets removes credentials that are no token's. Where it is not certain
// that nothing was applied they stay.
func (a *applying) settleSecrets(cause error) error {
	told, ok := errors.AsType[*refusal](cause)
	if !ok || told.status >= http.StatusInternalServerError {
		return fmt.Errorf("%w\nIt is not certain that nothing was applied, so %s is kept: run plan, and remove the file if the tokens were not created",
			cause, a.secretsOut)
	}
	if err := os.Remove(a.secretsOut); err != nil {
		return fmt.Errorf("%w\nThe credentials in %s belong to nobody; it cannot be removed: %w", cause, a.secretsOut, err)
	}
	return cause
}

// writeSecrets makes a credential for each token and writes them to a new file,
// which only its owner may read. It returns what the server needs to know of them.
func writeSecrets(path string, tokens []string) (map[string]sentCredential, error) {
	made := make(map[string]sentCredential, len(tokens))
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for _, token := range tokens {
		secret, err := scopes.NewCredential(rand.Reader)
		if err != nil {
			return nil, err
		}
		made[token] = sentCredential{secret.Digest().String(), secret.LastFour()}
		if err := encoder.Encode(madeSecret{token, secret.Reveal()}); err != nil {
			return nil, err
		}
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w; name a new file, for these credentials are shown nowhere else", err)
	}
	if err != nil {
		return nil, err
	}
	_, err = file.Write(lines.Bytes())
	if err := errors.Join(err, file.Sync(), file.Close(), syncFolder(filepath.Dir(path))); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return made, nil
}

// syncFolder makes sure that a new file's name is on the disk.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrInvalid) {
		err = nil
	}
	return errors.Join(err, folder.Close())
}
