package scopes

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// host reads "host" or "host:port" and returns it in lower case.
func (r *reader) host(n *yamlNode) (string, bool) {
	s, ok := r.text(n, "a host")
	if !ok {
		return "", false
	}
	s = strings.ToLower(s)
	if flaw := hostFlaw(s, false); flaw != "" {
		r.problemf(n, "%s", flaw)
		return "", false
	}
	return s, true
}

// hostFlaw says what is wrong with "host" or "host:port"; "" if nothing is.
func hostFlaw(s string, needsPort bool) string {
	switch {
	case strings.Contains(s, "://"):
		return "expected a host such as api.example.com, without a scheme, found " + shown(s)
	case strings.Contains(s, "*"):
		return "wildcards such as " + shown(s) + " are not supported; list the hosts"
	case strings.ContainsAny(s, "/?#@"):
		return "expected a host such as api.example.com, without a path, found " + shown(s)
	}
	host, port, hasPort := cutPort(s)
	switch {
	case strings.Count(s, ":") > 1 && s[0] != '[':
		return "an IPv6 address stands in brackets, such as [2001:db8::1]:8080, found " + shown(s)
	case !hasPort && needsPort:
		return "the port is missing; write http://host:port"
	case hasPort && !validPort(port):
		return "the port of " + shown(s) + " is a number from 1 to 65535"
	case !validHost(host):
		return shown(host) + " is no host; write a DNS name (in its ASCII form, xn--…), an IPv4 address, or an IPv6 address in brackets"
	}
	return ""
}

// cutPort splits "host:port"; an IPv6 address stands in brackets.
func cutPort(s string) (host, port string, found bool) {
	if strings.HasPrefix(s, "[") {
		host, port, found = strings.Cut(s, "]")
		if !found {
			return s, "", false
		}
		port, found = strings.CutPrefix(port, ":")
		if !found && port != "" {
			return s, "", false
		}
		return host + "]", port, found
	}
	return strings.Cut(s, ":")
}

func validPort(s string) bool {
	port, err := strconv.ParseUint(s, 10, 16)
	return err == nil && port > 0 && isDecimal(s) && s[0] != '0'
}

// validHost reports whether s is an IPv6 address in brackets, an IPv4 address or
// a DNS name without a final dot.
func validHost(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && addr.Is6() && addr.Zone() == "" && strings.HasSuffix(inner, "]")
	}
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if !isAlphanumeric(label[i]) && label[i] != '-' && label[i] != '_' {
				return false
			}
		}
	}
	return true
}

// readUpstream reads a list of addresses, or one list for each version.
func (r *reader) readUpstream(n *yamlNode, d *apiDraft) {
	switch n.kind {
	case list:
		d.Upstreams.All = r.addresses(n)
	case mapping:
		r.readUpstreamsByVersion(n, d)
	default:
		r.problemf(n, "upstream is a list, such as [http://127.0.0.1:9000], or one list for each version; found %s", n.describe())
	}
}

func (r *reader) addresses(n *yamlNode) []string {
	return r.uniqueTexts(n, "upstream", "[http://127.0.0.1:9000]", r.address)
}

func (r *reader) readUpstreamsByVersion(n *yamlNode, d *apiDraft) {
	d.Upstreams.ByVersion = make(map[string][]string, len(n.pairs))
	for p := range r.uniquePairs(n) {
		if version, ok := r.ownVersion(p.key, d); ok {
			d.Upstreams.ByVersion[version] = r.addresses(p.value)
		}
	}
	if !d.versionsKnown {
		return
	}
	missing := slices.DeleteFunc(slices.Clone(d.Versions), func(v string) bool { return n.value(v) != nil })
	if len(missing) > 0 {
		r.problemf(n, "upstream lacks version %s; with one list for each version, each has one", quoteAll(missing))
	}
}

// address reads "http(s)://host:port".
func (r *reader) address(n *yamlNode) (string, bool) {
	s, ok := r.text(n, "an upstream")
	if !ok {
		return "", false
	}
	if flaw := addressFlaw(s); flaw != "" {
		r.problemf(n, "%s", flaw)
		return "", false
	}
	return strings.ToLower(s), true
}

func addressFlaw(s string) string {
	const shape = "expected http://host:port or https://host:port"
	scheme, rest, found := strings.Cut(s, "://")
	switch lower := strings.ToLower(scheme); {
	case !found:
		return shape + ", found " + shown(s)
	case lower != "http" && lower != "https":
		return shape + ", found the scheme " + shown(scheme)
	case strings.Contains(rest, "@"):
		return shape + "; an upstream has no user name or password"
	case strings.ContainsAny(rest, "/?#"):
		return shape + ", without a path or query, found " + shown(s)
	}
	return hostFlaw(strings.ToLower(rest), true)
}
