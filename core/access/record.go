package access

import (
	"context"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"berth/schema"
)

// Record is what a request changed of a user or of what he may do: filled in by the
// gate where it stores the change, so that it is of the same moment.
type Record struct {
	Target        schema.Target // the user
	Before, After string        // as TOML; empty when there was, or is, nothing
}

type recordKey struct{}

// WithRecord returns a context in which the gate says what it changes.
func WithRecord(ctx context.Context) (context.Context, *Record) {
	r := &Record{}
	return context.WithValue(ctx, recordKey{}, r), r
}

// RecordOf returns what the gate says in the context; nil when it says nothing there.
func RecordOf(ctx context.Context) *Record {
	r, _ := ctx.Value(recordKey{}).(*Record)
	return r
}

// add notes a change. Of more changes of one user in a request, as when he comes from a
// provider for the first time, it keeps the whole way; of those of others nothing.
func (r *Record) add(t schema.Target, before, after string) {
	switch {
	case r.Target.ID == "":
		*r = Record{t, before, after}
	case r.Target == t:
		r.After = after
	}
}

// userRecord is what is recorded of a user: what he may and who he is. Passwords, second
// factors and who he is elsewhere are not in it, in no form.
type userRecord struct {
	Username      string         `toml:"username"`
	Kind          UserKind       `toml:"kind,omitempty"`
	Description   string         `toml:"description,omitempty"`
	Enabled       bool           `toml:"enabled"`
	Admin         bool           `toml:"admin"`
	Super         bool           `toml:"super"`
	CreateServers bool           `toml:"create_servers"`
	CreateBuilds  bool           `toml:"create_builds"`
	Logins        []string       `toml:"logins,omitempty"` // kinds only
	All           map[string]any `toml:"all,omitempty"`
}

func userText(u User) string {
	if u.ID == "" {
		return ""
	}
	r := userRecord{
		Username: u.Username, Kind: u.Kind, Description: u.Description, Enabled: u.Enabled, Admin: u.Admin, Super: u.IsSuper(),
		CreateServers: u.CreateServers, CreateBuilds: u.CreateBuilds, All: map[string]any{},
	}
	for kind := range u.Logins {
		r.Logins = append(r.Logins, string(kind))
	}
	slices.Sort(r.Logins)
	for t, l := range u.All {
		l = RightsOf(l).Level()
		if r.All[t] = l.Level; len(l.Specific) > 0 {
			r.All[t] = levelRecord{l.Level, l.Specific}
		}
	}
	return textOf(r)
}

type levelRecord struct {
	Level    string   `toml:"level"`
	Specific []string `toml:"specific"`
}

func textOf(v any) string {
	b, err := toml.Marshal(v)
	if err != nil {
		return "# cannot be shown: " + err.Error() + "\n"
	}
	return string(b)
}

// recordUser notes that a user was changed; made when there was none before, and
// deleted when there is none after.
func recordUser(ctx context.Context, was, is User) {
	r := RecordOf(ctx)
	if r == nil {
		return
	}
	u := is
	if u.ID == "" {
		u = was
	}
	r.add(userTarget(u), userText(was), userText(is))
}

func userTarget(u User) schema.Target {
	return schema.Target{Kind: "user", ID: u.ID, Name: u.Username}
}

// recordGrant notes that a user was given another permission on a resource; was has no
// user when he had none.
func (g *Gate) recordGrant(ctx context.Context, was, is Grant) {
	r := RecordOf(ctx)
	if r == nil {
		return
	}
	u, err := g.User(is.User)
	if err != nil {
		u = User{ID: is.User}
	}
	r.add(userTarget(u), g.grantText(was), g.grantText(is))
}

// grantText is a permission as a file would have it.
func (g *Gate) grantText(x Grant) string {
	if x.User == "" {
		return ""
	}
	name := x.Resource
	if g.cfg.Things != nil {
		if t, ok := g.cfg.Things.Thing(x.Kind, x.Resource); ok {
			name = t.Name
		}
	}
	l := RightsOf(x.Level).Level()
	return textOf(struct {
		Target   map[string]string `toml:"target,inline"`
		Level    string            `toml:"level"`
		Specific []string          `toml:"specific"`
	}{map[string]string{"type": schema.TypeOf(x.Kind), "id": name}, l.Level, l.Specific})
}
