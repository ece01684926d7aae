package scopes

// Catalog is a set of APIs, compiled: one router over all their operations.
// It is immutable and safe for concurrent use.
type Catalog struct {
	apis   []API
	byName map[string]int
	router *node
}

// OperationRef names an operation of an API.
type OperationRef struct{ API, Operation string }

// Conflict is a pair of operations that match the same requests.
type Conflict struct{ A, B OperationRef }

// Conflicts is the error of [NewCatalog] for operations that match the same
// requests with the same method and host.
type Conflicts []Conflict
