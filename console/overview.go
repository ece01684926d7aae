package console

import "net/http"

// status is what the route of that name answers, as far as pages show it.
type status struct {
	Revision uint64 `json:"revision"`
	Mode     string `json:"mode"`
	Stale    bool   `json:"stale"`
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

// overview shows how the gateway does, and what needs attention.
func overview(v *visit) error {
	var s status
	if err := ask(v.client, "/scopegate/status", &s); err != nil {
		return err
	}
	return v.show(http.StatusOK, "overview", "Overview", Root, s)
}
