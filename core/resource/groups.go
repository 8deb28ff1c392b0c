package resource

import (
	"slices"
	"strings"

	"berth/core/access"
	"berth/schema"
)

// A permission of a user group may be about one resource by its id: then it stays with
// it through every rename. Files and plans have the name instead, and what a file says
// by the name is, for a group that has it by the id, the same.

// byName returns settings with the resources of a group's permissions by name instead of
// id. Settings of other kinds are returned as they are.
func byName[C any](config C, nameOf func(kind, id string) string) C {
	c, ok := any(config).(schema.UserGroupConfig)
	if !ok {
		return config
	}
	c.Permissions = slices.Clone(c.Permissions)
	for i := range c.Permissions {
		c.Permissions[i].Target = namedTarget(c.Permissions[i].Target, nameOf)
	}
	out, _ := any(c.Normal()).(C)
	return out
}

// namedTarget returns a target by name, unless it is no id or the name would be read
// as something else.
func namedTarget(t schema.PatternTarget, nameOf func(kind, id string) string) schema.PatternTarget {
	if !schema.IsID(t.ID) {
		return t
	}
	if name := nameOf(schema.KindOf(t.Type), t.ID); !strings.HasPrefix(name, access.TagPrefix) && !strings.ContainsAny(name, `*?\`) {
		t.ID = name
	}
	return t
}

// restoreIDs returns settings in which the permissions of a group that are stored by id
// are by id again. Settings of other kinds are returned as they are.
func restoreIDs[C any](want, have C, nameOf func(kind, id string) string) C {
	c, ok := any(want).(schema.UserGroupConfig)
	if !ok {
		return want
	}
	h, _ := any(have).(schema.UserGroupConfig)
	c.Permissions = slices.Clone(c.Permissions)
	left := slices.Clone(h.Permissions)
	done := make([]bool, len(c.Permissions))
	for _, whole := range []bool{true, false} { // first what did not change: both may be there, by name and by id
		for i, p := range c.Permissions {
			at := slices.IndexFunc(left, func(x schema.GroupPermission) bool {
				about := x.Target == p.Target || namedTarget(x.Target, nameOf) == p.Target
				return about && (!whole || x.Level == p.Level && slices.Equal(x.Specific, p.Specific))
			})
			if done[i] || at < 0 {
				continue
			}
			c.Permissions[i].Target, done[i] = left[at].Target, true
			left = slices.Delete(left, at, at+1)
		}
	}
	out, _ := any(c.Normal()).(C)
	return out
}
