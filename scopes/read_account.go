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
	stated *yamlNode   // the first of its own keys; nil for none
	active []*yamlNode // the keys of the scoped tokens in state active
}

// readAccounts reads the accounts of all files, each once: of a large file not all
// nodes are there at the same time.
func (r *reader) readAccounts() {
	r.owners = make(map[string]accountID)
	r.digests = make(map[Digest]tokenPlace)
	r.tokens = make(map[string]*yamlNode)
	var drafts []*accountDraft
	known := make(map[string]*accountDraft)
	for _, n := range r.accounts {
		for p := range r.named(n, "an account", validName, nameRule) {
			draft := known[p.key.text]
			if draft == nil {
				draft = &accountDraft{Account: Account{Name: p.key.text}}
				known[p.key.text], drafts = draft, append(drafts, draft)
				r.file.setOwner('c', draft.Name, r.ownerOf(p.key))
				r.claimName(p.key)
			}
			r.readAccount(p, draft)
		}
	}
	for _, draft := range drafts {
		if limit := draft.ActiveLimit(); len(draft.active) > limit {
			r.problemf(draft.active[limit], "account %s has more than %d active scoped tokens; make some inactive, or raise max_active_tokens",
				draft.Name, limit)
		}
		r.file.Accounts = append(r.file.Accounts, draft.Account)
	}
}

// claimName makes a name an account's, also where an id above has taken it.
func (r *reader) claimName(key *yamlNode) {
	if before, taken := r.owners[key.text]; taken {
		r.namesOther(before.node, accountID{key.text, key})
	}
	r.owners[key.text] = accountID{key.text, key}
}

// namesOther tells that an id is the name or an id of another account.
func (r *reader) namesOther(id *yamlNode, owner accountID) {
	r.problemf(id, "%s already names account %s (%s); the tokens of one would reach the other's data",
		shown(id.text), owner.account, r.place(owner.node, id))
}

// readAccount reads what one file has of an account.
func (r *reader) readAccount(p yamlPair, d *accountDraft) {
	for _, own := range p.value.pairs {
		switch {
		case p.value.kind != mapping || own.key.text == "tokens":
			continue
		case d.stated == nil:
			d.stated = own.key
			r.file.setOwner('c', d.Name, r.ownerOf(own.key))
		case d.stated.file != own.key.file:
			r.problemf(own.key, "account %s has keys of its own in %s already; they stand in one file, its tokens in any",
				d.Name, r.place(d.stated, own.key))
			return
		}
	}
	readFields(r, &accountTable, p.key, p.value, d)
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
			r.namesOther(item, owner)
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

// readTokens reads the tokens that one file has of an account.
func (r *reader) readTokens(n *yamlNode, d *accountDraft) {
	for p := range r.named(n, "a token", validName, nameRule) {
		ref := d.Name + "/" + p.key.text
		if before := r.tokens[ref]; before != nil {
			r.problemf(p.key, "token %s is declared in %s already", ref, r.place(before, p.key))
			continue
		}
		r.tokens[ref] = p.key
		r.file.setOwner('t', ref, r.ownerOf(p.key))
		token := r.token(p, d.Name)
		d.Tokens = append(d.Tokens, token)
		if !token.Legacy() && !token.Inactive {
			d.active = append(d.active, p.key)
		}
	}
}
