package access

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"berth/schema"
)

// What administrators do with users. Only super administrators change or delete
// administrators; nobody deletes a super administrator, or himself.

// IsSuper reports whether the user may also change administrators. Older documents
// do not say it of the first one.
func (u User) IsSuper() bool { return u.Admin && (u.Super || u.ID == adminID) }

// Users lists all users by name.
func (g *Gate) Users() []User {
	docs := g.cfg.Users.List("")
	out := make([]User, len(docs))
	for i, d := range docs {
		out[i] = d.Value
	}
	slices.SortFunc(out, func(a, b User) int { return strings.Compare(a.Username, b.Username) })
	return out
}

// mayChange says whether the caller of ctx may change what a user may; nil when so.
func (g *Gate) mayChange(ctx context.Context, u User) error {
	c, ok := CallerOf(ctx)
	if !ok {
		return schema.Errorf(schema.Unauthenticated, "not signed in")
	}
	if !u.Admin || c.gate == nil && c.Admin { // core itself may
		return nil
	}
	by, err := g.User(c.UserID)
	switch {
	case err != nil:
		return err
	case !by.IsSuper():
		return schema.Errorf(schema.Denied, "%s is an administrator: only super administrators change administrators", u.Username)
	case u.IsSuper():
		return schema.Errorf(schema.Denied, "%s is a super administrator: nobody can change or delete him here", u.Username)
	}
	return nil
}

// CreateUser makes a user with a password, enabled at once.
func (g *Gate) CreateUser(ctx context.Context, username, password string) (User, error) {
	if err := g.checkCredentials(username, password); err != nil {
		return User{}, err
	}
	hash, err := g.passwords.hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	return g.add(ctx, User{Username: username, Kind: LocalUser, Hash: hash, Enabled: true})
}

// CreateServiceUser makes a user who has API keys and never signs in.
func (g *Gate) CreateServiceUser(ctx context.Context, username, description string) (User, error) {
	if err := checkUsername(username); err != nil {
		return User{}, err
	}
	if utf8.RuneCountInString(description) > 1000 {
		return User{}, schema.Errorf(schema.Invalid, "description: must have at most 1000 characters")
	}
	return g.add(ctx, User{Username: username, Kind: ServiceUser, Description: description, Enabled: true})
}

// ServiceUser returns a service user by name or id; Invalid for another.
func (g *Gate) ServiceUser(key string) (User, error) {
	u, err := g.FindUser(key)
	if err == nil && u.Kind != ServiceUser {
		err = schema.Errorf(schema.Invalid, "%s is no service user: he makes his API keys himself", u.Username)
	}
	return u, err
}

// DescribeServiceUser says what a service user is for.
func (g *Gate) DescribeServiceUser(ctx context.Context, key, description string) (User, error) {
	u, err := g.ServiceUser(key)
	if err != nil {
		return u, err
	}
	if err := g.change(ctx, u.ID, func(u *User) error { u.Description = description; return nil }); err != nil {
		return u, err
	}
	return g.User(u.ID)
}

// DeleteUser removes a user with his keys, sessions and permissions, and from the
// groups that name him.
func (g *Gate) DeleteUser(ctx context.Context, key string) (User, error) {
	u, err := g.FindUser(key)
	if err != nil {
		return u, err
	}
	if c, ok := CallerOf(ctx); ok && c.UserID == u.ID {
		return u, schema.Errorf(schema.Denied, "nobody deletes himself: another administrator can")
	}
	if err := g.mayChange(ctx, u); err != nil {
		return u, err
	}
	if g.cfg.Groups != nil { // first: whoever gets the name next must not get his rights
		if err := g.cfg.Groups.Leave(ctx, u.Username); err != nil {
			return u, err
		}
	}
	if err := g.cfg.Users.Delete(ctx, u.ID, 0); err != nil {
		return u, err
	}
	recordUser(ctx, u, User{})
	for _, k := range g.Keys(u.ID) {
		if err := g.cfg.Keys.Delete(ctx, keyDoc(k.Key), 0); err != nil {
			return u, err
		}
	}
	if err := g.endSessions(ctx, u.ID, ""); err != nil {
		return u, err
	}
	return u, g.forgetGrants(ctx, func(x Grant) bool { return x.User != u.ID })
}

// SetAdmin makes a user an administrator, or not; for super administrators.
func (g *Gate) SetAdmin(ctx context.Context, key string, admin bool) error {
	u, err := g.FindUser(key)
	if err != nil {
		return err
	}
	c, _ := CallerOf(ctx)
	if by, err := g.User(c.UserID); err != nil || !by.IsSuper() || c.Scoped() {
		return schema.Errorf(schema.Denied, "only super administrators make administrators")
	}
	if err := g.mayChange(ctx, u); err != nil {
		return err
	}
	return g.change(ctx, u.ID, func(u *User) error { u.Admin = admin; return nil })
}

// BaseRights are what a user may apart from resources; nil leaves it.
type BaseRights struct{ Enabled, CreateServers, CreateBuilds *bool }

// SetBase changes what a user may apart from resources. Who is disabled is out at
// once.
func (g *Gate) SetBase(ctx context.Context, key string, b BaseRights) error {
	u, err := g.FindUser(key)
	if err != nil {
		return err
	}
	if err := g.mayChange(ctx, u); err != nil {
		return err
	}
	err = g.change(ctx, u.ID, func(u *User) error {
		for to, from := range map[*bool]*bool{&u.Enabled: b.Enabled, &u.CreateServers: b.CreateServers, &u.CreateBuilds: b.CreateBuilds} {
			if from != nil {
				*to = *from
			}
		}
		return nil
	})
	if err == nil && b.Enabled != nil && !*b.Enabled {
		err = g.endSessions(ctx, u.ID, "")
	}
	return err
}

// Grantable returns a user who can be given permissions: enabled, and no
// administrator, who may everything anyway.
func (g *Gate) Grantable(key string) (User, error) {
	u, err := g.FindUser(key)
	switch {
	case err != nil:
	case u.Admin:
		err = schema.Errorf(schema.Invalid, "%s is an administrator and may everything", u.Username)
	case !u.Enabled:
		err = schema.Errorf(schema.Invalid, "%s is disabled: enable him first", u.Username)
	}
	return u, err
}

// SetAll changes what a user may do with every resource of a type.
func (g *Gate) SetAll(ctx context.Context, user, resourceType string, l schema.Level) error {
	return g.change(ctx, user, func(u *User) error {
		all := schema.Levels{}
		maps.Copy(all, u.All)
		all[resourceType] = l
		u.All = all
		return nil
	})
}

// maxRecents is how many resources of a type are remembered.
const maxRecents = 10

// Viewed remembers that the caller looked at a resource.
func (g *Gate) Viewed(ctx context.Context, resourceType, id string) error {
	u, _, err := g.self(ctx)
	if err != nil {
		return err
	}
	return g.change(ctx, u.ID, func(u *User) error {
		recents := map[string][]string{}
		maps.Copy(recents, u.Recents)
		list := append([]string{id}, slices.DeleteFunc(slices.Clone(recents[resourceType]), func(x string) bool { return x == id })...)
		recents[resourceType] = list[:min(len(list), maxRecents)]
		u.Recents = recents
		return nil
	})
}

// SawUpdates remembers that the caller looked at the updates just now.
func (g *Gate) SawUpdates(ctx context.Context) error {
	u, _, err := g.self(ctx)
	if err != nil {
		return err
	}
	return g.change(ctx, u.ID, func(u *User) error { u.LastView = g.cfg.Now().UnixMilli(); return nil })
}

// KeyOf returns an API key, without its secret; NotFound.
func (g *Gate) KeyOf(key string) (Key, error) {
	d, err := g.cfg.Keys.Get(keyDoc(key))
	if err != nil {
		return Key{}, schema.Errorf(schema.NotFound, "no API key %q", key)
	}
	d.Value.Hash = ""
	return d.Value, nil
}

// Self returns the caller's user.
func (g *Gate) Self(ctx context.Context) (User, error) {
	u, _, err := g.self(ctx)
	return u, err
}
