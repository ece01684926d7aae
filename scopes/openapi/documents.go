package openapi

import "github.com/scopegate/scopegate/scopes"

// Documents returns what reads the documents that scope files name. open returns the
// bytes of a document by its path.
func Documents(open func(path string) ([]byte, error)) scopes.Documents {
	return func(q *scopes.DocumentQuery) (*scopes.Document, error) {
		src, err := open(q.Path)
		if err != nil {
			return nil, err
		}
		r, err := Import(q.Path, src, Options{
			Versions: q.Versions, VersionParam: q.VersionParam, VersionSegment: q.VersionSegment, AccountParam: q.AccountParam,
			BasePath: q.BasePath, Hosts: q.Hosts, Methods: q.Methods, Skip: q.Skip, WholeSegments: q.WholeSegments,
		})
		if err != nil {
			return nil, err
		}
		document := &scopes.Document{
			Title: r.API.Title, Hosts: r.API.Hosts, Versions: r.API.Versions, Overlaps: r.Overlaps, Notes: r.Notes,
			Operations: make([]scopes.DocumentOperation, len(r.API.Operations)),
		}
		for i, op := range r.API.Operations {
			document.Operations[i] = scopes.DocumentOperation{Operation: op, Line: r.Places[i].Line, Column: r.Places[i].Column}
		}
		return document, nil
	}
}
