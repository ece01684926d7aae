package console

import (
	"net/http"
	"slices"
	"time"
)

// action is something that can be done to a token. Each has a page that says what it does
// and has the button, whose form does it.
type action struct {
	name   string // the last segment of its page, and of its route but for delete
	Title  string // on the button that leads there
	Button string // on the one that does it
	Text   string // what it does
	Danger bool   // it cannot be undone, or refuses clients
	notice string // what is said afterwards
	// fits reports whether it makes sense for a token.
	fits func(*actedOn) bool
	// Instead is what to do where it does not.
	Instead string
}

// actedOn is what of a token decides which actions make sense.
type actedOn struct {
	Token       string       `json:"token"`
	Description string       `json:"description"`
	State       string       `json:"state"`
	Credentials []credential `json:"credentials"`
}

// credential is what is known of one.
type credential struct {
	LastFour string    `json:"last_four"`
	Created  time.Time `json:"created"`
	Ends     time.Time `json:"ends"`
}

// The states of a token.
const (
	stateActive   = "active"
	stateInactive = "inactive"
	stateDeleted  = "deleted"
)

// live returns the credentials that have not ended.
func (t *actedOn) live() []credential {
	return slices.DeleteFunc(slices.Clone(t.Credentials), func(c credential) bool { return !c.Ends.IsZero() && !c.Ends.After(time.Now()) })
}

// hasCredentials makes a condition of how many live credentials a token has.
func hasCredentials(n int) func(*actedOn) bool {
	return func(t *actedOn) bool { return t.State != stateDeleted && len(t.live()) == n }
}

func isIn(state string) func(*actedOn) bool {
	return func(t *actedOn) bool { return t.State == state }
}

// actions are all, in the order of their buttons.
var actions = []action{
	{
		name: "issue", Title: "Issue the credential", Button: "Issue the credential",
		Text:    "Makes the first credential of the token. It is shown once, on the next page, and nowhere afterwards: have the place ready where it is to be kept.",
		fits:    hasCredentials(0),
		Instead: "It has a credential already. To replace that, rotate it.",
	},
	{
		name: "rotate", Title: "Rotate", Button: "Rotate the credential",
		Text:    "Makes a new credential, which is shown once, on the next page. The old one is accepted until the overlap is over, so that clients have the time to change.",
		fits:    hasCredentials(1),
		Instead: "Only a token with exactly one credential is rotated: issue makes the first, and while a rotation goes on, retire ends the old one.",
	},
	{
		name: "retire", Title: "Retire the old credential", Button: "Retire the old credential", Danger: true, notice: "retired",
		Text:    "Ends the old credential now, before the overlap is over. Clients that still use it are refused at once; only the new one is accepted. This cannot be undone.",
		fits:    hasCredentials(2),
		Instead: "It has no old credential: a rotation with an overlap leaves one.",
	},
	{
		name: "activate", Title: "Activate", Button: "Activate", notice: "activated",
		Text:    "The token is accepted again, with the credentials it had, unless these were ended meanwhile.",
		fits:    isIn(stateInactive),
		Instead: "It is not inactive.",
	},
	{
		name: "deactivate", Title: "Deactivate", Button: "Deactivate", Danger: true, notice: "deactivated",
		Text:    "Every request with this token is refused from now on, whatever a scope file says, until it is activated again. Nothing is lost.",
		fits:    isIn(stateActive),
		Instead: "It is not active.",
	},
	{
		name: actionDelete, Title: "Delete", Button: "Delete for ever", Danger: true, notice: "token-deleted",
		Text:    "The token and its credentials are refused for ever, on every node. This cannot be undone: a new token of the same name has other credentials. To refuse it for a while, deactivate it.",
		fits:    func(t *actedOn) bool { return t.State != stateDeleted },
		Instead: "It was deleted already.",
	},
}

// actionDelete is the one whose route is no POST.
const actionDelete = "delete"

// route returns the request that does it to a token.
func (a *action) route(token string) (method, target string) {
	if a.name == actionDelete {
		return http.MethodDelete, "/scopegate/tokens/" + token
	}
	return http.MethodPost, "/scopegate/tokens/" + token + "/" + a.name
}

// Path returns that of its page.
func (a *action) Path(token string) string { return Root + "tokens/" + token + "/" + a.name }

// actionLink is a button that leads to the page of an action.
type actionLink struct {
	Title, Path string
	Danger      bool
}

// actionsOn returns what can be done to a token, and may be by who asks.
func (v *visit) actionsOn(t *actedOn) []actionLink {
	var links []actionLink
	for i := range actions {
		if a := &actions[i]; a.fits(t) && v.client.May(a.route(t.Token)) {
			links = append(links, actionLink{a.Title, a.Path(t.Token), a.Danger})
		}
	}
	return links
}

// actionPage is what the page of an action shows.
type actionPage struct {
	*action
	Token     *actedOn
	Known     bool // the token may be shown, so what it is like is known
	Own       bool // it is the one that somebody is signed in with
	Fits      bool
	Before    string    // the newest credential when the page was made
	Overlaps  []overlap // to choose from
	MustType  bool      // the token's name, to confirm
	Problem   string
	Available []actionLink // what can be done instead
}

// readAction returns the action that the path names, and the page for it.
func readAction(v *visit) (*actionPage, error) {
	ref, err := v.namedToken()
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(actions, func(a action) bool { return a.name == v.r.PathValue("action") })
	if at < 0 {
		return nil, errNotFound
	}
	a := &actions[at]
	if err := v.mustMay(a.route(ref)); err != nil {
		return nil, err
	}
	p := &actionPage{action: a, Token: &actedOn{Token: ref}, Own: ref == v.holder, Fits: true, MustType: a.name == actionDelete}
	if a.name == "rotate" {
		p.Overlaps = overlaps
	}
	target := "/scopegate/tokens/" + ref
	if !v.client.May(http.MethodGet, target) {
		return p, nil
	}
	if err := ask(v.client, target, p.Token); err != nil {
		return nil, err
	}
	p.Known, p.Fits, p.Before = true, a.fits(p.Token), p.Token.newest()
	p.Available = v.actionsOn(p.Token)
	return p, nil
}

// showAction shows what an action does, and the button.
func showAction(v *visit) error {
	p, err := readAction(v)
	if err != nil {
		return err
	}
	return v.showActionPage(http.StatusOK, p)
}

func (v *visit) showActionPage(status int, p *actionPage) error {
	return v.show(status, "token-action", p.Title+": "+p.Token.Token, Root+"tokens", p)
}

// doAction does it.
func doAction(v *visit) error {
	p, err := readAction(v)
	if err != nil {
		return err
	}
	if p.MustType && v.r.PostForm.Get("confirm") != p.Token.Token {
		p.Problem = "Type the name of the token exactly as it is shown. Nothing was deleted."
		return v.showActionPage(http.StatusUnprocessableEntity, p)
	}
	if p.notice == "" {
		return v.makeCredential(p)
	}
	method, target := p.route(p.Token.Token)
	if _, err := send(v.client, method, target, nil, nil); err != nil {
		return err
	}
	if p.name == actionDelete {
		return v.done(Root+"tokens", p.notice)
	}
	return v.done(Root+"tokens/"+p.Token.Token, p.notice)
}
