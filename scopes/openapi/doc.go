// Package openapi reads the operations of an API from its OpenAPI document:
// OpenAPI 3.0, 3.1 and 3.2, and Swagger 2.0, as YAML or JSON.
//
// [Import] takes a document's bytes and gives a [scopes.API], and beside it what
// the document says that scopes cannot express, each with its place. It reads what
// it is given and nothing else: a reference to another document is not followed,
// whether it is a file or a URL.
//
// # What is taken from a document
//
// The document is parsed by libopenapi, and of its tree only what a request is
// decided by is looked at: servers, paths, methods, operationIds and the parameters
// of paths. Schemas, bodies, responses and examples are by far the most of it, and
// a mistake in them is no reason to do without the rest. For the same reason the
// library's own model of a document is not built: it builds all of it, in goroutines
// whose panics nobody can catch.
//
// # From a path to a template
//
// A path is what a server's URL has as its path, and then the key in paths. A
// {parameter} that is a whole segment stays one; one with text around it, such as
// {id}.json, cannot be expressed, and its operation is left out: what is not in
// the API is refused. One parameter may be declared to state the version; it is
// called {version} then.
//
// # Names
//
// An operation is called by its operationId, mapped into what can be a name, or,
// where it has none or shares it with another one, by its method and path. No name
// depends on the order of the document, so none comes to mean another operation
// when the document grows.
package openapi
