package caddymodule

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/scopegate/scopegate/reports"
)

// writeBasis says what a report rests on.
func writeBasis(w io.Writer, b *reports.Basis) {
	fmt.Fprintf(w, "\nWindow: %s to %s.", showTime(b.From), showTime(b.To))
	if b.Since.After(b.From) {
		fmt.Fprintf(w, " Counting began within it, %s.", showTime(b.Since))
	}
	if b.Lost > 0 {
		fmt.Fprintf(w, " %d requests of it could not be counted.", b.Lost)
	}
	if b.Missing != "" {
		fmt.Fprintf(w, " Missing: %s.", b.Missing)
	}
	fmt.Fprintln(w)
}

func writeAttention(w io.Writer, r *reports.AttentionReport) {
	begun := false
	for _, c := range r.Concerns() {
		for i := range c.Tokens {
			if !begun {
				fmt.Fprintln(w, "CONCERN\tTOKEN\tWHAT\tWHEN\tCONTACT")
				begun = true
			}
			t := &c.Tokens[i]
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.Name, t.Token, t.What, showTime(t.At), orDash(t.Contact))
		}
		if more := c.Count - len(c.Tokens); more > 0 {
			fmt.Fprintf(w, "%s\tand %d more\n", c.Name, more)
		}
	}
	if !begun {
		fmt.Fprintln(w, "Nothing needs attention.")
	}
	writeBasis(w, &r.Basis)
}

func writeUsage(w io.Writer, r *reports.UsageReport) {
	fmt.Fprintln(w, "TOKEN\tREQUESTS\tDENIED\t4XX\t5XX\tP50\tP95\tLAST USED\tTRAFFIC")
	for i := range r.Tokens {
		t := &r.Tokens[i]
		fmt.Fprintf(w, "%s\t%s\t%s\n", t.Token, trafficText(&t.Traffic), orDash(sparkline(t.Points)))
	}
	for i := range r.Tokens {
		writeOperations(w, r.Tokens[i].Operations)
	}
	writeLimits(w, r.Tokens)
	writeBasis(w, &r.Basis)
}

func writeOperations(w io.Writer, operations []reports.OperationUsage) {
	if len(operations) == 0 {
		return
	}
	fmt.Fprintln(w, "\nOPERATION\tREQUESTS\tDENIED\t4XX\t5XX\tP50\tP95\tLAST USED")
	for i := range operations {
		o := &operations[i]
		fmt.Fprintf(w, "%s\t%s\n", operationText(o.API, o.Version, o.Method, o.Operation), trafficText(&o.Traffic))
	}
}

// writeLimits prints how near tokens came to their limits.
func writeLimits(w io.Writer, tokens []reports.TokenUsage) {
	begun := false
	for i := range tokens {
		for _, l := range tokens[i].Limits {
			if !begun {
				fmt.Fprintln(w, "\nLIMIT OF\tAPI\tRATE\tPEAK\tQUOTA\tPEAK\tHEADROOM\tREFUSED")
				begun = true
			}
			const hundred = 100
			fmt.Fprintf(w, "%s\t%s\t%s\t%.2g/s\t%s\t%d\t%.0f %%\t%d\n", tokens[i].Token, orDash(l.API), orDash(l.Rate), l.PeakRate,
				orDash(l.Quota), l.Peak, hundred*l.Headroom, l.Refused)
		}
	}
}

// operationText returns an operation as the command line writes scopes.
func operationText(api, version, method, operation string) string {
	return strings.Join([]string{orDash(api), orDash(version), method, orDash(operation)}, ":")
}

func trafficText(t *reports.Traffic) string {
	return fmt.Sprintf("%d\t%d\t%d\t%d\t%s\t%s\t%s", t.Requests, t.Denied, t.Status.ClientError, t.Status.ServerError,
		showLatency(t.P50), showLatency(t.P95), showTime(t.Last))
}

// showLatency returns a time with about two digits that count.
func showLatency(s reports.Seconds) string {
	if s == 0 {
		return "-"
	}
	d := time.Duration(float64(s) * float64(time.Second))
	for unit := 100 * time.Millisecond; unit > time.Microsecond; unit /= 10 {
		if d >= 10*unit {
			return d.Round(unit).String()
		}
	}
	return d.Round(time.Microsecond).String()
}

// sparkline draws points, at most 24 of them, each as high as it is.
func sparkline(points []uint64) string {
	const most = 24
	heights := []rune("▁▂▃▄▅▆▇█")
	joined := points
	if len(points) > most {
		joined = make([]uint64, most)
		for i, n := range points {
			joined[i*most/len(points)] += n
		}
	}
	var highest uint64
	for _, n := range joined {
		highest = max(highest, n)
	}
	if highest == 0 {
		return ""
	}
	line := make([]rune, len(joined))
	for i, n := range joined {
		line[i] = heights[0]
		if n > 0 { // what there is must be seen
			line[i] = heights[1+int(float64(n)/float64(highest)*float64(len(heights)-2))]
		}
	}
	return string(line)
}

func writeErrors(w io.Writer, r *reports.ErrorReport) {
	if len(r.Refusals) == 0 {
		fmt.Fprintln(w, "Nothing was refused.")
		writeBasis(w, &r.Basis)
		return
	}
	fmt.Fprintln(w, "TOKEN\tREASON\tREQUESTS\tOPERATION\tFIRST\tLAST")
	for i := range r.Refusals {
		f := &r.Refusals[i]
		reason := f.Reason
		if !f.Enforced {
			reason += " (shadow)"
		}
		name := f.Token
		if name == "" {
			name = f.ID // of one that was deleted
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", orDash(name), reason, f.Requests,
			operationText(f.API, f.Version, f.Method, f.Operation), showTime(f.First), showTime(f.Last))
	}
	writeBasis(w, &r.Basis)
}

func writeUnused(w io.Writer, r *reports.UnusedReport) {
	if len(r.Tokens) == 0 && len(r.Unknown) == 0 {
		fmt.Fprintln(w, "Every active token that is old enough was used.")
	}
	if len(r.Tokens) > 0 {
		fmt.Fprintln(w, "TOKEN\tCREATED\tKEPT\tCONTACT")
		for _, t := range r.Tokens {
			kept := "-"
			if t.Kept {
				kept = "keep"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.Token, showTime(t.Created), kept, t.Contact)
		}
	}
	if len(r.Unknown) > 0 {
		fmt.Fprintf(w, "%s without a request may have been used before, for counting does not cover the window.\n",
			count(len(r.Unknown), "token"))
	}
	writeBasis(w, &r.Basis)
}

func writeOverprivileged(w io.Writer, r *reports.PrivilegeReport) {
	fmt.Fprintln(w, "TOKEN\tGRANTED\tUSED\tSHARE\tCONTACT")
	for i := range r.Tokens {
		t := &r.Tokens[i]
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\n", t.Token, t.Granted, t.Used, share(t.Used, t.Granted), t.Contact)
	}
	for i := range r.Tokens {
		if len(r.Tokens[i].Operations) > 0 {
			fmt.Fprintln(w, "\nAPI\tVERSION\tOPERATION\tGRANTED\tUSED")
		}
		for _, o := range r.Tokens[i].Operations {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", o.API, orDash(o.Version), o.Operation, strings.Join(o.Granted, ","), orDash(strings.Join(o.Used, ",")))
		}
	}
	fmt.Fprintf(w, "\n%d operations are granted, and %d of them were used: %s.\n", r.Granted, r.Used, share(r.Used, r.Granted))
	writeBasis(w, &r.Basis)
}

func share(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	const hundred = 100
	return fmt.Sprintf("%d %%", part*hundred/whole)
}

func writeRotation(w io.Writer, r *reports.RotationReport) {
	if len(r.Tokens) == 0 {
		fmt.Fprintln(w, "No credential is due for rotation within 30 days.")
		writeBasis(w, &r.Basis)
		return
	}
	fmt.Fprintln(w, "TOKEN\tSTATE\tDUE\tSINCE\tNEW IN USE\tOLD LAST USED\tCONTACT")
	for i := range r.Tokens {
		t := &r.Tokens[i]
		due := t.Due.UTC().Format(time.DateOnly)
		if !t.Stated {
			due += " (default)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.Token, t.State, due, t.Since.UTC().Format(time.DateOnly),
			showTime(t.NewFirstUsed), showTime(t.OldLastUsed), t.Contact)
	}
	writeBasis(w, &r.Basis)
}

func writeLegacy(w io.Writer, r *reports.LegacyReport) {
	if len(r.Tokens) == 0 {
		fmt.Fprintln(w, "No legacy tokens: every token has scopes.")
		return
	}
	fmt.Fprintln(w, "TOKEN\tSTATE\tACCESS\tOPERATIONS\tUSED\tSCOPES\tCONTACT")
	for i := range r.Tokens {
		t := &r.Tokens[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", t.Token, t.State, t.Access, t.Operations, t.Used, len(t.Scopes), t.Contact)
	}
	writeBasis(w, &r.Basis)
}

func writeContacts(w io.Writer, r *reports.ContactReport) {
	fmt.Fprintln(w, "CONTACT\tTOKENS\tACCOUNTS\tNAMES")
	for i := range r.Contacts {
		c := &r.Contacts[i]
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", c.Email, c.Tokens, strings.Join(c.Accounts, ","), orDash(strings.Join(c.Names, ", ")))
	}
	for _, t := range r.Missing {
		fmt.Fprintf(w, "-\t1\t%s\tnobody can be asked\n", t.Token)
	}
	if r.Unnamed > 0 {
		fmt.Fprintf(w, "\nThe contact of %s has an address and no name.\n", count(r.Unnamed, "token"))
	}
}

func writeShadow(w io.Writer, r *reports.ShadowReport) {
	if len(r.Tokens) == 0 && len(r.Sites) == 0 {
		fmt.Fprintln(w, "No token has shadow scopes, and no site in shadow has let anything through.")
		writeBasis(w, &r.Basis)
		return
	}
	if len(r.Tokens) > 0 {
		fmt.Fprintln(w, "TOKEN\tSAFE\tALLOWED\tWOULD DENY\tWHY")
	}
	for i := range r.Tokens {
		t := &r.Tokens[i]
		safe := "no"
		if t.Safe {
			safe = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", t.Token, safe, t.Allowed, t.WouldDeny, t.Why)
	}
	for i := range r.Tokens {
		for _, d := range r.Tokens[i].Denials {
			fmt.Fprintf(w, "  %s\t%s\t%d\t%s\t%s\n", r.Tokens[i].Token, d.Reason, d.Requests,
				operationText(d.API, d.Version, d.Method, d.Operation), showTime(d.Last))
		}
	}
	for i := range r.Sites {
		f := &r.Sites[i]
		fmt.Fprintf(w, "site in shadow\t%s\t%d\t%s\t%s\n", f.Reason, f.Requests, operationText(f.API, f.Version, f.Method, f.Operation), orDash(f.Token))
	}
	writeBasis(w, &r.Basis)
}

func writeDeprecated(w io.Writer, r *reports.DeprecatedReport) {
	if len(r.Versions) == 0 {
		fmt.Fprintln(w, "No version is deprecated.")
		writeBasis(w, &r.Basis)
		return
	}
	fmt.Fprintln(w, "API\tVERSION\tSUNSET\tGRANTED\tUSED\tREQUESTS\tLINK")
	users := false
	for i := range r.Versions {
		v := &r.Versions[i]
		sunset := v.Sunset.UTC().Format(time.DateOnly)
		if v.Passed {
			sunset += " (passed)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", v.API, v.Version, sunset, v.Granted, v.Used, v.Requests, orDash(v.Link))
		users = users || len(v.Tokens) > 0
	}
	if users {
		fmt.Fprintln(w, "\nTOKEN\tAPI\tVERSION\tREQUESTS\tLAST USED\tCONTACT")
	}
	for i := range r.Versions {
		for _, t := range r.Versions[i].Tokens {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", t.Token, r.Versions[i].API, r.Versions[i].Version, t.Requests, showTime(t.Last), t.Contact)
		}
	}
	writeBasis(w, &r.Basis)
}
