package access

import (
	"context"

	"berth/schema"
)

// Level is how much a request needs, or somebody may.
type Level string

// The levels, lowest first. Public needs nobody, User anybody who is known.
const (
	Public  Level = "Public"
	AnyUser Level = "User"
	CanRead Level = "Read"
	CanExec Level = "Execute"
	CanEdit Level = "Write"
	IsAdmin Level = "Admin"
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
	Admin    bool
	// Everywhere is what he may do with every resource, whatever is granted on it.
	Everywhere Level
	Actor      schema.Actor // as runs record it: the user, or the key used
	Key        string       // the API key used, if any
	Session    string       // the session used, if any
	Peer       string       // address
	Via        string       // click, api, cli, bus, run
	Run        string       // id of the run that asks, of a script; else empty
	Root       string       // topmost ancestor of that run
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

// Permit returns nil when the caller of ctx may do what needs the level on the
// target; Unauthenticated for nobody, Denied otherwise. Administrators may do
// everything; other users come with a later version.
func Permit(ctx context.Context, needs Level, target schema.Target) error {
	if needs == Public {
		return nil
	}
	c, ok := CallerOf(ctx)
	switch {
	case !ok:
		return schema.Errorf(schema.Unauthenticated, "not signed in")
	case c.Admin || needs == AnyUser || c.Everywhere.covers(needs):
		return nil
	case target.Name != "":
		return schema.Errorf(schema.Denied, "%s may not: it needs %s on %s %q", c.Username, needs, target.Kind, target.Name)
	}
	return schema.Errorf(schema.Denied, "%s may not: it needs %s", c.Username, needs)
}
