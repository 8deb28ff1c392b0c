package access

import (
	"context"
	"slices"

	"berth/schema"
)

// Level is how much a request needs, or somebody may.
type Level string

// The levels, lowest first. Public needs nobody, User anybody who is known. Create
// is the right to create resources of a kind.
const (
	Public    Level = "Public"
	AnyUser   Level = "User"
	CanRead   Level = "Read"
	CanExec   Level = "Execute"
	CanEdit   Level = "Write"
	CanCreate Level = "Create"
	IsAdmin   Level = "Admin"
)

// Specific is what somebody may do besides his level: levels do not imply it.
type Specific string

// The specific permissions, in the words of the wire.
const (
	Terminal  Specific = "Terminal"
	Attach    Specific = "Attach"
	Inspect   Specific = "Inspect"
	Logs      Specific = "Logs"
	Processes Specific = "Processes"
)

// Caller is who is asking.
type Caller struct {
	UserID   string
	Username string
	Admin    bool // may do everything; not by a key with scopes
	// Everywhere is what an operator of the bus may do with every resource.
	Everywhere Level
	Actor      schema.Actor // as runs record it: the user, or the key used
	Key        string       // the API key used, if any
	Session    string       // the session used, if any
	Peer       string       // address
	Via        string       // click, api, cli, bus, run
	Run        string       // id of the run that asks, of a script; else empty
	Root       string       // topmost ancestor of that run

	gate   *Gate // knows what he may; nil for core itself
	scopes []Scope
}

// Scoped reports whether he uses a key that may less than he.
func (c Caller) Scoped() bool { return len(c.scopes) > 0 }

// Starter is with whose rights a run is carried out that the caller starts. What
// scripts start is started by core itself: who may edit an action may do all.
func (c Caller) Starter() schema.Starter {
	if c.gate == nil {
		return schema.Starter{Level: string(c.Everywhere)}
	}
	return schema.Starter{User: c.UserID, Key: c.Key}
}

// Rights returns what the caller may do with a resource, by its id.
func (c Caller) Rights(kind, id string) Rights {
	if c.Admin {
		return everything()
	}
	if c.gate == nil {
		return limit([]Scope{{Level: c.Everywhere}}, kind)
	}
	u, err := c.gate.User(c.UserID)
	if err != nil {
		return Rights{}
	}
	r := c.gate.RightsOn(u, kind, id)
	if c.Scoped() {
		r = r.within(limit(c.scopes, kind))
	}
	return r
}

type callerKey struct{}

// WithCaller returns a context that carries who is asking.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns who is asking; ok is false for nobody.
func CallerOf(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// Core is core itself as a caller: it may do everything.
func Core() Caller {
	return Caller{Username: "core", Admin: true, Actor: schema.Actor{Kind: "system", ID: "system", Name: "System"}, Via: "system"}
}

// Permit returns nil when the caller of ctx may do what needs the level on the
// target; Unauthenticated for nobody, Denied otherwise. The target is found by its
// kind and id; for CanCreate its kind is what is to be created.
func Permit(ctx context.Context, needs Level, target schema.Target) error {
	return PermitAlso(ctx, needs, "", target)
}

// PermitAlso is Permit for what also needs a specific permission, unless that is
// empty.
func PermitAlso(ctx context.Context, needs Level, also Specific, target schema.Target) error {
	if needs == Public {
		return nil
	}
	c, ok := CallerOf(ctx)
	if !ok {
		return schema.Errorf(schema.Unauthenticated, "not signed in")
	}
	return c.permit(needs, also, target)
}

func (c Caller) permit(needs Level, also Specific, target schema.Target) error {
	switch {
	case c.Admin || needs == AnyUser || needs == Public:
		return nil
	case needs == CanCreate && c.gate != nil:
		u, err := c.gate.User(c.UserID)
		if err != nil {
			return err
		}
		if c.Scoped() && !limit(c.scopes, target.Kind).Allows(CanEdit, "") {
			return schema.Errorf(schema.Denied, "this API key may not create a %s: its scopes do not allow it", target.Kind)
		}
		return c.gate.mayCreate(u, target.Kind)
	case c.Rights(target.Kind, target.ID).Allows(needs, also):
		return nil
	}
	need := wanted(needs, also)
	switch {
	case needs != IsAdmin && c.Scoped() && !limit(c.scopes, target.Kind).Allows(needs, also):
		return schema.Errorf(schema.Denied, "this API key may not: it needs %s, which its scopes leave out; use another key", need)
	case needs == IsAdmin:
		return schema.Errorf(schema.Denied, "%s may not: this is for administrators", c.Username)
	case target.Name != "" && target.Kind != "system":
		return schema.Errorf(schema.Denied, "%s may not: it needs %s on %s %q, which an administrator can grant", c.Username, need, target.Kind, target.Name)
	}
	return schema.Errorf(schema.Denied, "%s may not: it needs %s", c.Username, need)
}

func wanted(needs Level, also Specific) string {
	if also == "" {
		return string(needs)
	}
	return string(needs) + " and " + string(also)
}

// MayRead reports whether the caller of ctx may read a resource, by its id.
func MayRead(ctx context.Context, kind, id string) bool {
	return Permit(ctx, CanRead, schema.Target{Kind: kind, ID: id}) == nil
}

// MayKnow is MayRead for what core itself does, too, which has no caller.
func MayKnow(ctx context.Context, kind, id string) bool {
	_, ok := CallerOf(ctx)
	return !ok || MayRead(ctx, kind, id)
}

// Readable returns of a list what the caller of ctx may read. The list stays as it
// is.
func Readable[T any](ctx context.Context, list []T, target func(T) schema.Target) []T {
	if c, ok := CallerOf(ctx); ok && c.Admin {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(v T) bool { return Permit(ctx, CanRead, target(v)) != nil })
}
