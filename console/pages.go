package console

// pages are all pages but those that need no session, by pattern.
var pages = map[string]page{
	"GET " + Root + "{$}":       overview,
	"POST " + Root + "sign-out": signOut,

	"GET " + Root + "tokens/{account}/{token}/{action}":  showAction,
	"POST " + Root + "tokens/{account}/{token}/{action}": doAction,
}
