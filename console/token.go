package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// tokenPage is one token: what it is, may do and did, as far as who asks may know.
type tokenPage struct {
	token
	Actions   []actionLink
	Held      []heldCredential
	Rotation  rotation
	Activity  *activityReport // nil where it may not be known, as all that follows
	Series    *activitySeries
	Matrix    *matrix
	Basis     *basis // of the matrix
	Limited   []limitUse
	Narrowing *narrowing
	Trial     *shadowTrial
	History   []entry
	HasLog    bool
	All       bool // no row of the matrix is left out
}

// The windows of what a page tells of one token.
const (
	tokenWindow   = "30d" // the chart
	grantWindow   = "90d" // granted against used
	historyLength = 20
)

// showToken shows one token.
func showToken(v *visit) error {
	ref, err := v.namedToken()
	if err != nil {
		return err
	}
	p := &tokenPage{All: v.r.URL.Query().Has("all")}
	if err := ask(v.client, "/scopegate/tokens/"+ref, &p.token); err != nil {
		return err
	}
	p.Actions = v.actionsOn(&p.actedOn)
	for _, part := range []func(*visit) error{p.askActivity, p.askGrants, p.askRotation, p.askNarrowing, p.askTrial, p.askHistory} {
		if err := part(v); err != nil {
			return err
		}
	}
	return v.show(http.StatusOK, "token", p.Token, Root+"tokens", p)
}

// askOne asks for a report about the token, if that may be, and reports whether it was.
func (p *tokenPage) askOne(v *visit, report, window string, value any) (bool, error) {
	return v.askIfMay(targetOf("/scopegate/"+report, map[string]string{"token": p.Token, "window": window, "detail": "true"}), value)
}

// askIfMay asks if the token may, and reports whether it did.
func (v *visit) askIfMay(target string, value any) (bool, error) {
	if !v.client.May(http.MethodGet, target) {
		return false, nil
	}
	return true, ask(v.client, target, value)
}

// askActivity asks what the token did over time.
func (p *tokenPage) askActivity(v *visit) error {
	report := new(activityReport)
	may, err := v.askIfMay(activityTarget(tokenWindow, p.ID), report)
	if err != nil || !may || len(report.Tokens) == 0 {
		return err
	}
	p.Activity, p.Series = report, &report.Tokens[0]
	return nil
}

// Chart draws what the token did.
func (p *tokenPage) Chart() *chart { return newChart(p.Series.Points, p.Activity.step()) }

// Denials are those of the token, by reason.
func (p *tokenPage) Denials() []bar { return newBars(p.Series.Reasons) }

// limitUse is how near the token came to one of its limits.
type limitUse struct {
	tokenLimit
	PeakRate float64 `json:"peak_rate"`
	Peak     uint64  `json:"peak"`
	Refused  uint64  `json:"refused"`
}

// On tells which API a limit is about.
func (l *tokenLimit) On() string {
	if l.API == "" {
		return "all APIs"
	}
	return l.API
}

// PerSecond writes the peak.
func (l *limitUse) PerSecond() string { return strconv.FormatFloat(l.PeakRate, 'g', 2, 64) }

// askGrants compares what the token may do with what it did.
func (p *tokenPage) askGrants(v *visit) error {
	var granted struct {
		Tokens []struct {
			Granted    int                `json:"granted"`
			Used       int                `json:"used"`
			Operations []grantedOperation `json:"operations"`
		} `json:"tokens"`
	}
	var used struct {
		basis
		Tokens []struct {
			Operations []usedOperation `json:"operations"`
			Limits     []limitUse      `json:"limits"`
		} `json:"tokens"`
	}
	if may, err := p.askOne(v, "reports/overprivileged", grantWindow, &granted); err != nil || !may {
		return err
	}
	if may, err := p.askOne(v, "reports/usage", grantWindow, &used); err != nil || !may || len(used.Tokens) == 0 {
		return err
	}
	var operations []grantedOperation
	if len(granted.Tokens) > 0 {
		operations = granted.Tokens[0].Operations
	}
	p.Matrix = newMatrix(operations, used.Tokens[0].Operations, p.All)
	if len(granted.Tokens) > 0 {
		p.Matrix.Granted, p.Matrix.Used = granted.Tokens[0].Granted, granted.Tokens[0].Used
	}
	p.Basis, p.Limited = &used.basis, used.Tokens[0].Limits
	return nil
}

// rotation is when the newest credential is to be replaced.
type rotation struct {
	Every   string
	Stated  bool // the token says so; else it is what the report takes
	Due     time.Time
	Overdue bool
	Soon    bool
}

// defaultRotation is what the report takes for tokens that state none.
const defaultRotation = "90d"

// heldCredential is one of the token's credentials.
type heldCredential struct {
	credential
	Newest bool
	// Used tells about its use, in words that end with At; At may be zero.
	Used string
	At   time.Time
}

// askRotation tells of the credentials and when they are to be replaced.
func (p *tokenPage) askRotation(v *visit) error {
	for i, c := range p.Credentials {
		p.Held = append(p.Held, heldCredential{credential: c, Newest: i == len(p.Credentials)-1})
	}
	if len(p.Held) == 0 {
		return nil
	}
	newest := &p.Held[len(p.Held)-1]
	p.Rotation = rotationOf(p.RotateEvery, newest.Created, time.Now())
	if len(p.Held) == 1 {
		if p.Series != nil {
			newest.Used, newest.At = "last used", p.Series.Last
		}
		return nil
	}
	var report struct {
		Tokens []struct {
			NewFirstUsed time.Time `json:"new_first_used"`
			OldLastUsed  time.Time `json:"old_last_used"`
		} `json:"tokens"`
	}
	if may, err := p.askOne(v, "reports/rotation", grantWindow, &report); err != nil || !may || len(report.Tokens) == 0 {
		return err
	}
	newest.Used, newest.At = "first used", report.Tokens[0].NewFirstUsed
	p.Held[0].Used, p.Held[0].At = "last used", report.Tokens[0].OldLastUsed
	return nil
}

// rotationOf tells when a credential is to be replaced.
func rotationOf(every string, since, now time.Time) rotation {
	r := rotation{Every: every, Stated: every != ""}
	if !r.Stated {
		r.Every = defaultRotation
	}
	interval, err := scopes.ParseInterval(r.Every)
	if err != nil {
		return rotation{}
	}
	r.Due = since.Add(interval)
	r.Overdue = !r.Due.After(now)
	r.Soon = !r.Overdue && r.Due.Before(now.Add(soon))
	return r
}

// narrowing is the scopes that would have been enough, or why there are none to tell.
type narrowing struct {
	Before, After int
	YAML          string
	Notes         []string
	Why           string
}

// askNarrowing asks for the least scopes that cover what the token did.
func (p *tokenPage) askNarrowing(v *visit) error {
	var found struct {
		Tokens []struct {
			Before int      `json:"before"`
			After  int      `json:"after"`
			Scopes []scope  `json:"scopes"`
			Notes  []string `json:"notes"`
		} `json:"tokens"`
		Left []struct {
			Why string `json:"why"`
		} `json:"left"`
	}
	if p.State != stateActive || p.Access != "" {
		return nil
	}
	if may, err := p.askOne(v, "suggest", "", &found); err != nil || !may {
		return err
	}
	p.Narrowing = new(narrowing)
	switch {
	case len(found.Tokens) > 0:
		s := &found.Tokens[0]
		*p.Narrowing = narrowing{Before: s.Before, After: s.After, YAML: scopesYAML(s.Scopes), Notes: s.Notes}
	case len(found.Left) > 0:
		p.Narrowing.Why = found.Left[0].Why
	}
	return nil
}

// scopesYAML writes scopes as a scope file has them.
func scopesYAML(list []scope) string {
	var text strings.Builder
	text.WriteString("scopes:\n")
	for i := range list {
		s := &list[i]
		one := scopes.Scope{API: s.API, Versions: s.Versions, Operations: s.Operations}
		for _, method := range s.Methods {
			if method == anyMethod {
				one.Methods = scopes.AllMethods
				continue
			}
			one.Methods |= scopes.MethodOf(method)
		}
		text.WriteString("  - " + one.YAML() + "\n")
	}
	return text.String()
}

// shadowTrial is what the shadow scopes of a token would do.
type shadowTrial struct {
	Allowed   uint64 `json:"allowed"`
	WouldDeny uint64 `json:"would_deny"`
	Safe      bool   `json:"safe"`
	Why       string `json:"why"`
}

// askTrial asks what the shadow scopes would do, if there are any.
func (p *tokenPage) askTrial(v *visit) error {
	var report struct {
		Tokens []shadowTrial `json:"tokens"`
	}
	if len(p.Shadow) == 0 {
		return nil
	}
	may, err := p.askOne(v, "reports/shadow", tokenWindow, &report)
	if err != nil || !may || len(report.Tokens) == 0 {
		return err
	}
	p.Trial = &report.Tokens[0]
	return nil
}

// askHistory asks what was changed of the token.
func (p *tokenPage) askHistory(v *visit) (err error) {
	target := targetOf("/scopegate/log", map[string]string{"kind": "token", "name": p.Token, "limit": strconv.Itoa(historyLength)})
	p.HasLog, err = v.askIfMay(target, &p.History)
	return err
}

// MoreHistory reports whether there may be more than is shown.
func (p *tokenPage) MoreHistory() bool { return len(p.History) == historyLength }
