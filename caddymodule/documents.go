package caddymodule

import (
	"fmt"
	"os"

	"github.com/scopegate/scopegate/scopes/openapi"
)

// readDocument reads an OpenAPI document from a file, unless it is too large.
func readDocument(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder", path)
	case info.Size() > openapi.MaxBytes:
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read", path, info.Size(), openapi.MaxBytes)
	}
	return os.ReadFile(path)
}
