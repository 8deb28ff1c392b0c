package core

import (
	"cmp"
	"context"
	"slices"

	"berth/bus"
	"berth/core/api"
	"berth/core/store"
	"berth/schema"
)

// storedAccount is a login at a provider that was made by hand.
type storedAccount struct {
	Domain   string `json:"domain"`
	Username string `json:"username"`
	HTTP     bool   `json:"http,omitempty"`
	Token    string `json:"token"` // sealed
}

// accounts are the logins at git hosts and image registries: those of the
// configuration file and those made by hand, which are stored with sealed tokens.
// Of two for the same username the one made by hand counts.
type accounts struct{ c *core }

func (c *core) openAccounts(ctx context.Context) error {
	var err error
	c.accounts, err = store.Open[storedAccount](ctx, c.conn, bus.BucketAccounts, store.Options{Log: c.cfg.Log})
	return err
}

// logins are all of a sort with their tokens, those made by hand first.
func (c *core) logins(sort api.AccountSort) []Account {
	var out []Account
	for _, d := range c.accounts.List(string(sort) + "/") {
		token, err := c.sealer.Unseal(d.Value.Token)
		if err != nil {
			c.cfg.Log.Error("open the token of an account", "domain", d.Value.Domain, "username", d.Value.Username, "err", err)
			continue
		}
		out = append(out, Account{Provider: d.Value.Domain, Username: d.Value.Username, Token: string(token), HTTP: d.Value.HTTP})
	}
	if sort == api.GitAccounts {
		return append(out, c.cfg.Accounts.Git...)
	}
	return append(out, c.cfg.Accounts.Registry...)
}

// Declared lists the accounts of the configuration file, without tokens.
func (a accounts) Declared(sort api.AccountSort) []api.Account {
	list := a.c.cfg.Accounts.Git
	if sort == api.RegistryAccounts {
		list = a.c.cfg.Accounts.Registry
	}
	out := make([]api.Account, len(list))
	for i, x := range list {
		out[i] = api.Account{Domain: x.Provider, Username: x.Username, HTTP: x.HTTP}
	}
	return out
}

// List returns the accounts made by hand by domain and username, without tokens.
func (a accounts) List(sort api.AccountSort) []api.Account {
	docs := a.c.accounts.List(string(sort) + "/")
	out := make([]api.Account, len(docs))
	for i, d := range docs {
		out[i] = accountOf(sort, d)
	}
	slices.SortFunc(out, func(x, y api.Account) int {
		return cmp.Or(cmp.Compare(x.Domain, y.Domain), cmp.Compare(x.Username, y.Username), cmp.Compare(x.ID, y.ID))
	})
	return out
}

func accountOf(sort api.AccountSort, d store.Doc[storedAccount]) api.Account {
	return api.Account{
		ID: d.Key[len(sort)+1:], Domain: d.Value.Domain, Username: d.Value.Username, HTTP: d.Value.HTTP, HasToken: d.Value.Token != "",
	}
}

// Save creates an account, or replaces the one that has the id. Without a token
// the stored one stays.
func (a accounts) Save(ctx context.Context, sort api.AccountSort, in api.Account, token *string) (api.Account, error) {
	for _, other := range a.List(sort) {
		if other.ID != in.ID && other.Domain == in.Domain && other.Username == in.Username {
			return api.Account{}, schema.Errorf(schema.Conflict, "there is an account of %s at %s already: change that one", in.Username, in.Domain)
		}
	}
	v := storedAccount{Domain: in.Domain, Username: in.Username, HTTP: in.HTTP}
	if in.ID == "" {
		in.ID = schema.NewID()
	} else if had, err := a.c.accounts.Get(string(sort) + "/" + in.ID); err == nil {
		v.Token = had.Value.Token
	}
	if token != nil || v.Token == "" {
		text := ""
		if token != nil {
			text = *token
		}
		sealed, err := a.c.sealer.Seal([]byte(text))
		if err != nil {
			return api.Account{}, schema.Wrap(schema.Internal, err, "seal the token")
		}
		v.Token = sealed
	}
	d, err := a.c.accounts.Put(ctx, string(sort)+"/"+in.ID, v)
	if err != nil {
		return api.Account{}, schema.Wrap(schema.CodeOf(err), err, "save the account of %s at %s", in.Username, in.Domain)
	}
	return accountOf(sort, d), nil
}

// Remove deletes an account made by hand.
func (a accounts) Remove(ctx context.Context, sort api.AccountSort, id string) error {
	return a.c.accounts.Delete(ctx, string(sort)+"/"+id, 0)
}
