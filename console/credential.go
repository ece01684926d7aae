package console

import (
	"net/http"
	"time"
)

// overlap is how long the old credential is accepted after a rotation.
type overlap struct {
	Value, Text string
	Chosen      bool // if nothing else is
}

var overlaps = []overlap{
	{"", "none: the old one is refused at once", false},
	{"1h", "1 hour", false},
	{"1d", "1 day", false},
	{"7d", "7 days", true},
	{"30d", "30 days", false},
}

// madeCredential is what the page of a new credential shows: the only time that anybody
// sees it.
type madeCredential struct {
	Token      string `json:"token"`
	Credential string `json:"credential"`
	Rotated    bool
	Overlap    string // as people read it
}

// newest tells which credential of a token is the newest, as long as there is no newer one.
// What tells it is public: when it was made, and its last characters.
func (t *actedOn) newest() string {
	if len(t.Credentials) == 0 {
		return "none"
	}
	last := t.Credentials[len(t.Credentials)-1]
	return last.Created.Format(time.RFC3339) + " " + last.LastFour
}

// overtaken is what the page shows of a form that was sent after another credential had been
// made, or while one is: by the same form, sent twice or loaded again, or by somebody else.
// Doing it again would end a credential that perhaps somebody has just stored.
type overtaken struct {
	Token     string
	Last      *credential // nil: it is being made at this moment
	Available []actionLink
}

// makeCredential issues or rotates, and shows what was made, in answer to the form itself:
// the credential is in no address, and kept nowhere to be shown later.
//
// A form that is sent twice makes one credential. The second answer, which is the one that
// a browser shows, says that there is one, and what to do if nobody has seen it.
func (v *visit) makeCredential(p *actionPage) error {
	ref := p.Token.Token
	if _, busy := v.handler.making.LoadOrStore(ref, true); busy {
		return v.showOvertaken(p, nil)
	}
	defer v.handler.making.Delete(ref)
	if p.Known { // what it was like when p was read may be over: others did not wait for v
		if err := ask(v.client, "/scopegate/tokens/"+ref, p.Token); err != nil {
			return err
		}
		if live := p.Token.live(); len(live) > 0 && p.Token.newest() != v.r.PostForm.Get("before") {
			return v.showOvertaken(p, &live[len(live)-1])
		}
	}
	var body any
	made := madeCredential{Rotated: p.name == "rotate"}
	if made.Rotated {
		chosen := v.r.PostForm.Get("overlap")
		body = map[string]string{"overlap": chosen}
		for _, o := range overlaps {
			if o.Value == chosen && chosen != "" {
				made.Overlap = o.Text
			}
		}
	}
	method, target := p.route(ref)
	if _, err := send(v.client, method, target, body, &made); err != nil {
		return err
	}
	return v.show(http.StatusOK, "credential", "Credential of "+ref, Root+"tokens", made)
}

func (v *visit) showOvertaken(p *actionPage, last *credential) error {
	shown := overtaken{Token: p.Token.Token, Last: last}
	if last != nil {
		shown.Available = v.actionsOn(p.Token)
	}
	return v.show(http.StatusConflict, "overtaken", p.Title+": "+p.Token.Token, Root+"tokens", shown)
}
