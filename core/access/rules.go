package access

import (
	"context"
	"slices"
	"strings"

	"berth/schema"
)

// Thing is what permissions look at of a resource.
type Thing struct {
	Kind, ID, Name string
	Tags           []string
	Base           schema.Level // of everybody
	Server, Swarm  string       // ids of where a stack or deployment is
}

// Group is a user group with what it allows.
type Group struct {
	ID, Name string
	schema.UserGroupConfig
}

// Things knows the resources.
type Things interface {
	// Thing returns the resource of an id.
	Thing(kind, id string) (Thing, bool)
	// Groups returns all user groups.
	Groups() []Group
	// Changes returns another number after every change.
	Changes() uint64
}

// Grant is what a user may do with one resource, explicitly. It is stored under
// <user>/<kind>/<id>.
type Grant struct {
	User     string       `json:"user"`
	Kind     string       `json:"kind"`
	Resource string       `json:"resource"` // id
	Level    schema.Level `json:"level"`
}

func (g Grant) key() string { return g.User + "/" + g.Kind + "/" + g.Resource }

// TagPrefix begins the target of a group's permission that is for all resources
// with a tag: "tag:prod".
const TagPrefix = "tag:"

// Matches returns the test whether a group's permission is about a resource, which
// it names by id, name, wildcard or regular expression, or by a tag. One that
// cannot be read is about none.
func Matches(p schema.GroupPermission) func(t Thing) bool {
	kind, id := schema.KindOf(p.Target.Type), p.Target.ID
	if tag, ok := strings.CutPrefix(id, TagPrefix); ok {
		return func(t Thing) bool { return t.Kind == kind && slices.Contains(t.Tags, tag) }
	}
	pattern, err := schema.ParseOnePattern(id)
	if err != nil || id == "" {
		return func(Thing) bool { return false }
	}
	return func(t Thing) bool { return t.Kind == kind && (t.ID == id || pattern.Match(t.Name)) }
}

// rule is one permission of a group, ready to be asked.
type rule struct {
	about  func(t Thing) bool
	rights Rights
}

// ruleset is what applies to one user besides his own document.
type ruleset struct {
	grants, things uint64 // what it was made of
	name           string
	all            map[string]Rights // by kind, from groups
	direct         map[string]Rights // by kind/id, his own grants
	rules          []rule
}

// ruleset returns what applies to a user, made anew when something changed.
func (g *Gate) ruleset(u User) *ruleset {
	var grants, things uint64
	if g.cfg.Grants != nil {
		grants = g.cfg.Grants.Changes()
	}
	if g.cfg.Things != nil {
		things = g.cfg.Things.Changes()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.rules[u.ID]; s != nil && s.grants == grants && s.things == things && s.name == u.Username {
		return s
	}
	s := &ruleset{grants: grants, things: things, name: u.Username, all: map[string]Rights{}, direct: map[string]Rights{}}
	if g.cfg.Grants != nil {
		for _, d := range g.cfg.Grants.List(u.ID + "/") {
			s.direct[d.Value.Kind+"/"+d.Value.Resource] = RightsOf(d.Value.Level)
		}
	}
	for _, group := range g.GroupsOf(u) {
		for kind, level := range group.All {
			kind = schema.KindOf(kind)
			s.all[kind] = s.all[kind].And(RightsOf(level))
		}
		for _, p := range group.Permissions {
			s.rules = append(s.rules, rule{Matches(p), RightsOf(schema.Level{Level: p.Level, Specific: p.Specific})})
		}
	}
	if g.rules == nil || len(g.rules) > maxRulesets {
		g.rules = map[string]*ruleset{}
	}
	g.rules[u.ID] = s
	return s
}

// maxRulesets bounds what is kept.
const maxRulesets = 1000

// GroupsOf returns the groups that a user is in.
func (g *Gate) GroupsOf(u User) []Group {
	if g.cfg.Things == nil {
		return nil
	}
	return slices.DeleteFunc(g.cfg.Things.Groups(), func(x Group) bool { return !x.Has(u) })
}

// Has reports whether the user is in the group: by name, as files have it, or id.
func (x Group) Has(u User) bool {
	return x.Everyone || slices.Contains(x.Users, u.Username) || slices.Contains(x.Users, u.ID)
}

// RightsOn returns what a user may do with a resource, by its id. Of what does not
// exist he may nothing, unless he is an administrator.
func (g *Gate) RightsOn(u User, kind, id string) Rights {
	switch {
	case !u.Enabled:
		return Rights{}
	case u.Admin:
		return everything()
	case kind == "" || kind == "system":
		return g.toAll()
	case kind == "variable" || kind == "user_group" || g.cfg.Things == nil:
		return Rights{}
	}
	t, ok := g.cfg.Things.Thing(kind, id)
	if !ok {
		return Rights{}
	}
	return g.of(u, t)
}

// of is what a user may do with a resource, by itself and by what it is on.
func (g *Gate) of(u User, t Thing) Rights {
	r := g.on(u, t)
	if t.Kind == "stack" || t.Kind == "deployment" { // what one may do on the host, one may do to what is on it
		r.specific |= g.specifics(u, "server", t.Server) | g.specifics(u, "swarm", t.Swarm)
	}
	return r
}

// Gains refuses what would give the caller of ctx more rights on a resource than he
// has: groups have theirs by names and tags, which those change who may edit it.
func Gains(ctx context.Context, was, then Thing) error {
	c, ok := CallerOf(ctx)
	if !ok || c.Admin || c.gate == nil {
		return nil
	}
	u, err := c.gate.User(c.UserID)
	if err != nil {
		return err
	}
	if has := c.gate.of(u, was); has.And(c.gate.of(u, then)) != has {
		return schema.Errorf(schema.Denied, "%s would get more rights on %s %q by this name, or by these tags: an administrator can give them", c.Username, was.Kind, was.Name)
	}
	return nil
}

func (g *Gate) specifics(u User, kind, id string) uint8 {
	if id == "" {
		return 0
	}
	t, ok := g.cfg.Things.Thing(kind, id)
	if !ok {
		return 0
	}
	return g.on(u, t).specific
}

// toAll is what every user may do with everything.
func (g *Gate) toAll() Rights {
	if g.cfg.Transparent {
		return Rights{rank: rankOf(CanRead)}
	}
	return Rights{}
}

// on adds up what a user may do with a resource.
func (g *Gate) on(u User, t Thing) Rights {
	s := g.ruleset(u)
	r := g.toAll().And(RightsOf(t.Base)).And(RightsOf(u.All[schema.TypeOf(t.Kind)])).And(s.all[t.Kind]).And(s.direct[t.Kind+"/"+t.ID])
	for _, x := range s.rules {
		if x.about(t) {
			r = r.And(x.rights)
		}
	}
	return r
}

// mayCreate says whether a user may create resources of a kind; nil when he may.
func (g *Gate) mayCreate(u User, kind string) error {
	switch {
	case u.Enabled && u.Admin:
		return nil
	case !u.Enabled:
		return schema.Errorf(schema.Denied, "%s is disabled", u.Username)
	case g.cfg.NoCreate:
		return schema.Errorf(schema.Denied, "only administrators create resources here: disable_non_admin_create is set")
	}
	may := false
	switch kind {
	case "server":
		may = u.CreateServers
	case "build":
		may = u.CreateBuilds
	case "stack", "deployment", "repo", "procedure", "swarm", "tag":
		may = true
	}
	if !may {
		return schema.Errorf(schema.Denied, "%s may not create a %s: an administrator can, or can allow it", u.Username, kind)
	}
	return nil
}

// created are the specific permissions that the creator of a resource gets beside
// Write.
func created(kind string) []string {
	switch kind {
	case "server":
		return []string{string(Terminal), string(Attach), string(Inspect), string(Logs), string(Processes)}
	case "stack", "deployment":
		return []string{string(Terminal), string(Inspect), string(Logs)}
	case "builder":
		return []string{string(Attach)}
	}
	return []string{}
}

// Created gives the caller of ctx, who is about to create a resource, what its
// creator may do with it. Administrators need no grant, core itself neither.
func (g *Gate) Created(ctx context.Context, t schema.Target) error {
	c, ok := CallerOf(ctx)
	if !ok || c.gate == nil || g.cfg.Grants == nil {
		return nil
	}
	if u, err := g.User(c.UserID); err != nil || u.Admin {
		return nil //nolint:nilerr // an administrator, or nobody of ours: needs no grant
	}
	return g.SetGrant(ctx, Grant{User: c.UserID, Kind: t.Kind, Resource: t.ID, Level: schema.Level{Level: string(CanEdit), Specific: created(t.Kind)}})
}

// SetGrant stores what a user may do with one resource, in place of what was.
func (g *Gate) SetGrant(ctx context.Context, x Grant) error {
	was, _ := g.cfg.Grants.Get(x.key()) // none yet is no grant
	if _, err := g.cfg.Grants.Put(ctx, x.key(), x); err != nil {
		return schema.Wrap(schema.CodeOf(err), err, "store the permission")
	}
	g.recordGrant(ctx, was.Value, x)
	return nil
}

// Grants lists the explicit permissions of a user on resources that there are.
func (g *Gate) Grants(user string) []Grant {
	if g.cfg.Grants == nil {
		return nil
	}
	var out []Grant
	for _, d := range g.cfg.Grants.List(user + "/") {
		if g.cfg.Things == nil {
			break
		}
		if _, ok := g.cfg.Things.Thing(d.Value.Kind, d.Value.Resource); ok {
			out = append(out, d.Value)
		}
	}
	return out
}

// forgetGrants removes the grants that keep says no more belong to anything.
func (g *Gate) forgetGrants(ctx context.Context, keep func(Grant) bool) error {
	if g.cfg.Grants == nil {
		return nil
	}
	for _, d := range g.cfg.Grants.List("") {
		if keep(d.Value) {
			continue
		}
		if err := g.cfg.Grants.Delete(ctx, d.Key, 0); err != nil {
			return err
		}
	}
	return nil
}

// Deleted forgets who might do what with a resource that is gone.
func (g *Gate) Deleted(ctx context.Context, t schema.Target) error {
	return g.forgetGrants(ctx, func(x Grant) bool { return x.Kind != t.Kind || x.Resource != t.ID })
}
