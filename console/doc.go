// Package console is the web page of the management site: what people would rather look
// at than type.
//
// It is a client of the management routes, in the same process, and of nothing else: what
// it shows is the JSON that they answer, and what a button does is a request to one of
// them. So the page can do nothing that the routes cannot, each action is decided as the
// same request over HTTP is, with the token as it is at that moment, and a button is shown
// if its request would be allowed.
//
//	a browser ─► Handler: session, form token ─► visit: one page ─► Client: the routes
//
// A session is a sealed cookie ([Sessions]): it holds the digest of the credential that
// somebody signed in with, and grants nothing by itself. Pages are rendered here
// (html/template), work without script, and load nothing from elsewhere.
package console
