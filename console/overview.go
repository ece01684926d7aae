package console

import "net/http"

// status is what the route of that name answers, as far as pages show it.
type status struct {
	Revision uint64 `json:"revision"`
	Mode     string `json:"mode"`
	Stale    bool   `json:"stale"`
	Problem  string `json:"problem"`
	Nodes    []node `json:"nodes"`
	Store    struct {
		APIs     int `json:"apis"`
		Accounts int `json:"accounts"`
		Tokens   struct {
			Active   int `json:"active"`
			Inactive int `json:"inactive"`
			Damaged  int `json:"damaged"`
		} `json:"tokens"`
	} `json:"store"`
}

// badge is a state in a word or two. Kind is good, warn, bad, info or "".
type badge struct {
	Text, Kind string
}

// overviewWindows are the times that the overview can look back.
var overviewWindows = []struct{ Value, Name string }{{"24h", "24 hours"}, {"7d", "7 days"}, {"30d", "30 days"}}

// overviewPage is how the gateway does, as far as the token may see it.
type overviewPage struct {
	Status       *status
	Window       string
	WindowName   string
	Windows      []struct{ Value, Name string }
	Activity     *activityReport // nil: it may not be seen
	ActivityMade freshness
	Attention    *attentionReport // nil: it may not be seen
	AttentionDue freshness
}

// Nodes tells how the nodes stand.
func (o *overviewPage) Nodes() []standing { return standingsOf(o.Status.Nodes, o.Status.Revision) }

// Fresh reports whether there is no token yet but those that manage.
func (o *overviewPage) Fresh() bool {
	return o.Status != nil && o.Status.Store.APIs == 0
}

// overview shows how the gateway does, and what needs attention.
func overview(v *visit) error {
	o := overviewPage{Window: overviewWindows[0].Value, WindowName: overviewWindows[0].Name, Windows: overviewWindows}
	for _, w := range overviewWindows {
		if w.Value == v.r.URL.Query().Get("window") {
			o.Window, o.WindowName = w.Value, w.Name
		}
	}
	if v.client.May(http.MethodGet, "/scopegate/status") {
		o.Status = new(status)
		if err := ask(v.client, "/scopegate/status", o.Status); err != nil {
			return err
		}
	}
	var err error
	if target := activityTarget(o.Window); v.client.May(http.MethodGet, target) {
		o.Activity = new(activityReport)
		if o.ActivityMade, err = v.handler.reports.ask(v, target, o.Activity); err != nil {
			return err
		}
	}
	if target := "/scopegate/reports/attention"; v.client.May(http.MethodGet, target) {
		o.Attention = new(attentionReport)
		if o.AttentionDue, err = v.handler.reports.ask(v, target, o.Attention); err != nil {
			return err
		}
	}
	return v.show(http.StatusOK, "overview", "Overview", Root, &o)
}
