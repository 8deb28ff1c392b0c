package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// UserGroupConfig is the settings of a user group: who is in it and what they may
// do. In files its keys stand beside the name, without a config table.
type UserGroupConfig struct {
	Everyone    bool              `json:"everyone" doc:"Every user is in it."`
	Users       []string          `json:"users" doc:"Names of the users in it."`
	All         Levels            `json:"all" code:"map<ResourceType, Level|{level,specific}>" doc:"What they may do with every resource of a kind."`
	Permissions []GroupPermission `json:"permissions" alias:"permission" code:"list<{target:{type,id},level,specific}>" doc:"What they may do with the resources that a pattern names."`
}

// Level is what somebody may do with a resource.
type Level struct {
	Level    string   `json:"level" enum:"None,Read,Execute,Write" doc:"What they may do."`
	Specific []string `json:"specific" code:"list<enum>" enum:"Terminal,Attach,Inspect,Logs,Processes" doc:"What they may do besides."`
}

func (l *Level) setDefaults() { *l = Level{Level: "None", Specific: []string{}} }

func (l *Level) decodeTree(d *decoder, path string, in any) {
	l.setDefaults()
	tree, ok := in.(map[string]any)
	if !ok {
		tree = map[string]any{"level": in}
		path = strings.TrimSuffix(path, ".level")
	}
	type plainLevel Level
	p := plainLevel(*l)
	d.fresh(&p, tree, path)
	*l = Level(p)
	if l.Specific == nil {
		l.Specific = []string{}
	}
}

// UnmarshalJSON accepts a string or an object.
func (l *Level) UnmarshalJSON(b []byte) error { return unmarshalTree(b, l) }

// Levels are levels by the type of resource: "Server", "Stack", ...
type Levels map[string]Level

func (l *Levels) decodeTree(d *decoder, path string, in any) {
	tree, ok := in.(map[string]any)
	if !ok {
		d.wrong(path, in, "a table of levels by type of resource")
		return
	}
	*l = Levels{}
	for _, name := range sorted(tree) {
		if !slices.Contains(ResourceTypes(), name) {
			d.fail(join(path, name), "there is no type of resource %q%s", name, meant(name, ResourceTypes()))
			continue
		}
		var level Level
		level.decodeTree(d, join(path, name), tree[name])
		(*l)[name] = level
	}
}

// UnmarshalJSON accepts an object.
func (l *Levels) UnmarshalJSON(b []byte) error { return unmarshalTree(b, l) }

// GroupPermission is what a group may do with the resources a pattern names.
type GroupPermission struct {
	Target   PatternTarget `json:"target" required:"true" doc:"Which resources."`
	Level    string        `json:"level" enum:"None,Read,Execute,Write" doc:"What they may do."`
	Specific []string      `json:"specific" code:"list<enum>" enum:"Terminal,Attach,Inspect,Logs,Processes" doc:"What they may do besides."`
}

func (p *GroupPermission) setDefaults() { *p = GroupPermission{Level: "None", Specific: []string{}} }

// PatternTarget names resources of one kind by a pattern.
type PatternTarget struct {
	Type string `json:"type" required:"true" enum:"System,Swarm,Server,Stack,Deployment,Build,Repo,Procedure,Action,Builder,Alerter,ResourceSync" doc:"Their kind."`
	ID   string `json:"id" required:"true" doc:"A name or id, a wildcard, a regular expression between backslashes, or tag:NAME for all that have a tag."`
}

// DefaultUserGroup returns the settings of a group that declares none.
func DefaultUserGroup() UserGroupConfig {
	return UserGroupConfig{Users: []string{}, All: Levels{}, Permissions: []GroupPermission{}}
}

// Check refuses patterns that cannot be read.
func (c UserGroupConfig) Check() Report {
	var r Report
	for i, p := range c.Permissions {
		if _, err := ParseOnePattern(p.Target.ID); err != nil && p.Target.ID != "" {
			r.fail(fmt.Sprintf("permissions[%d].target.id", i), "%s", SafeText(err))
		}
	}
	return r
}

// Normal returns the settings in the one form in which they are stored: users
// sorted, none beside everyone; levels that allow nothing left out; permissions
// by kind and name.
func (c UserGroupConfig) Normal() UserGroupConfig {
	users := slices.Clone(c.Users)
	slices.Sort(users)
	c.Users = slices.Compact(users)
	if c.Everyone || c.Users == nil {
		c.Users = []string{}
	}
	all := Levels{}
	for kind, level := range c.All {
		if level.Level != "None" && level.Level != "" {
			all[kind] = level
		}
	}
	c.All = all
	c.Permissions = slices.DeleteFunc(slices.Clone(c.Permissions), func(p GroupPermission) bool {
		return p.Level == "None" || p.Level == "" || p.Target.ID == ""
	})
	slices.SortStableFunc(c.Permissions, func(a, b GroupPermission) int {
		return cmp.Or(strings.Compare(a.Target.Type, b.Target.Type), strings.Compare(a.Target.ID, b.Target.ID))
	})
	if c.Permissions == nil {
		c.Permissions = []GroupPermission{}
	}
	return c
}
