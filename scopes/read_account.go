package scopes

import "strings"

// accountID is a name or id of an account, and where it stands.
type accountID struct {
	account string
	node    *yamlNode
}

// tokenPlace is a token, and where something of it stands.
type tokenPlace struct {
	token string // "account/name"
	node  *yamlNode
}

// maxActiveBound is the highest limit that an account can be given.
const maxActiveBound = 1_000_000

var accountTable = table[accountDraft]{"account", "an account", []field[accountDraft]{
	{key: "title", read: func(r *reader, n *yamlNode, d *accountDraft) { d.Title = r.title(n, "a title") }},
	{key: "ids", read: (*reader).readIDs},
	{key: "max_active_tokens", read: func(r *reader, n *yamlNode, d *accountDraft) {
		d.MaxActiveTokens, _ = r.integer(n, "max_active_tokens", 1, maxActiveBound)
	}},
	{key: "tokens", read: (*reader).readTokens},
}}

// accountDraft is an account while it is read.
type accountDraft struct {
	Account
	active int // scoped tokens in state active
}

func (r *reader) readAccounts(n *yamlNode, f *File) {
	r.owners = make(map[string]accountID)
	r.digests = make(map[Digest]tokenPlace)
	r.tokens = make(map[string]*yamlNode)
	if n.kind == mapping { // names first, so that an id that is another's name is found
		for _, p := range n.pairs {
			if _, twice := r.owners[p.key.text]; !twice {
				r.owners[p.key.text] = accountID{p.key.text, p.key}
			}
		}
	}
	for p := range r.named(n, "an account", validName, nameRule) {
		draft := accountDraft{Account: Account{Name: p.key.text}}
		readFields(r, &accountTable, p.key, p.value, &draft)
		f.Accounts = append(f.Accounts, draft.Account)
	}
}

// readIDs reads the other names that an account parameter may have. No two
// accounts may share one, or the one would act for the other.
func (r *reader) readIDs(n *yamlNode, d *accountDraft) {
	for _, item := range r.items(n, "ids", "[IRab12cd34]") {
		id, ok := r.text(item, "an id")
		if !ok {
			continue
		}
		if flaw := idFlaw(id); flaw != "" {
			r.problemf(item, "no path can have the id %s: %s", shown(id), flaw)
			continue
		}
		owner, taken := r.owners[id]
		switch {
		case taken && owner.node.text == owner.account && owner.account == d.Name:
			r.problemf(item, "%s is the account's own name, which always counts; leave it out", id)
		case taken && owner.account == d.Name:
			r.problemf(item, "%s stands twice in ids", shown(id))
		case taken:
			r.problemf(item, "%s already names account %s (line %d); the tokens of one would reach the other's data",
				shown(id), owner.account, owner.node.line)
		default:
			r.owners[id] = accountID{d.Name, item}
			d.IDs = append(d.IDs, id)
		}
	}
}

// maxIDBytes bounds an account's id.
const maxIDBytes = 255

// idFlaw says why no decoded segment of a path can be id; "" if one can.
func idFlaw(id string) string {
	switch {
	case id == "" || len(id) > maxIDBytes:
		return "an id has 1 to 255 bytes"
	case strings.Contains(id, "/"):
		return "it has a slash"
	}
	return flawOf([]byte(id))
}

func (r *reader) readTokens(n *yamlNode, d *accountDraft) {
	for p := range r.named(n, "a token", validName, nameRule) {
		r.tokens[d.Name+"/"+p.key.text] = p.key
		token := r.token(p, d.Name)
		d.Tokens = append(d.Tokens, token)
		if token.Legacy() || token.Inactive {
			continue
		}
		d.active++
		if d.active == d.ActiveLimit()+1 {
			r.problemf(p.key, "account %s has more than %d active scoped tokens; make some inactive, or raise max_active_tokens",
				d.Name, d.ActiveLimit())
		}
	}
}
