package access

import "context"

// Entrant is who comes in at the door: filled in by the gate while it looks at him, for
// the record.
type Entrant struct {
	User User // whose password or second factor is looked at; zero for nobody
	In   bool // he is in
}

type entrantKey struct{}

// WithEntrant returns a context in which the gate says whom it looks at.
func WithEntrant(ctx context.Context) (context.Context, *Entrant) {
	e := &Entrant{}
	return context.WithValue(ctx, entrantKey{}, e), e
}

// enters notes whom the gate looks at, and whether he is in.
func enters(ctx context.Context, u User, in bool) {
	if e, ok := ctx.Value(entrantKey{}).(*Entrant); ok {
		e.User, e.In = u, in
	}
}

// entersAs is enters for a user by his id.
func (g *Gate) entersAs(ctx context.Context, id string) {
	if u, err := g.User(id); err == nil {
		enters(ctx, u, false)
	}
}
