package scopes

// GrantOf makes the grant of a declared token, compiled against c. It has no id:
// ids are the store's. Scopes for APIs that c does not have grant nothing.
func GrantOf(account *Account, t *Token, c *Catalog) Grant {
	g := Grant{
		State:      Active,
		Access:     t.Access,
		Account:    account.Name,
		Name:       t.Name,
		Version:    t.Version,
		AccountIDs: account.IDs,
		Sources:    t.Sources,
	}
	if t.Inactive {
		g.State = Deactivated
	}
	if !t.Expires.IsZero() {
		g.Expires = t.Expires.Unix()
	}
	rules, _ := c.Rules(nil, t)
	g.Rules = RulesOf(rules)
	shadow, _ := c.Rules(nil, &Token{Scopes: t.Shadow})
	g.Shadow, g.HasShadow = RulesOf(shadow), len(t.Shadow) > 0
	g.Limits = t.Limits
	return g
}
