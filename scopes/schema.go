package scopes

import (
	"bytes"
	_ "embed"
)

//go:embed scopes.schema.json
var schema []byte

// Schema returns the JSON Schema (draft 2020-12) of the scope file, for editors.
// It knows the same keys as [Read]; what takes several places of a file to see,
// such as that a scope names an API that exists, only Read knows.
func Schema() []byte { return bytes.Clone(schema) }
