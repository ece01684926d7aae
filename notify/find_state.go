package notify

import "fmt"

// deactivated finds that a token was deactivated. What was made inactive never did anything that
// could be missed.
func (f *finder) deactivated() {
	t := f.token
	if t.Deactivation == "" || f.Now.Sub(t.Updated) > Recent {
		return
	}
	f.add(found{
		kind: Deactivated, occasion: t.Deactivation, at: t.Updated,
		text: fmt.Sprintf("is deactivated since %s at the latest; its requests are refused", date(t.Updated)),
		hint: "log --name " + t.Ref(),
	})
}

// deleted finds that a token was deleted.
func (f *finder) deleted() {
	t := f.token
	if f.Now.Sub(t.Updated) > Recent {
		return
	}
	f.add(found{
		kind: Deleted, occasion: "", at: t.Updated,
		text: fmt.Sprintf("was deleted on %s, for ever; its requests are refused", date(t.Updated)),
		hint: "log --name " + t.Ref(),
	})
}
