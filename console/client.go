package console

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/scopegate/scopegate/scopes"
)

// Routes are the management routes.
type Routes interface {
	// As returns the routes as who holds a credential has them, for the client that r
	// is from.
	As(r *http.Request, credential scopes.Digest) Client
}

// Client sends requests to the management routes as one token. Every request is decided
// on by itself.
type Client interface {
	// Holder returns "account/name" of the token, if that is accepted.
	Holder() (token string, standing Standing)
	// May reports whether a request would be allowed, and does not send it.
	May(method, target string) bool
	// Do sends a request, whose body is JSON or empty.
	Do(method, target string, body []byte) Answer
}

// Standing is whether who holds a credential may do anything at all here.
type Standing uint8

// The kinds of standing.
const (
	Refused   Standing = iota
	Undecided          // the node has no state to decide on
	Accepted
)

// Answer is what a route has answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // JSON
}

// Failure is an answer that is no success.
type Failure struct {
	Status         int
	Method, Target string
	Message        string       // for people; "" for a denial, which tells a client nothing
	Fields         []WrongField // of the JSON that was sent
	Problems       []Problem    // of a scope file that was sent
	Widens         []Widening
}

// Problem is what was wrong with what was sent, and where.
type Problem struct {
	Text string `json:"text"`
}

// WrongField is what is wrong with one key of the JSON that was sent. The key is "" if it is
// about all of it.
type WrongField struct {
	Key  string `json:"key"`
	Text string `json:"text"`
}

// Widening is a change that was refused because it gives more than there was.
type Widening struct {
	Name    string   `json:"name"`
	Details []string `json:"details"`
}

// Error implements error.
func (f *Failure) Error() string {
	if f.Message == "" {
		return fmt.Sprintf("%s %s is answered %d", f.Method, f.Target, f.Status)
	}
	return f.Message
}

// Denied reports whether the token's scopes do not have the request.
func (f *Failure) Denied() bool { return f.Status == http.StatusForbidden && f.Message == "" }

// failureOf reads an answer that is no success.
func failureOf(method, target string, a Answer) *Failure {
	var told struct {
		Error    string       `json:"error"`
		Fields   []WrongField `json:"fields"`
		Problems []Problem    `json:"problems"`
		Widens   []Widening   `json:"widens"`
	}
	_ = json.Unmarshal(a.Body, &told) // what is no JSON tells nothing
	return &Failure{a.Status, method, target, told.Error, told.Fields, told.Problems, told.Widens}
}

// ask sends a request without a body and reads the answer into value.
func ask(c Client, target string, value any) error {
	_, err := send(c, http.MethodGet, target, nil, value)
	return err
}

// send sends a request, with what body is as JSON unless it is nil, and reads the answer
// into value unless that is nil. An answer that is no success is a [*Failure].
func send(c Client, method, target string, body, value any) (http.Header, error) {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("console: %s %s: %w", method, target, err)
		}
	}
	a := c.Do(method, target, encoded)
	if a.Status >= http.StatusMultipleChoices {
		return a.Header, failureOf(method, target, a)
	}
	if value == nil {
		return a.Header, nil
	}
	if err := json.Unmarshal(a.Body, value); err != nil {
		return a.Header, fmt.Errorf("console: the answer to %s %s: %w", method, target, err)
	}
	return a.Header, nil
}
