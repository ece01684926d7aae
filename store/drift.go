package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// Drift is where a store is not as a scope file says.
type Drift struct {
	Revision uint64 // of the store that was compared
	// Differences lead from the file to the store: Widens is set where the store
	// grants more than the file says, and details read "file → store".
	Differences []Change
}

// The actions of a difference; Hold is the fourth: a token that is inactive only
// because it was deactivated by hand.
const (
	Missing Action = "missing" // the file has it, the store has not, or has deleted it
	Differs Action = "differs"
	Extra   Action = "extra" // the store has it, the file has not
)

// Drift compares a scope file with the store, two ways: whatever is not as the file
// says is a difference, however it came about. What the file does not have is one
// if its owner declared it, or if it was made by hand; an inactive token, which may
// do nothing, is not.
func (s *Store) Drift(ctx context.Context, f *scopes.File) (*Drift, error) {
	drift := new(Drift)
	defer giveWay(f.CountTokens())()
	err := s.view(func(r reader) error {
		d := &drifter{reader: r, cancelled: ctx.Err, file: f, drift: drift}
		drift.Revision = r.state.revision
		return d.run()
	})
	if err != nil {
		return nil, err
	}
	return drift, nil
}

// drifter compares one file.
type drifter struct {
	reader
	cancelled func() error // the error of the context
	file      *scopes.File
	drift     *Drift
	old       *scopes.Catalog // of the store
	next      *scopes.Catalog // as the file says
}

func (d *drifter) run() error {
	if err := d.apis(); err != nil {
		return err
	}
	for i := range d.file.Accounts {
		if err := d.account(&d.file.Accounts[i]); err != nil {
			return err
		}
	}
	return d.extras()
}

func (d *drifter) add(c Change) { d.drift.Differences = append(d.drift.Differences, c) }

func (d *drifter) apis() error {
	apis, owners, err := d.ownedAPIs()
	if err != nil {
		return err
	}
	if d.old, err = scopes.NewCatalog(apis); err != nil {
		return fmt.Errorf("store: compiling the stored APIs: %w", err)
	}
	declared := dated(d.file.APIs, d.old, time.Time{})
	wanted := slices.Clone(declared)
	for i := range apis {
		if !slices.ContainsFunc(d.file.APIs, func(a scopes.API) bool { return a.Name == apis[i].Name }) {
			wanted = append(wanted, apis[i])
			if slices.Contains(d.file.Owners(), owners[apis[i].Name]) {
				d.add(Change{Kind: "api", Name: apis[i].Name, Action: Extra})
			}
		}
	}
	for i := range declared {
		says := &declared[i]
		live := d.old.API(says.Name)
		switch {
		case live == nil:
			d.add(Change{Kind: "api", Name: says.Name, Action: Missing})
		case !bytes.Equal(encodeAPI(says, ""), encodeAPI(live, "")):
			d.add(Change{Kind: "api", Name: says.Name, Action: Differs, Details: diffAPI(says, live)})
		}
	}
	if d.next, err = scopes.NewCatalog(wanted); err != nil {
		return fmt.Errorf("%w: the APIs of the file do not fit together with those of the store: %w", ErrConflict, err)
	}
	return nil
}

func (d *drifter) account(says *scopes.Account) error {
	live, err := d.reader.account(says.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		d.add(Change{Kind: "account", Name: says.Name, Action: Missing})
	case err != nil:
		return err
	case says.States() || live.stated && slices.Contains(d.file.Owners(), live.owner):
		declared := live.declared()
		if details := diffAccount(says, &declared); len(details) > 0 {
			d.add(Change{
				Kind: "account", Name: says.Name, Action: Differs, Details: details,
				Widens: hasMore(says.IDs, declared.IDs), Narrows: hasMore(declared.IDs, says.IDs),
			})
		}
	}
	for i := range says.Tokens {
		if err := d.token(says.Name, &says.Tokens[i]); err != nil {
			return err
		}
	}
	return nil
}

func (d *drifter) token(account string, says *scopes.Token) error {
	c := Change{Kind: "token", Name: account + "/" + says.Name, Action: Differs}
	live, err := d.named(c.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		c.Action = Missing
		d.add(c)
		return d.cancelled()
	case err != nil:
		return err
	case live.terminal:
		c.Action, c.Details = Missing, []string{"it was deleted"}
		d.add(c)
		return d.cancelled()
	}
	c.Details = diffToken(says, &live.token)
	c.judge(d.next, d.old, says, &live.token)
	if c.Action = Differs; live.held && !says.Inactive {
		c.Held = true
		if len(c.Details) == 1 { // its state
			c.Action, c.Details = Hold, []string{"it was deactivated by hand, and stays inactive until it is activated"}
		}
	}
	if digest := says.Credential; !digest.IsZero() && !slices.Contains(live.digests(), digest) {
		c.Details = append(c.Details, "credential: the file's is not in use")
	}
	if len(c.Details) > 0 {
		d.add(c)
	}
	return d.cancelled()
}

// extras tells what the file does not have.
func (d *drifter) extras() error {
	owners, accounts := d.file.Owners(), make(map[string]bool)
	tokens := make(map[string]bool)
	for i := range d.file.Accounts {
		a := &d.file.Accounts[i]
		accounts[a.Name] = true
		for j := range a.Tokens {
			tokens[a.Name+"/"+a.Tokens[j].Name] = true
		}
	}
	extra := make(map[string]Change)
	err := d.bucket(bucketAccounts).ForEach(func(name, value []byte) error {
		a, err := decodeAccount(name, value)
		if err == nil && a.stated && slices.Contains(owners, a.owner) && !accounts[a.name] {
			extra[a.name] = Change{Kind: "account", Name: a.name, Action: Extra}
		}
		return d.cancelled() // one that is damaged is told elsewhere
	})
	if err != nil {
		return err
	}
	err = d.bucket(bucketTokens).ForEach(func(id, value []byte) error {
		live, err := decodeRecord(id, value)
		if err != nil || live.token.Inactive || tokens[live.ref()] || live.declared != nil && !slices.Contains(owners, live.owner) {
			return d.cancelled() // what is damaged or inactive may do nothing
		}
		c := Change{Kind: "token", Name: live.ref(), Action: Extra, Widens: true, Details: []string{"scopes: " + grantText(&live.token)}}
		if live.declared == nil {
			c.Details = append(c.Details, "it was made by hand")
		}
		extra[live.ref()] = c
		return d.cancelled()
	})
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		d.add(extra[name])
	}
	return err
}
