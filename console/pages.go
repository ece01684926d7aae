package console

// pages are all pages but those that need no session, by pattern.
var pages = map[string]page{
	"GET " + Root + "{$}":       overview,
	"POST " + Root + "sign-out": signOut,

	"GET " + Root + "accounts":                   listAccounts,
	"GET " + Root + "accounts/{account}":         showAccount,
	"GET " + Root + "accounts/{account}/delete":  showAccountDeletion,
	"POST " + Root + "accounts/{account}/delete": deleteAccount,
	"GET " + Root + "create-account":             showAccountForm,
	"POST " + Root + "create-account":            createAccount,
	"GET " + Root + "apis":                       listAPIs,
	"GET " + Root + "apis/{api}":                 showAPI,
	"GET " + Root + "nodes":                      showNodes,
	"GET " + Root + "audit":                      showAudit,
	"GET " + Root + "explain":                    showExplain,
	"POST " + Root + "explain":                   postExplain,

	"GET " + Root + "create-token":             showTokenForm,
	"POST " + Root + "create-token":            createToken,
	"GET " + Root + "tokens":                   tokens,
	"GET " + Root + "tokens/{account}/{token}": showToken,

	"GET " + Root + "tokens/{account}/{token}/{action}":  showAction,
	"POST " + Root + "tokens/{account}/{token}/{action}": doAction,
}
