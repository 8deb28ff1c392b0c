package resource

import (
	"fmt"
	"slices"

	"berth/schema"
)

// SystemTag marks what core itself made: no plan deletes it.
const SystemTag = "system"

// Scope says which declared and stored resources a plan is about. The zero Scope
// is everything that is declared, and deletes nothing.
type Scope struct {
	Kinds  []string        // empty is all that are registered
	Tags   []string        // only resources that have all of these; variables and user groups have none and always count
	Only   []schema.Target // narrowed to these, by kind and name or id; empty is all
	Delete bool            // what is in scope, stored and not declared is deleted
	Self   schema.Target   // never deleted, and changed last: the sync that plans
	// Loose is for looking at files without a core: what they refer to may be stored.
	Loose   bool
	Managed string // who manages the scope, for messages: `resource_sync "main"`
}

func (s Scope) hasKind(kind string) bool {
	return len(s.Kinds) == 0 || slices.Contains(s.Kinds, kind)
}

func (s Scope) chosen(t schema.Target) bool {
	return len(s.Only) == 0 || slices.ContainsFunc(s.Only, func(o schema.Target) bool { return names(o, t) })
}

// of names whose scope it is.
func (s Scope) of() string {
	if s.Managed == "" {
		return ""
	}
	return " of " + s.Managed
}

func (s Scope) isSelf(t schema.Target) bool { return s.Self.Kind != "" && names(s.Self, t) }

// names reports whether t is what o names, by id or by name.
func names(o, t schema.Target) bool {
	return o.Kind == t.Kind && (o.ID != "" && o.ID == t.ID || o.Name == t.Name && o.Name != "")
}

// lacks returns the first tag of the scope that is not among the tags.
func (s Scope) lacks(tags []string) string {
	for _, t := range s.Tags {
		if !slices.Contains(tags, t) {
			return t
		}
	}
	return ""
}

// leaves says why the scope leaves a declared resource alone; "" when it does not.
// What is stored with the scope's tags and declared without them is in scope once
// more: it loses its tags.
func (s Scope) leaves(d *planned) string {
	switch {
	case !s.hasKind(d.target.Kind):
		return fmt.Sprintf("resources of kind %s are not in scope", d.target.Kind)
	case !s.chosen(d.target):
		return "it is not among those chosen"
	case d.flat:
		return ""
	}
	missing := s.lacks(d.tags)
	if missing == "" || d.stored && s.lacks(d.hadTags) == "" {
		return ""
	}
	return fmt.Sprintf("it lacks the tag %q", missing)
}

// keeps says why the scope does not delete what is stored and not declared; "" when
// it does. inside is whether it belongs to the scope at all.
func (s Scope) keeps(h stored, flat bool) (reason string, inside bool) {
	switch {
	case !s.hasKind(h.target.Kind), !s.chosen(h.target), !flat && s.lacks(h.tags) != "":
		return "", false
	case s.isSelf(h.target):
		return "not declared, and kept: a sync does not delete itself", true
	case h.target.Kind == "procedure" && slices.Contains(h.tags, SystemTag):
		return "not declared, and kept: core made it; delete it by hand, or take its tag " + SystemTag + " off", true
	case ownContents(h.config):
		return "not declared, and kept: its files are in Berth itself", true
	}
	return "", true
}

// ownContents reports whether the settings are of a sync without a source outside:
// no file declares those.
func ownContents(config any) bool {
	c, ok := config.(schema.SyncConfig)
	return ok && c.LinkedRepo == "" && c.Repo == "" && !c.FilesOnHost
}
