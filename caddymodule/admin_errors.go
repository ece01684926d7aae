package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"syscall"

	"github.com/caddyserver/caddy/v2"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/scopes/reading"
	"github.com/scopegate/scopegate/store"
)

// statuses is the one table from what fails to what the admin endpoint answers.
// What is in none of its rows is 500.
var statuses = []struct {
	err    error
	status int
}{
	{store.ErrAuthority, http.StatusForbidden},
	{store.ErrNotFound, http.StatusNotFound},
	{store.ErrDead, http.StatusGone},
	{store.ErrExists, http.StatusConflict},
	{store.ErrLimit, http.StatusConflict},
	{store.ErrWiden, http.StatusConflict},
	{store.ErrMoved, http.StatusConflict},
	{store.ErrConflict, http.StatusConflict},
	{store.ErrForeign, http.StatusUnprocessableEntity},
	{store.ErrNewer, http.StatusUnprocessableEntity},
	{store.ErrNoLog, http.StatusConflict},
	{store.ErrClosed, http.StatusServiceUnavailable},
	{store.ErrReopen, http.StatusServiceUnavailable},
	{store.ErrReadOnly, http.StatusServiceUnavailable},
	{store.ErrLocked, http.StatusServiceUnavailable},
	{store.ErrUnreachable, http.StatusServiceUnavailable},
	{store.ErrUncertain, http.StatusServiceUnavailable},
	{store.ErrHeadMoved, http.StatusConflict},
	{reading.ErrProcess, http.StatusServiceUnavailable},
	{syscall.ENOSPC, http.StatusInsufficientStorage},
	{syscall.EDQUOT, http.StatusInsufficientStorage},
	{syscall.EFBIG, http.StatusInsufficientStorage},
}

func statusOf(err error) int {
	for _, row := range statuses {
		if errors.Is(err, row.err) {
			return row.status
		}
	}
	return http.StatusInternalServerError
}

// refusal is an error that tells more than a message. As JSON it is that of a
// [caddy.APIError] with more keys, so that a client which expects that one is
// served as well.
type refusal struct {
	status   int
	Message  string         `json:"error"`
	Problems []problem      `json:"problems,omitempty"` // of the scope file that was sent
	Widens   []store.Change `json:"widens,omitempty"`   // what was refused because it widens
	Fields   []wrongField   `json:"fields,omitempty"`   // what is wrong with the JSON that was sent
}

// wrongField is what is wrong with one key of the JSON that was sent. The key is "" if it
// is about all of it.
type wrongField struct {
	Key  string `json:"key"`
	Text string `json:"text"`
}

// Error implements error.
func (r *refusal) Error() string { return r.Message }

// problem is a [scopes.Problem] as JSON has it.
type problem struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Text   string `json:"text"`
}

// String returns "file:line:column: text".
func (p problem) String() string { return scopes.Problem(p).Error() }

// problemsOf returns what is wrong with a scope file, as [readScopes] tells it.
func problemsOf(err error) []problem {
	all, ok := errors.AsType[scopes.Problems](err)
	if !ok {
		return []problem{{Text: err.Error()}}
	}
	problems := make([]problem, len(all))
	for i, p := range all {
		problems[i] = problem(p)
	}
	return problems
}

// failf returns an error with its status.
func failf(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
}

// fail answers with an error: a refusal at once, any other by returning it to
// Caddy, which logs and writes it. Neither has a credential that was sent where
// something else belongs.
func fail(w http.ResponseWriter, err error) error {
	if told, ok := errors.AsType[*refusal](err); ok {
		answer := *told
		answer.Message = scopes.Redact(told.Message)
		answer.Fields = slices.Clone(told.Fields)
		for i := range answer.Fields {
			answer.Fields[i].Text = scopes.Redact(answer.Fields[i].Text)
			answer.Fields[i].Key = scopes.Redact(answer.Fields[i].Key)
		}
		return writeJSON(w, told.status, &answer)
	}
	apiError, ok := errors.AsType[caddy.APIError](err)
	if !ok {
		apiError = caddy.APIError{HTTPStatus: statusOf(err), Err: err}
	}
	if apiError.Err != nil {
		apiError.Err = errors.New(scopes.Redact(apiError.Err.Error()))
	}
	return apiError // not wrapped: Caddy does not unwrap
}
