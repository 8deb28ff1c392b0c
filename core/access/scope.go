package access

import (
	"slices"
	"strings"

	"berth/schema"
)

// Scope limits an API key: to a level on all resources, or on those of a type. A
// key with scopes may what its user may and one of them allows; a key without may
// all that its user may.
type Scope struct {
	Type  string // "Stack"; empty is every type
	Level Level  // Read, Execute or Write
}

// ParseScope reads "Read" or "Stack:Execute"; Invalid.
func ParseScope(text string) (Scope, error) {
	kind, level, typed := strings.Cut(text, ":")
	if !typed {
		kind, level = "", text
	}
	if rankOf(Level(level)) == 0 || typed && !slices.Contains(schema.ResourceTypes(), kind) {
		return Scope{}, schema.Errorf(schema.Invalid, "scope %q: write Read, Execute or Write, or one of them for a type of resource as in Stack:Execute", text)
	}
	return Scope{kind, Level(level)}, nil
}

// limit is what scopes allow on a kind. The specific permissions follow the level:
// looking needs Read, a terminal Execute, attaching Write.
func limit(scopes []Scope, kind string) Rights {
	var r Rights
	for _, s := range scopes {
		if s.Type != "" && schema.KindOf(s.Type) != kind {
			continue
		}
		x := Rights{rank: rankOf(s.Level)}
		for _, sp := range Specifics() {
			if x.rank >= rankOf(needOf(sp)) {
				x.specific |= bit(sp)
			}
		}
		r = r.And(x)
	}
	return r
}

func needOf(s Specific) Level {
	switch s {
	case Terminal:
		return CanExec
	case Attach:
		return CanEdit
	case Inspect, Logs, Processes:
	}
	return CanRead
}

func parseScopes(texts []string) ([]Scope, error) {
	var out []Scope
	for _, t := range texts {
		s, err := ParseScope(t)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
