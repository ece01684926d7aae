package openapi

import (
	"regexp"
	"slices"
	"strings"

	"github.com/pb33f/go-yaml"

	"github.com/scopegate/scopegate/scopes"
)

// base is a base path: what stands before the paths of the document.
type base struct {
	segments []segment
	path     string
}

// maxBases bounds the base paths that a path is taken with.
const maxBases = 16

// basesOf returns the distinct base paths of the servers of the document, of a
// path item or of an operation; the empty one if there are none.
func (im *importer) basesOf(node *yaml.Node) []base {
	if im.options.Hosts {
		im.takeHosts(node)
	}
	if im.options.BasePath != nil {
		return im.addBase(nil, *im.options.BasePath, placeOf(node), nil)
	}
	if im.swagger {
		value := im.field(im.root, "basePath")
		if value == nil {
			return []base{{}}
		}
		return im.addBase(nil, value.Value, placeOf(value), nil)
	}
	servers := im.items(im.field(node, "servers"))
	if len(servers) == 0 {
		return []base{{}}
	}
	var bases []base
	for _, server := range servers {
		if value := im.field(server, "url"); value != nil {
			_, path := splitURL(value.Value)
			bases = im.addBase(bases, path, placeOf(value), im.field(server, "variables"))
		}
	}
	return bases
}

// splitURL splits a server's URL, which may be relative, into host and path.
func splitURL(s string) (host, path string) {
	_, rest, absolute := strings.Cut(s, "://")
	if !absolute {
		if rest, absolute = strings.CutPrefix(s, "//"); !absolute {
			rest = "/" + strings.TrimLeft(strings.TrimPrefix(s, "."), "/")
		}
	}
	at := strings.IndexByte(rest, '/')
	if at < 0 {
		at = len(rest)
	}
	path, _, _ = strings.Cut(rest[at:], "#")
	path, _, _ = strings.Cut(path, "?")
	return rest[:at], path
}

// addBase reads a base path and adds it to those that there are, if it is new.
func (im *importer) addBase(bases []base, path string, at Place, variables *yaml.Node) []base {
	path = im.fill(path, at, variables)
	if path = strings.TrimRight(path, "/"); path != "" && path[0] != '/' {
		path = "/" + path
	}
	if slices.ContainsFunc(bases, func(b base) bool { return b.path == path }) {
		return bases
	}
	b := base{path: path}
	if path != "" {
		var flaw string
		if b.segments, _, flaw = im.parsePath(path); flaw != "" {
			im.noteOncef(at, "the base path %s is left out: %s", cut(path), flaw)
			return bases
		}
		im.takeServerVersions(&b, variables)
	}
	if len(bases) == maxBases {
		im.noteOncef(at, "the servers have more than %d base paths; the others are left out", maxBases)
		return bases
	}
	return append(bases, b)
}

// fill puts the defaults of a server's variables into its path, but for those that
// stay parameters: the one that states the version, the account's, and those that
// the document gives no value.
func (im *importer) fill(path string, at Place, variables *yaml.Node) string {
	return anyParameter.ReplaceAllStringFunc(path, func(variable string) string {
		name := strings.Trim(variable, "{}")
		declared := im.field(variables, name)
		if declared == nil || name == im.version || name == im.options.AccountParam {
			return variable
		}
		value := im.text(declared, "default")
		if value == "" {
			im.noteOncef(at, "the server's variable {%s} has no default, so it matches whatever a request has there", cut(name))
			return variable
		}
		if len(im.items(im.field(declared, "enum"))) > 1 {
			im.noteOncef(at, "of the server's variable {%s}, only its default %s is taken; give a base path to choose another", cut(name), cut(value))
		}
		return value
	})
}

// takeServerVersions keeps the versions that a server's variable can have.
func (im *importer) takeServerVersions(b *base, variables *yaml.Node) {
	for i, s := range b.segments {
		if s.kind == scopes.Parameter && s.raw == im.version {
			b.segments[i].versions = im.valuesOf(im.field(variables, im.version))
		}
	}
}

// hostShape is a host of a server that an API can be served for.
var hostShape = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?(:[1-9][0-9]{0,4})?$`)

// takeHosts keeps the hosts of servers.
func (im *importer) takeHosts(node *yaml.Node) {
	if im.swagger {
		if value := im.field(im.root, "host"); value != nil {
			im.takeHost(value.Value, placeOf(value))
		}
		return
	}
	for _, server := range im.items(im.field(node, "servers")) {
		value := im.field(server, "url")
		if value == nil {
			continue
		}
		host, _ := splitURL(value.Value)
		variables := im.field(server, "variables")
		host = anyParameter.ReplaceAllStringFunc(host, func(variable string) string {
			if declared := im.text(im.field(variables, strings.Trim(variable, "{}")), "default"); declared != "" {
				return declared
			}
			return variable
		})
		if host != "" {
			im.takeHost(host, placeOf(value))
		}
	}
}

func (im *importer) takeHost(host string, at Place) {
	host = strings.ToLower(host)
	switch {
	case !hostShape.MatchString(host):
		im.noteOncef(at, "the host %q is left out; list it under hosts: as api.example.com or api.example.com:8443", cut(host))
	case !slices.Contains(im.hosts, host):
		im.hosts = append(im.hosts, host)
	}
}
