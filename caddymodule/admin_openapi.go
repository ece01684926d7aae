package caddymodule

import (
	_ "embed" // for openAPI
	"encoding/json"
	"net/http"
)

// openAPI describes the management routes, in OpenAPI 3.1. A test holds it and the
// routes together.
//
//go:embed openapi.json
var openAPI []byte

// openapi tells which routes there are.
func (m *management) openapi(r *http.Request) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	return json.RawMessage(openAPI), noBody(r)
}
