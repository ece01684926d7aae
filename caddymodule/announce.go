package caddymodule

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/scopegate/scopegate/proxy"
)

// verdictVar is the request variable under which the upstream source finds what
// was decided.
const verdictVar = "scopegate.verdict"

// announce makes a verdict known: to placeholders, the access log, the upstream
// source, and this module's log.
func (h *Handler) announce(r *http.Request, v *proxy.Verdict) {
	ctx := r.Context()
	caddyhttp.SetVar(ctx, verdictVar, v)
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(func(key string) (any, bool) { return placeholder(v, key) })
	}
	if h.logged {
		if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
			extra.Add(zap.Object("scopegate", (*loggedVerdict)(v)))
		}
	}
	if v.Decision.Allowed() || v.Preflight() {
		return
	}
	level, message := zapcore.DebugLevel, "denied"
	if v.Through {
		level, message = zapcore.InfoLevel, "would be denied"
	}
	if entry := h.logger.Check(level, message); entry != nil {
		entry.Write(zap.Object("scopegate", (*loggedVerdict)(v)))
	}
}

// placeholder gives the value of a placeholder that is ours.
func placeholder(v *proxy.Verdict, key string) (any, bool) {
	if key == "http.auth.user.id" {
		if v.Grant.ID == "" || v.Through && !v.Decision.Allowed() {
			return nil, false // nobody, or a denial that goes on in shadow
		}
		return v.Grant.ID, true
	}
	name, ok := strings.CutPrefix(key, "http.scopegate.")
	if !ok {
		return nil, false
	}
	switch name {
	case "account":
		return v.Grant.Account, true
	case "token":
		return tokenName(v), true
	case "api":
		return apiName(v), true
	case "version":
		return v.Decision.Version, true
	case "operation":
		return operationName(v), true
	case "decision":
		return decisionWord(v), true
	case "reason":
		return reasonCode(v), true
	}
	return nil, false
}

// tokenName returns "account/name"; "" if no token was found.
func tokenName(v *proxy.Verdict) string {
	if v.Grant.ID == "" {
		return ""
	}
	return v.Grant.Account + "/" + v.Grant.Name
}

func apiName(v *proxy.Verdict) string {
	if v.Decision.API == nil {
		return ""
	}
	return v.Decision.API.Name
}

func operationName(v *proxy.Verdict) string {
	if v.Decision.Operation == nil {
		return ""
	}
	return v.Decision.Operation.Name
}

// decisionWord returns "allow", "deny", or "preflight" for a CORS preflight that
// was answered.
func decisionWord(v *proxy.Verdict) string {
	switch {
	case v.Preflight():
		return "preflight"
	case v.Decision.Allowed():
		return "allow"
	}
	return "deny"
}

// reasonCode returns why the request was denied; "" if it was not.
func reasonCode(v *proxy.Verdict) string {
	if v.Preflight() || v.Decision.Allowed() {
		return ""
	}
	return v.Decision.Reason.String()
}

// loggedVerdict is a verdict as logs have it: the values of the placeholders.
type loggedVerdict proxy.Verdict

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (l *loggedVerdict) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	v := (*proxy.Verdict)(l)
	enc.AddString("account", v.Grant.Account)
	enc.AddString("token", tokenName(v))
	enc.AddString("api", apiName(v))
	enc.AddString("version", v.Decision.Version)
	enc.AddString("operation", operationName(v))
	enc.AddString("decision", decisionWord(v))
	enc.AddString("reason", reasonCode(v))
	return nil
}

var _ zapcore.ObjectMarshaler = (*loggedVerdict)(nil)
