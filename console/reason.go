package console

// reasonCount is how many requests were denied for a reason.
type reasonCount struct {
	Reason   string `json:"reason"`
	Requests uint64 `json:"requests"`
}

// reasons say what each of the codes means, for who looks for the cause.
var reasons = map[string]string{ //nolint:gosec // codes of reasons
	"stale":                 "The node did not hear of the others, so it may not decide.",
	"malformed_request":     "Two parsers could read the request differently.",
	"no_credential":         "The request had no credential where one is expected.",
	"unknown_token":         "No token has this credential: it was retired, mistyped, or made up.",
	"inactive":              "The token is deactivated.",
	"expired":               "The token's time is over.",
	"source_not_allowed":    "The client's address is outside the token's sources.",
	"no_api":                "No operation of an API matches the path and method.",
	"version_conflict":      "The request states its version in two ways.",
	"version_unknown":       "The API does not have this version, or none is stated.",
	"account_mismatch":      "The path names another account than the token's.",
	"api_not_granted":       "The token has no scope for this API.",
	"version_not_granted":   "The token has the API, but not this version.",
	"method_not_granted":    "The token has the version, but not this method.",
	"operation_not_granted": "The token has the method, but not this operation.",
	"rate_limited":          "The token has used up its rate or quota.",
}

func explainReason(code string) string { return reasons[code] }
