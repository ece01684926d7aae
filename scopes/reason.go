package scopes

import "fmt"

// Reason says why a request was denied, or that it was allowed. The order of the
// constants is the order in which they are checked: the first that fails is the
// reason. Client-visible answers never contain it.
type Reason uint8

// The zero Reason is Stale, "the node may not decide", so that a decision that
// was never made denies.
const (
	Stale               Reason = iota // the node may not decide: not open yet, or its copy may be out of date
	MalformedRequest                  // two parsers could read the request differently
	NoCredential                      // none of the site's credential places is filled
	UnknownToken                      // no token has this credential
	Inactive                          // the token is deactivated
	Expired                           // the token's expiry has come
	SourceNotAllowed                  // the client's address is outside the token's sources
	NoAPI                             // no operation of an API served here matches
	VersionConflict                   // the request states its version ambiguously
	VersionUnknown                    // the version is one the API does not have, or none is stated
	AccountMismatch                   // the path names another account than the token's
	APINotGranted                     // no scope of the token names the API
	VersionNotGranted                 // scopes for the API exist, none for this version
	MethodNotGranted                  // scopes for the version exist, none for this method, or the API has no such method here
	OperationNotGranted               // scopes for the method exist, none for this operation
	RateLimited                       // the token has used up its rate
	Allowed                           // the request is forwarded
)

// NumReasons is the number of reasons, Allowed included; reasons count from 0.
const NumReasons = int(Allowed) + 1

var reasonCodes = [NumReasons]string{
	"stale", "malformed_request", "no_credential", "unknown_token", "inactive", "expired",
	"source_not_allowed", "no_api", "version_conflict", "version_unknown", "account_mismatch",
	"api_not_granted", "version_not_granted", "method_not_granted", "operation_not_granted",
	"rate_limited", "allow",
}

// String returns the reason's code as logs, metrics and the tests of a scope
// file spell it, such as "method_not_granted"; "allow" for Allowed.
func (r Reason) String() string {
	if int(r) < len(reasonCodes) {
		return reasonCodes[r]
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// ParseReason is the inverse of [Reason.String].
func ParseReason(code string) (Reason, bool) {
	for i, c := range reasonCodes {
		if c == code {
			return Reason(i), true
		}
	}
	return Stale, false
}
