// Package proxy takes one HTTP request through the gate: it reads the credential,
// has the request decided on, and either makes it fit to be forwarded or answers
// the denial.
//
// A [Gateway] is one site's configuration. [Gateway.Judge] gives a [Verdict] and
// changes nothing; then either [Gateway.Forward] prepares the request and the
// response writer for the next handler, or [Gateway.Refuse] answers. What is
// forwarded is byte for byte what was decided on: the target is never rewritten,
// and only the headers that the documentation of Forward names are touched.
//
// The package knows neither Caddy nor the store. Whoever uses it gives it a
// [Source] of snapshots.
package proxy
