// Package scopegate registers Scopegate's modules with Caddy: an authorizing
// gateway with scoped tokens, in front of existing APIs. Build it into Caddy with
//
//	xcaddy build --with github.com/scopegate/scopegate
//
// The documentation begins in README.md; the code, in package scopes.
package scopegate

import (
	_ "github.com/scopegate/scopegate/caddymodule" // registers the modules
)
