package caddymodule

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/scopegate/scopegate/store"
)

// fileRoutes are the routes that move the store as a whole. They are Caddy's admin
// endpoint's only, for what they carry is above all scopes: no site serves them.
func (m *management) fileRoutes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/scopegate/backup", Handler: caddy.AdminHandlerFunc(m.backup)},
		{Pattern: "/scopegate/restore", Handler: resource{http.MethodPost: m.restoreUpload}},
	}
}

// backup answers with a copy of the store.
func (m *management) backup(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		return failf(http.StatusMethodNotAllowed, "%s is not possible at %s", r.Method, r.URL.Path)
	}
	s, err := m.onlyStore(r)
	if err != nil {
		return fail(w, err)
	}
	w.Header().Set("Content-Type", octets)
	if _, err := s.Backup(w); err != nil {
		// What was sent is not whole, and the client finds that out: let it see the
		// connection break rather than an end that looks like one.
		panic(http.ErrAbortHandler)
	}
	return nil
}

const octets = "application/octet-stream"

// restored is the store after a restore.
type restored struct {
	Revision uint64 `json:"revision"`
}

// restoreUpload puts an uploaded copy in the place of the store that runs.
func (m *management) restoreUpload(r *http.Request) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	if err := hasMediaType(r, octets); err != nil {
		return nil, err
	}
	opened, err := activePooled()
	if err != nil {
		return nil, err
	}
	next, err := opened.replace(r.Context(), m.actor(r), r.Body)
	if errors.Is(err, store.ErrDamaged) { // the copy is, which the client has sent
		return nil, failf(http.StatusUnprocessableEntity, "%w", err)
	}
	if err != nil {
		return nil, err
	}
	snapshot := next.Snapshot()
	if snapshot == nil {
		return nil, store.ErrClosed
	}
	return restored{snapshot.Revision()}, nil
}

// activePooled returns the store of the configuration that runs now, to be replaced.
func activePooled() (*pooled, error) {
	if _, err := activeStore(); err != nil {
		return nil, err
	}
	app, err := caddy.ActiveContext().AppIfConfigured("scopegate")
	if err != nil {
		return nil, unavailable(errors.Join(errNoApp, err))
	}
	return app.(*App).opened, nil //nolint:forcetypeassert // the only type under this name
}
