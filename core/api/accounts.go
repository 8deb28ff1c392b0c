package api

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"berth/core/access"
	"berth/core/resource"
	"berth/schema"
)

// AccountSort is what accounts are for.
type AccountSort string

// The sorts of accounts.
const (
	GitAccounts      AccountSort = "git"
	RegistryAccounts AccountSort = "registry"
)

// Account is a login at a git host or an image registry, without its token.
type Account struct {
	ID       string // none in the configuration file
	Domain   string
	Username string
	HTTP     bool // the host is spoken to without TLS
	HasToken bool
}

// Accounts are the logins at git hosts and image registries.
type Accounts interface {
	// Declared are those of the configuration file.
	Declared(sort AccountSort) []Account
	// List returns those made by hand.
	List(sort AccountSort) []Account
	// Save creates one, or replaces the one with the id; nil leaves the token.
	Save(ctx context.Context, sort AccountSort, a Account, token *string) (Account, error)
	Remove(ctx context.Context, sort AccountSort, id string) error
}

// gitAccount and registryAccount are accounts as clients read them. The token is
// masked once it is set.
type gitAccount struct {
	ID       oid    `json:"_id"`
	Domain   string `json:"domain"`
	HTTPS    bool   `json:"https"`
	Username string `json:"username"`
	Token    string `json:"token"`
}

type registryAccount struct {
	ID       oid    `json:"_id"`
	Domain   string `json:"domain"`
	Username string `json:"username"`
	Token    string `json:"token"`
}

func tokenMask(a Account) string {
	if a.HasToken {
		return resource.Mask
	}
	return ""
}

func gitAccountOf(a Account) gitAccount {
	return gitAccount{ID: oid{a.ID}, Domain: a.Domain, HTTPS: !a.HTTP, Username: a.Username, Token: tokenMask(a)}
}

func registryAccountOf(a Account) registryAccount {
	return registryAccount{ID: oid{a.ID}, Domain: a.Domain, Username: a.Username, Token: tokenMask(a)}
}

// accountPatch is an account of which some members may be absent.
type accountPatch struct {
	Domain   *string `json:"domain,omitempty"`
	HTTPS    *bool   `json:"https,omitempty"`
	Username *string `json:"username,omitempty"`
	Token    *string `json:"token,omitempty"`
}

type (
	accountID struct {
		ID string `json:"id" doc:"Id of the account."`
	}
	accountNew struct {
		Account accountPatch `json:"account" doc:"The account: domain, https, username, token."`
	}
	accountEdit struct {
		ID      string       `json:"id" doc:"Id of the account."`
		Account accountPatch `json:"account" doc:"What is to change; the token stays when absent."`
	}
	accountQuery struct {
		Domain   string `json:"domain,omitempty" doc:"Only of this host."`
		Username string `json:"username,omitempty" doc:"Only of this username."`
	}
)

// accountRows are the requests about accounts and providers.
func (a *API) accountsRows() []Row {
	if a.deps.Accounts == nil {
		return nil
	}
	git := accountKind[gitAccount]{a: a, sort: GitAccounts, name: "GitProviderAccount", what: "git host", show: gitAccountOf, domain: "git.example.com"}
	registry := accountKind[registryAccount]{
		a: a, sort: RegistryAccounts, name: "ImageRegistryAccount", old: "DockerRegistryAccount", what: "image registry", show: registryAccountOf, domain: "ghcr.io",
	}
	return append(append(git.rows(), registry.rows()...), a.providerRows()...)
}

// accountKind makes the rows of one sort of accounts, shown as T.
type accountKind[T any] struct {
	a      *API
	sort   AccountSort
	name   string // GitProviderAccount
	old    string // what it was called before; may be empty
	what   string
	domain string // in examples
	show   func(Account) T
}

func (k accountKind[T]) spec(verb, doc, tail string, example map[string]any) spec {
	s := spec{name: verb + k.name + tail, doc: doc, needs: access.IsAdmin, example: example}
	if k.old != "" {
		s.aliases = []string{verb + k.old + tail}
	}
	return s
}

func (k accountKind[T]) rows() []Row {
	id := "67f0c0ffee0123456789abcd"
	account := map[string]any{"domain": k.domain, "username": "ada", "token": "…"}
	return []Row{
		Read(k.spec("Get", "Show an account at "+named(k.what)+"; its token is masked.", "", map[string]any{"id": id}), k.get),
		Read(k.spec("List", "List the accounts at "+strings.Replace(k.what+"s", "ys", "ies", 1)+" that were made by hand; tokens are masked.", "s", map[string]any{}), func(_ context.Context, p accountQuery) ([]T, error) {
			return k.list(p), nil
		}),
		Write(k.spec("Create", "Make an account at "+named(k.what)+"; its token is sealed and never shown again.", "", map[string]any{"account": account}), k.create),
		Write(k.spec("Update", "Change an account at "+named(k.what)+".", "", map[string]any{"id": id, "account": map[string]any{"token": "…"}}), k.update),
		Write(k.spec("Delete", "Delete an account at "+named(k.what)+".", "", map[string]any{"id": id}), k.remove),
	}
}

func (k accountKind[T]) find(id string) (Account, error) {
	list := k.a.deps.Accounts.List(k.sort)
	i := slices.IndexFunc(list, func(x Account) bool { return x.ID == id })
	if i < 0 {
		return Account{}, schema.Errorf(schema.NotFound, "there is no account %q at a %s: List%ss says which there are", cut(id, 40), k.what, k.name)
	}
	return list[i], nil
}

func (k accountKind[T]) get(_ context.Context, p accountID) (T, error) {
	x, err := k.find(p.ID)
	return k.show(x), err
}

func (k accountKind[T]) list(p accountQuery) []T {
	out := []T{}
	for _, x := range k.a.deps.Accounts.List(k.sort) {
		if (p.Domain == "" || p.Domain == x.Domain) && (p.Username == "" || p.Username == x.Username) {
			out = append(out, k.show(x))
		}
	}
	return out
}

func (k accountKind[T]) create(ctx context.Context, p accountNew) (T, error) {
	return k.save(ctx, Account{}, p.Account, "Create")
}

func (k accountKind[T]) update(ctx context.Context, p accountEdit) (T, error) {
	x, err := k.find(p.ID)
	if err != nil {
		return k.show(x), err
	}
	return k.save(ctx, x, p.Account, "Update")
}

func (k accountKind[T]) save(ctx context.Context, x Account, p accountPatch, verb string) (T, error) {
	if p.Domain != nil {
		x.Domain = *p.Domain
	}
	if p.Username != nil {
		x.Username = *p.Username
	}
	if p.HTTPS != nil {
		x.HTTP = !*p.HTTPS
	}
	if p.Token != nil && *p.Token == resource.Mask {
		p.Token = nil
	}
	var none T
	switch {
	case x.Domain == "":
		return none, schema.Errorf(schema.Invalid, "account: domain is empty: give the host, such as %s", k.domain)
	case x.Username == "":
		return none, schema.Errorf(schema.Invalid, "account: username is empty")
	}
	began := k.a.deps.Now()
	saved, err := k.a.deps.Accounts.Save(ctx, k.sort, x, p.Token)
	if err == nil {
		k.note(ctx, verb, saved, began)
	}
	return k.show(saved), err
}

func (k accountKind[T]) remove(ctx context.Context, p accountID) (T, error) {
	x, err := k.find(p.ID)
	if err != nil {
		return k.show(x), err
	}
	began := k.a.deps.Now()
	if err = k.a.deps.Accounts.Remove(ctx, k.sort, p.ID); err == nil {
		k.note(ctx, "Delete", x, began)
	}
	return k.show(x), err
}

// note records a change under Komodo's name, which is the old one.
func (k accountKind[T]) note(ctx context.Context, verb string, x Account, began time.Time) {
	k.a.done(ctx, verb+cmp.Or(k.old, k.name), schema.Target{}, began, x.Username+" at "+x.Domain)
}

// providerUser is an account of a provider, without its token.
type providerUser struct {
	Username string `json:"username"`
}

type gitProvider struct {
	Domain   string         `json:"domain"`
	HTTPS    bool           `json:"https"`
	Accounts []providerUser `json:"accounts"`
}

type imageRegistry struct {
	Domain        string         `json:"domain"`
	Accounts      []providerUser `json:"accounts"`
	Organizations []string       `json:"organizations"`
}

type ofTarget struct {
	Target *target `json:"target,omitempty" doc:"A server or a builder: with what it has besides."`
}

func (a *API) providerRows() []Row {
	return []Row{
		Read(spec{
			name: "ListGitProvidersFromConfig", doc: "List the git hosts that the configuration file and resources name.", needs: access.AnyUser, example: map[string]any{},
		}, a.gitProviders),
		Read(spec{
			name: "ListImageRegistriesFromConfig", aliases: []string{"ListDockerRegistriesFromConfig"},
			doc: "List the image registries that the configuration file names.", needs: access.AnyUser, example: map[string]any{},
		}, a.imageRegistries),
		Read(spec{
			name: "ListSecrets", doc: "List the names of secrets that are not variables: those of a builder's machine image.", needs: access.AnyUser, example: map[string]any{},
		}, func(ctx context.Context, p ofTarget) ([]string, error) {
			b, err := a.builderOf(ctx, p.Target)
			if err != nil || b == nil || b.AWS == nil {
				return []string{}, err
			}
			return append([]string{}, b.AWS.Secrets...), nil
		}),
	}
}

// builderOf is the builder that a target names, or nil; what it names must exist.
func (a *API) builderOf(ctx context.Context, t *target) (*schema.BuilderConfig, error) {
	if t == nil || t.Type == "System" {
		return nil, nil //nolint:nilnil // no builder is named
	}
	k, err := a.kindOf(t.Type)
	if err != nil {
		return nil, err
	}
	if k.Name() != "server" && k.Name() != "builder" {
		return nil, schema.Errorf(schema.Invalid, "target: want a Server or a Builder, have a %s", typeName(k.Name()))
	}
	found, err := k.Find(t.ID)
	if err != nil || k.Name() == "server" {
		return nil, err
	}
	raw, err := k.Show(ctx, found.ID)
	if err != nil {
		return nil, err
	}
	var r schema.Resource[schema.BuilderConfig]
	err = json.Unmarshal(raw, &r)
	return &r.Config, err
}

// gitProviders are those of the file, and without accounts the hosts of resources.
func (a *API) gitProviders(ctx context.Context, p ofTarget) ([]gitProvider, error) {
	builder, err := a.builderOf(ctx, p.Target)
	if err != nil {
		return nil, err
	}
	out := []gitProvider{}
	add := func(domain string, https bool, users ...string) {
		i := slices.IndexFunc(out, func(g gitProvider) bool { return g.Domain == domain })
		if i < 0 {
			i, out = len(out), append(out, gitProvider{Domain: domain, HTTPS: https, Accounts: []providerUser{}})
		}
		for _, u := range users {
			if !slices.Contains(out[i].Accounts, providerUser{u}) {
				out[i].Accounts = append(out[i].Accounts, providerUser{u})
			}
		}
	}
	for _, x := range a.deps.Accounts.Declared(GitAccounts) {
		add(x.Domain, !x.HTTP, x.Username)
	}
	if builder != nil && builder.AWS != nil {
		for _, g := range builder.AWS.GitProviders {
			for _, u := range g.Accounts {
				add(g.Domain, g.HTTPS, u.Username)
			}
		}
	}
	for _, kind := range []string{"build", "repo", "resource_sync"} {
		if err := a.hosts(ctx, kind, add); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(x, y gitProvider) int { return cmp.Compare(x.Domain, y.Domain) })
	return out, nil
}

// hosts calls add with the git hosts that resources of a kind name.
func (a *API) hosts(ctx context.Context, kind string, add func(domain string, https bool, users ...string)) error {
	k, err := a.deps.Kinds.Kind(kind)
	if err != nil {
		return nil //nolint:nilerr // an installation without the kind has none
	}
	list, err := k.List(ctx)
	if err != nil {
		return err
	}
	for _, raw := range list {
		var r struct {
			Config struct {
				Provider string `json:"git_provider"`
				HTTPS    bool   `json:"git_https"`
			} `json:"config"`
		}
		if err := json.Unmarshal(raw, &r); err != nil {
			return err
		}
		if r.Config.Provider != "" {
			add(r.Config.Provider, r.Config.HTTPS)
		}
	}
	return nil
}

func (a *API) imageRegistries(ctx context.Context, p ofTarget) ([]imageRegistry, error) {
	builder, err := a.builderOf(ctx, p.Target)
	if err != nil {
		return nil, err
	}
	out := []imageRegistry{}
	add := func(domain, user string) int {
		i := slices.IndexFunc(out, func(r imageRegistry) bool { return r.Domain == domain })
		if i < 0 {
			i, out = len(out), append(out, imageRegistry{Domain: domain, Accounts: []providerUser{}, Organizations: []string{}})
		}
		if user != "" && !slices.Contains(out[i].Accounts, providerUser{user}) {
			out[i].Accounts = append(out[i].Accounts, providerUser{user})
		}
		return i
	}
	for _, x := range a.deps.Accounts.Declared(RegistryAccounts) {
		add(x.Domain, x.Username)
	}
	if builder != nil && builder.AWS != nil {
		for _, r := range builder.AWS.ImageRegistries {
			i := add(r.Domain, "")
			for _, u := range r.Accounts {
				add(r.Domain, u.Username)
			}
			out[i].Organizations = append(out[i].Organizations, r.Organizations...)
		}
	}
	slices.SortFunc(out, func(x, y imageRegistry) int { return cmp.Compare(x.Domain, y.Domain) })
	return out, nil
}
