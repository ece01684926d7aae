package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/scopes/reading"
)

func explainCommand() *cobra.Command {
	var c connection
	var q question
	var asJSON bool
	var headers []string
	var file string
	cmd := &cobra.Command{
		Use:   "explain METHOD URL",
		Short: "Tells what is decided on a request, step by step",
		Long: `Tells what would be decided on a request and why: each check with what was
compared, then the decision. It is the same evaluation that requests go through,
over all APIs: that a site serves only some of them is not looked at.

URL is a path such as /orders/v1, or with a host: https://host/orders/v1. Without
--token the request has no credential. With --scopes the answer is that of a scope
file instead of a store; no server is needed.

The exit code is 0 if it could be decided, whatever the decision; --json tells it
to programs.`,
		Example: `  caddy scopegate explain --token acme/nightly-sync GET /orders/v1/7
  caddy scopegate explain --token acme/nightly-sync GET /catalog/items -H 'Catalog-Version: 2026-01'
  caddy scopegate explain --scopes scopes.yaml --token acme/nightly-sync \
      --from 203.0.113.7 --at 2027-04-01 GET /orders/v1`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Method, q.URL = args[0], args[1]
			var err error
			if q.Headers, err = parseHeaders(headers); err != nil {
				return err
			}
			answer, err := q.ask(cmd, &c, file)
			if err != nil {
				return err
			}
			return show(cmd, asJSON, answer, answer.write)
		},
	}
	c.flags(cmd)
	jsonFlag(cmd, &asJSON)
	flags := cmd.Flags()
	flags.StringVar(&q.Token, "token", "", "The token that is used: account/name or its id, not a credential")
	flags.StringArrayVarP(&headers, "header", "H", nil, "A header of the request, as 'Name: value'; may be repeated")
	flags.StringVar(&q.From, "from", "", "The client's address (default: one that is in no source)")
	flags.StringVar(&q.At, "at", "", "When the request is sent: a date or a time (default: now)")
	flags.StringVar(&file, "scopes", "", "Scope file to decide with, instead of a store")
	for _, other := range []string{"store", "address", "config"} {
		cmd.MarkFlagsMutuallyExclusive("scopes", other)
	}
	return cmd
}

// ask has the question answered: by a scope file if one is named, else by a store.
func (q *question) ask(cmd *cobra.Command, c *connection, file string) (*explanation, error) {
	if q.Token != "" {
		if err := checkRef(q.Token); err != nil {
			return nil, err
		}
	}
	if file != "" {
		src, err := readScopeFile(cmd, file)
		if err != nil {
			return nil, err
		}
		return q.askFile(cmd, file, src)
	}
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	var answer explanation
	err = c.with(reads, func(to *client) error {
		return to.call(cmd.Context(), http.MethodPost, "/scopegate/explain", nil, "application/json", body, &answer)
	})
	return &answer, err
}

// askFile answers the question by a scope file, whose tests may fail: it may be
// those that are to be explained.
func (q *question) askFile(cmd *cobra.Command, name string, src []byte) (*explanation, error) {
	now := time.Now()
	source := scopes.Source{Name: name, Data: src}
	file, err := scopes.ReadAll([]scopes.Source{source}, scopes.Options{Now: now, Documents: reading.DocumentsOf(readDocuments(source))})
	if err != nil {
		return nil, tellRefusal(cmd, refuseFiles([]scopes.Source{{Name: name}}, err))
	}
	catalog, err := scopes.NewCatalog(file.APIs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	request, err := q.request(now)
	if err != nil {
		return nil, err
	}
	grant, err := declaredGrant(file, catalog, q.Token)
	if err != nil {
		return nil, err
	}
	answer := explainTo(catalog, &request, &grant)
	return &answer, nil
}

// declaredGrant returns what a token that a scope file declares may do.
func declaredGrant(file *scopes.File, catalog *scopes.Catalog, ref string) (scopes.Grant, error) {
	if ref == "" {
		return scopes.Grant{State: scopes.Anonymous}, nil
	}
	for i := range file.Accounts {
		account := &file.Accounts[i]
		for j := range account.Tokens {
			if account.Name+"/"+account.Tokens[j].Name == ref {
				return scopes.GrantOf(account, &account.Tokens[j], catalog), nil
			}
		}
	}
	return scopes.Grant{}, fmt.Errorf("%s declares no token %s; a scope file knows tokens as account/name", file.Name, ref)
}

// errHeader does not repeat the header: it may hold a credential.
var errHeader = errors.New("a header is 'Name: value', such as -H 'Catalog-Version: 2026-01'")

// parseHeaders reads headers as the command line has them.
func parseHeaders(lines []string) (http.Header, error) {
	headers := make(http.Header)
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, errHeader
		}
		headers.Add(name, strings.Trim(value, " \t"))
	}
	return headers, nil
}
