package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func createCommand() *cobra.Command {
	var c connection
	var asJSON, issue bool
	var about tokenFlags
	cmd := &cobra.Command{
		Use:   "create ACCOUNT/NAME",
		Short: "Makes a token, and its account if there is none",
		Long: `Makes a token that no scope file declares, and its account if there is none. It has
no credential unless --issue makes one, which is printed on standard output, once.

A scope is API:VERSION:METHODS[:OPERATIONS], with commas between several. An API
without versions has an empty one: "search::GET".`,
		Example: `  caddy scopegate token create acme/nightly-sync --description "Copies yesterday's orders" \
      --contact data@acme.example --scope orders:v1:GET,PUT --scope brand-actions:14:GET:list
  caddy scopegate token create acme/reports --description "Monthly reports" --contact "Ann <ann@acme.example>" \
      --scope orders:v1,v2:GET --expires 2027-04-01 --source 203.0.113.0/24 --issue`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkRef(args[0]); err != nil {
				return err
			}
			body, err := about.keys(cmd.Flags())
			if err != nil {
				return err
			}
			body["token"], body["issue"] = args[0], issue
			var made created
			if err := c.with(changes, func(to *client) error {
				return to.sendJSON(cmd.Context(), http.MethodPost, "/scopegate/tokens", nil, body, &made)
			}); err != nil {
				return err
			}
			noteProblems(cmd, nil, made.Warnings)
			if issue {
				return showCredential(cmd, asJSON, issued{made.ID, made.Token, made.Credential}, made)
			}
			return show(cmd, asJSON, made, func(w io.Writer) {
				fmt.Fprintf(w, "%s (%s) is created. It has no credential yet: token issue makes it.\n", made.Token, made.ID)
			})
		},
	}
	c.flags(cmd)
	c.waitFlag(cmd)
	jsonFlag(cmd, &asJSON)
	about.add(cmd.Flags(), "")
	cmd.Flags().BoolVar(&issue, "issue", false, "Make its credential too, and print it")
	return cmd
}

func updateCommand() *cobra.Command {
	var c connection
	var asJSON, allowWiden bool
	var about tokenFlags
	cmd := &cobra.Command{
		Use:   "update TOKEN",
		Short: "Changes what a token may do, or what is said of it",
		Long: `Changes what the flags name, and nothing else. --scope replaces all scopes. The value
"none" unsets what a token need not have.

What grants the token something that it was not granted needs --allow-widen. Where a
scope file declares the token, the change stays until the file changes the same.`,
		Example: `  caddy scopegate token update acme/nightly-sync --scope orders:v1:GET
  caddy scopegate token update acme/nightly-sync --expires 2027-10-01 --allow-widen
  caddy scopegate token update acme/nightly-sync --source none --allow-widen`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := about.keys(cmd.Flags())
			if err != nil {
				return err
			}
			if len(body) == 0 {
				return fmt.Errorf("nothing to change: name what to change, such as --scope or --expires")
			}
			var done updated
			if err := c.withToken(changes, args[0], func(to *client, path string) error {
				query := url.Values{"allow_widen": {fmt.Sprint(allowWiden)}}
				return to.sendJSON(cmd.Context(), http.MethodPatch, path, query, body, &done)
			}); err != nil {
				return err
			}
			noteProblems(cmd, nil, done.Warnings)
			return show(cmd, asJSON, done, func(w io.Writer) {
				if len(done.Change.Details) == 0 {
					fmt.Fprintf(w, "Nothing to change: %s is as the flags say.\n", done.Token)
					return
				}
				writeChange(w, &done.Change)
			})
		},
	}
	c.flags(cmd)
	c.waitFlag(cmd)
	jsonFlag(cmd, &asJSON)
	about.add(cmd.Flags(), ` ("none" unsets it)`)
	cmd.Flags().BoolVar(&allowWiden, "allow-widen", false, "Let the token be granted more than it was")
	return cmd
}

// tokenFlags are what a command can say of a token.
type tokenFlags struct {
	description, contact, environment, version, expires, rotateEvery string
	scopes, sources, shadow, keep, rates, quotas                     []string
}

// add adds the flags. unset says how those can be unset that a token need not have.
func (f *tokenFlags) add(flags *pflag.FlagSet, unset string) {
	flags.StringVar(&f.description, "description", "", "What the token is for")
	flags.StringVar(&f.contact, "contact", "", "Whom to ask about it: an address, with a name in front of it or without, as mail has it")
	flags.StringArrayVar(&f.scopes, "scope", nil, "What it may do, as API:VERSION:METHODS[:OPERATIONS]; may be repeated")
	flags.StringVar(&f.version, "version", "", "The version that it is pinned to"+unset)
	flags.StringVar(&f.expires, "expires", "", "When it ends: a date, or a time (RFC 3339)"+unset)
	flags.StringVar(&f.environment, "environment", "", "production, staging or test"+unset)
	flags.StringVar(&f.rotateEvery, "rotate-every", "", "How often its credential is to be rotated, such as 90d"+unset)
	flags.StringArrayVar(&f.sources, "source", nil, "An address or network that it may be used from; may be repeated"+unset)
	flags.StringArrayVar(&f.rates, "rate", nil, "How often it may be used: 100/s or '100/s burst 200', for one API as orders=10/s; may be repeated"+unset)
	flags.StringArrayVar(&f.quotas, "quota", nil, "How much it may be used in an hour, day or month: 100000/day, for one API as orders=1000/hour; may be repeated"+unset)
	flags.StringArrayVar(&f.shadow, "shadow", nil, "A scope that is decided and counted, and not enforced; may be repeated"+unset)
	flags.StringArrayVar(&f.keep, "keep", nil, "Keep all that it may do although it is not used, or with a value a scope of it: --keep=orders:v1:GET; may be repeated"+
		strings.Replace(unset, `"none"`, "--keep=none", 1))
	flags.Lookup("keep").NoOptDefVal = keepAll
}

// keepAll is the value of --keep without one.
const keepAll = "all"

// keys returns what was given as the keys of a token in a scope file; nil unsets one.
func (f *tokenFlags) keys(flags *pflag.FlagSet) (map[string]any, error) {
	keys := make(map[string]any)
	for name, value := range map[string]string{
		"description": f.description, "environment": f.environment, "version": f.version,
		"expires": f.expires, "rotate-every": f.rotateEvery,
	} {
		if !flags.Changed(name) {
			continue
		}
		key := strings.ReplaceAll(name, "-", "_")
		if keys[key] = value; value == "none" || value == "never" {
			keys[key] = nil
		}
	}
	if flags.Changed("contact") {
		contact, err := readContact(f.contact)
		if err != nil {
			return nil, err
		}
		keys["contact"] = contact
	}
	if flags.Changed("source") {
		if keys["sources"] = f.sources; len(f.sources) == 1 && f.sources[0] == "none" {
			keys["sources"] = nil
		}
	}
	for _, list := range []struct {
		flag, key string
		given     []string
		read      func(flag string, given []string) (any, error)
	}{
		{"scope", "scopes", f.scopes, readScopeFlags},
		{"shadow", "shadow", f.shadow, unlessNone(readScopeFlags)},
		{"keep", "keep", f.keep, unlessNone(readKeepFlags)},
		{"rate", "rate", f.rates, unlessNone(readBoundFlags)},
		{"quota", "quota", f.quotas, unlessNone(readBoundFlags)},
	} {
		if !flags.Changed(list.flag) {
			continue
		}
		value, err := list.read(list.flag, list.given)
		if err != nil {
			return nil, err
		}
		keys[list.key] = value
	}
	return keys, nil
}

// readContact reads an address, or "Name <address>" (RFC 5322, section 3.4).
func readContact(s string) (map[string]string, error) {
	address, err := mail.ParseAddress(s)
	if err != nil {
		return nil, fmt.Errorf("--contact: expected an address, such as data@acme.example or \"Data team <data@acme.example>\", found %q", s)
	}
	contact := map[string]string{"email": address.Address}
	if address.Name != "" {
		contact["name"] = address.Name
	}
	return contact, nil
}
