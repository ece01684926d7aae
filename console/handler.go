package console

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/scopegate/scopegate/scopes"
)

// Root is where all of the page is.
const Root = "/console/"

// Handler serves the page.
type Handler struct {
	routes   Routes
	sessions *Sessions
	reports  *reportCache
	origins  *http.CrossOriginProtection
	logger   *slog.Logger
	mux      *http.ServeMux
	making   sync.Map // tokens that are being given a credential, so that a form which is sent twice makes one
}

// New makes the handler. A nil logger logs nothing.
func New(routes Routes, sessions *Sessions, logger *slog.Logger) *Handler {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	h := &Handler{
		routes: routes, sessions: sessions, reports: newReportCache(routes, logger), origins: http.NewCrossOriginProtection(),
		logger: logger, mux: http.NewServeMux(),
	}
	h.mux.HandleFunc("GET "+Root+"assets/{name}", serveAsset)
	h.mux.HandleFunc("GET "+Root+"sign-in", h.showSignIn)
	h.mux.HandleFunc("POST "+Root+"sign-in", h.signIn)
	for pattern, page := range pages {
		h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { h.visit(w, r, page) })
	}
	return h
}

// Close ends what the handler does while nobody waits for it, and returns when that is
// over.
func (h *Handler) Close() { h.reports.close() }

// Serves reports whether a request is for the page: all below [Root], and the root of the
// site, if a browser asks for it.
func Serves(r *http.Request) bool {
	if r.URL.Path == "/" || r.URL.Path+"/" == Root {
		return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html")
	}
	return strings.HasPrefix(r.URL.Path, Root)
}

// maxForm bounds the body of a form, in bytes.
const maxForm = 1 << 20

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeader(w.Header())
	if !strings.HasPrefix(r.URL.Path, Root) {
		http.Redirect(w, r, Root, http.StatusSeeOther)
		return
	}
	if err := h.origins.Check(r); err != nil {
		h.refuse(w, http.StatusForbidden, "This request comes from a page of another site, so it was not done.")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil {
			h.refuse(w, http.StatusBadRequest, "The form could not be read. Go back, and send it again.")
			return
		}
	}
	if _, pattern := h.mux.Handler(r); pattern == "" {
		h.visit(w, r, notFound)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// contentPolicy lets a page load what is from here, and nothing inline. What a name or a
// description brings along is text, and would be if a template were wrong.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// setHeader sets what all answers have.
func setHeader(h http.Header) {
	for name, value := range map[string]string{
		"Cache-Control":                "no-store",
		"Content-Security-Policy":      contentPolicy,
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), geolocation=(), microphone=()",
		"Referrer-Policy":              "same-origin", // with no-referrer, forms would come from the origin "null"
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
	} {
		h.Set(name, value)
	}
}

// page answers one request of somebody who has signed in.
type page func(*visit) error

// visit has a page answer, if the request has a session and, where it is to change
// something, comes from a form of that session.
func (h *Handler) visit(w http.ResponseWriter, r *http.Request, answer page) {
	one := h.sessions.open(r)
	if one == nil {
		h.toSignIn(w, r)
		return
	}
	client := h.routes.As(r, one.credential)
	holder, standing := client.Holder()
	switch standing {
	case Undecided:
		h.refuse(w, http.StatusServiceUnavailable, undecided)
		return
	case Refused:
		http.SetCookie(w, newCookie(""))
		h.toSignIn(w, r)
		return
	case Accepted:
	}
	v := &visit{w: w, r: r, client: client, holder: holder, session: one, handler: h}
	if r.Method == http.MethodPost && !v.fromForm() {
		h.refuse(w, http.StatusForbidden, "This form is not from your session, so it was not done. Go back, reload the page, and send it again.")
		return
	}
	if h.sessions.refresh(one) {
		http.SetCookie(w, h.sessions.cookie(one))
	}
	if err := answer(v); err != nil {
		v.fail(err)
	}
}

// toSignIn has somebody sign in, and come back.
func (*Handler) toSignIn(w http.ResponseWriter, r *http.Request) {
	target := Root + "sign-in"
	if r.Method == http.MethodGet && r.URL.Path != Root {
		target += "?" + url.Values{"to": {r.URL.RequestURI()}}.Encode()
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// signInPage is what the page to sign in shows.
type signInPage struct {
	To      string // where to go then
	Problem string // why it did not work
}

func (h *Handler) showSignIn(w http.ResponseWriter, r *http.Request) {
	h.render(w, http.StatusOK, "sign-in", signInPage{To: destination(r.URL.Query().Get("to"))})
}

// What people read who cannot sign in. Why a credential is not accepted is for the log of
// decisions: who tries one learns nothing.
const (
	notAccepted = "This credential is not accepted here: it is unknown, no longer valid, not for use from your address, or has no scope of the API scopegate."
	notSecure   = "This page needs HTTPS: a browser keeps no session without it."
	undecided   = "This node may not decide on anything now, for it does not hear of the others. Try again in a moment."
)

func (h *Handler) signIn(w http.ResponseWriter, r *http.Request) {
	to := destination(r.PostForm.Get("to"))
	if !isSecure(r) {
		h.render(w, http.StatusForbidden, "sign-in", signInPage{to, notSecure})
		return
	}
	one := h.sessions.begin(scopes.DigestOf(strings.TrimSpace(r.PostForm.Get("credential"))))
	holder, standing := h.routes.As(r, one.credential).Holder()
	switch standing {
	case Undecided:
		h.render(w, http.StatusServiceUnavailable, "sign-in", signInPage{to, undecided})
		return
	case Refused:
		h.render(w, http.StatusForbidden, "sign-in", signInPage{to, notAccepted})
		return
	case Accepted:
	}
	h.logger.Info("signed in to the console", "token", holder)
	http.SetCookie(w, h.sessions.cookie(one))
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // destination has made a path of the page of it
}

// isSecure reports whether a browser keeps a cookie that is Secure: it came by TLS, here or
// to a proxy before, or to the machine itself.
func isSecure(r *http.Request) bool {
	host := (&url.URL{Host: r.Host}).Hostname()
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" || host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// destination returns where to go after signing in: a path of the page, and nothing else.
func destination(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, Root) || strings.Contains(u.Path, "..") || strings.Contains(to, `\`) {
		return Root
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).String()
}

// refuse answers with a page that says why.
func (h *Handler) refuse(w http.ResponseWriter, status int, why string) {
	h.render(w, status, "refused", why)
}

// render answers with a page that is for anybody.
func (h *Handler) render(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := templates[name].ExecuteTemplate(&page, "outer", data); err != nil {
		h.logger.Error("a page cannot be shown", "page", name, "error", err)
		http.Error(w, "this page cannot be shown; the server's log says why", http.StatusInternalServerError)
		return
	}
	writePage(w, status, page.Bytes())
}

func writePage(w http.ResponseWriter, status int, page []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page) // a client that has gone needs no answer
}

var errNotFound = errors.New("there is no such page")

func notFound(*visit) error { return errNotFound }

var _ http.Handler = (*Handler)(nil)
