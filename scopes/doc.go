// Package scopes is the heart of Scopegate: what a token is allowed to do, and
// whether one request is within it. It is pure. It opens no file and no
// connection and reads no clock, so whatever it decides can be replayed.
//
// # Glossary
//
//   - An account is the tenant that owns tokens.
//   - An [API] is a named set of operations, in one or more versions, with the
//     upstream that serves it.
//   - An [Operation] is a named pair of methods and a path template of an API.
//   - A [Scope] is what a token may do: an API, methods, versions, and optionally
//     only some of its operations.
//   - A [Token] is a named record: scopes, state, contact and other metadata.
//     A legacy token has [Access] to every API instead of scopes.
//   - A [Credential] is the secret that a client sends. Only its [Digest] is kept.
//   - A [File] is a scope file as read: APIs, accounts with their tokens, tests.
//   - A [Decision] is allow, or deny with exactly one [Reason].
//
// # From a file to a decision
//
// [Read] turns the bytes of a scope file into a File, or says where it is wrong.
// [NewCatalog] compiles the APIs into one router over all of them, and
// [Catalog.Rules] compiles a token's scopes into a few machine words each. A
// [Grant] is then all that a decision needs to know of a token, and a [View] is
// the part of the catalog that one site serves. [View.Decide] takes a [Request]
// and a Grant and gives a Decision, without a lock or an allocation;
// [View.Explain] is the same evaluation telling its steps.
//
// Whatever is unknown or ambiguous is refused: the zero Decision denies, and so
// does the zero Grant.
package scopes
