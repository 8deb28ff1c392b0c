package access

import (
	"slices"

	"berth/schema"
)

// Rights are what somebody may do with one resource: a level, which implies the
// lower ones, and specific permissions, which no level implies.
type Rights struct {
	rank     int8
	specific uint8 // one bit each, in the order of Specifics
}

// Specifics are all specific permissions, in the order in which they are shown.
func Specifics() []Specific { return []Specific{Terminal, Attach, Inspect, Logs, Processes} }

// everything is what administrators may.
func everything() Rights { return Rights{rankOf(CanEdit), 1<<len(Specifics()) - 1} }

// rankOf orders the levels that one can have on a resource; 0 is none.
func rankOf(l Level) int8 {
	switch l {
	case CanRead:
		return 1
	case CanExec:
		return 2
	case CanEdit:
		return 3
	case Public, AnyUser, CanCreate, IsAdmin:
	}
	return 0
}

// RightsOf reads a level as it is stored.
func RightsOf(l schema.Level) Rights {
	r := Rights{rank: rankOf(Level(l.Level))}
	for _, s := range l.Specific {
		r.specific |= bit(Specific(s))
	}
	return r
}

func bit(s Specific) uint8 {
	if i := slices.Index(Specifics(), s); i >= 0 {
		return 1 << i
	}
	return 0
}

// Level returns the rights as they are stored and shown.
func (r Rights) Level() schema.Level {
	out := schema.Level{Level: []string{"None", string(CanRead), string(CanExec), string(CanEdit)}[r.rank], Specific: []string{}}
	for _, s := range Specifics() {
		if r.specific&bit(s) != 0 {
			out.Specific = append(out.Specific, string(s))
		}
	}
	return out
}

// And adds other rights: the higher level, and the specific permissions of both.
func (r Rights) And(o Rights) Rights {
	return Rights{max(r.rank, o.rank), r.specific | o.specific}
}

// within returns the rights that are in both.
func (r Rights) within(o Rights) Rights {
	return Rights{min(r.rank, o.rank), r.specific & o.specific}
}

// Allows reports whether the rights are enough for what needs a level, and also a
// specific permission unless that is empty.
func (r Rights) Allows(needs Level, also Specific) bool {
	need := rankOf(needs)
	return need > 0 && r.rank >= need && (also == "" || bit(also) != 0 && r.specific&bit(also) != 0)
}
