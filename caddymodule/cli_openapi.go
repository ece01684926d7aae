package caddymodule

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/scopes/openapi"
)

func importDocumentsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import COMMAND",
		Short:   "Turns what others have into parts of a scope file",
		Example: "  caddy scopegate import openapi orders.yaml > apis.yaml",
	}
	onlySubcommands(cmd)
	cmd.AddCommand(importOpenAPICommand())
	return cmd
}

// documentFlags are the flags of "import openapi".
type documentFlags struct {
	openapi.Options
	basePath  string
	methods   []string
	upstreams []string
	hosts     []string
}

func importOpenAPICommand() *cobra.Command {
	var flags documentFlags
	cmd := &cobra.Command{
		Use:   "openapi FILE…",
		Short: "Prints the APIs of OpenAPI documents as the apis: of a scope file",
		Long: `Reads OpenAPI documents, 3.0 to 3.2 or Swagger 2.0, as YAML or JSON, and prints an
API for each, as the apis: part of a scope file. Operations are called by their
operationIds, and have the servers' base paths. It needs no server, and follows no
reference to another document.

What scopes cannot express is told on standard error, as file:line:column: text, and
left out: requests to it are refused. So are operations that match the same requests
as others. The exit code is 1 only if no document could be read. FILE may be - for
standard input.`,
		Example: `  caddy scopegate import openapi orders.yaml --upstream http://127.0.0.1:9000
  caddy scopegate import openapi catalogs.json --api catalogs --version 13,14 \
      --version-param apiVersion --account-param AccountSID`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.complete(cmd, args); err != nil {
				return err
			}
			return flags.run(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.Name, "api", "", "The API's name; without it, one is made of the document's title")
	f.StringSliceVar(&flags.Versions, "version", nil, "The API's versions; without it, those that the document has")
	f.StringVar(&flags.VersionParam, "version-param", "", "The parameter of paths or servers that states the version")
	f.BoolVar(&flags.VersionSegment, "version-segment", false, "Let the first segment that looks like a version, such as v1, state it")
	f.StringVar(&flags.AccountParam, "account-param", "", "The parameter of paths that must equal the token's account")
	f.StringVar(&flags.basePath, "base-path", "", `What stands before the document's paths, instead of what its servers say; "" for nothing`)
	f.StringSliceVar(&flags.upstreams, "upstream", nil, "The addresses that serve the API, such as http://127.0.0.1:9000")
	f.StringSliceVar(&flags.hosts, "host", nil, "The hosts that the API is served on; without it, every host")
	f.BoolVar(&flags.Hosts, "hosts", false, "Serve the API only on the hosts of the document's servers")
	f.StringSliceVar(&flags.methods, "method", nil, "The only methods to take")
	f.StringSliceVar(&flags.Skip, "skip", nil, "The names of operations to leave out")
	f.BoolVar(&flags.WholeSegments, "whole-segments", false, "Take a segment with text around a parameter, such as {id}.json, for a parameter")
	return cmd
}

// complete reads the flags that have a form of their own.
func (i *documentFlags) complete(cmd *cobra.Command, args []string) error {
	if cmd.Flags().Changed("base-path") {
		i.BasePath = &i.basePath
	}
	for _, name := range i.methods {
		m := scopes.MethodOf(name)
		if len(m.Names()) != 1 || m == scopes.AllMethods {
			return fmt.Errorf("--method: %q is no method such as GET", name)
		}
		i.Methods |= m
	}
	if i.Name != "" && len(args) > 1 {
		return errors.New("--api names one API, and each file is one; leave it out, or import one file at a time")
	}
	return nil
}

// run imports the files, prints what there is to print, and notes the rest.
func (i *documentFlags) run(cmd *cobra.Command, args []string) error {
	var apis []scopes.API
	taken := make(map[string]bool)
	for _, name := range args {
		result, err := i.read(cmd, name)
		if err != nil {
			notef(cmd, "%v", err)
			continue
		}
		api := result.API
		if len(i.hosts) > 0 {
			api.Hosts = i.hosts
		}
		api.Upstreams.All = i.upstreams
		api.Name = freeName(api.Name, taken)
		apis = append(apis, api)
		for _, p := range result.Overlaps {
			p.Text += "; it is left out"
			notef(cmd, "%v", p)
		}
		for _, p := range result.Notes {
			notef(cmd, "%v", p)
		}
	}
	if len(apis) == 0 {
		return fmt.Errorf("nothing could be imported from %s", count(len(args), "document"))
	}
	return printAPIs(cmd, apis)
}

// read imports one document.
func (i *documentFlags) read(cmd *cobra.Command, name string) (*openapi.Result, error) {
	if name == "-" {
		src, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), openapi.MaxBytes+1))
		if err != nil {
			return nil, fmt.Errorf("reading standard input: %w", err)
		}
		return openapi.Import("-", src, i.Options)
	}
	src, err := readDocument(name)
	if err != nil {
		return nil, err
	}
	return openapi.Import(name, src, i.Options)
}

// freeName returns a name that is not taken yet, and takes it.
func freeName(name string, taken map[string]bool) string {
	free := name
	for n := 2; taken[free]; n++ {
		suffix := fmt.Sprintf("-%d", n)
		free = name[:min(len(name), 63-len(suffix))] + suffix
	}
	taken[free] = true
	return free
}

// printAPIs prints APIs as a part of a scope file, once they are known to be one.
func printAPIs(cmd *cobra.Command, apis []scopes.API) error {
	file := scopes.File{APIs: apis}
	src := file.Marshal()
	read, err := scopes.Read("the result", src, time.Now())
	if problems, ok := errors.AsType[scopes.Problems](err); ok && !overlapOnly(apis, err) {
		for _, p := range problems {
			notef(cmd, "%s", p.Text)
		}
		return errors.New("the result would not be a valid scope file; see what the flags say")
	}
	if err != nil { // several APIs
		notef(cmd, "%v\nGive the APIs different hosts or base paths", err)
	} else {
		noteWarnings(cmd, read.Warnings)
	}
	_, part, _ := bytes.Cut(src, []byte("\n\n"))
	_, err = cmd.OutOrStdout().Write(part)
	return err
}

// overlapOnly reports whether nothing is wrong with APIs but that they have requests
// in common, which the one who imports them may have to decide on.
func overlapOnly(apis []scopes.API, err error) bool {
	_, conflicts := scopes.NewCatalog(apis)
	var overlaps scopes.Conflicts
	problems, _ := errors.AsType[scopes.Problems](err)
	return errors.As(conflicts, &overlaps) && len(overlaps) == len(problems)
}

// noteWarnings tells what is probably not meant, each text once.
func noteWarnings(cmd *cobra.Command, warnings []scopes.Problem) {
	told := make(map[string]bool)
	for _, w := range warnings {
		if !told[w.Text] {
			told[w.Text] = true
			notef(cmd, "warning: %s", w.Text)
		}
	}
}
