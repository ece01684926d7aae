// Package caddymodule is Caddy's side of Scopegate. It has no rules of its own:
// what is allowed is decided in package scopes, what is remembered is kept in
// package store, and what happens to a request is in package proxy.
//
// The modules:
//
//   - app scopegate: [App], which owns the store and watches the scope file;
//   - http.handlers.scopegate: [Handler], which decides on every request;
//   - http.handlers.scopegate_admin: [AdminHandler], which serves the management
//     routes on a site, to scoped tokens;
//   - http.reverse_proxy.upstreams.scopegate and
//     http.reverse_proxy.transport.scopegate: [Upstreams] and [Transport], by
//     which reverse_proxy reaches the upstream that the decided API names;
//   - admin.api.scopegate: the management routes on Caddy's admin endpoint.
//
// In a Caddyfile they are the global option and the directive scopegate, the
// directives scopegate_proxy and scopegate_admin, and on the command line
// "caddy scopegate".
package caddymodule
