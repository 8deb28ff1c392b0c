package store

import "time"

// At returns the same registry with another clock.
func (p *Principals) At(now func() time.Time) *Principals {
	return &Principals{who: p.who, tokens: p.tokens, now: now}
}
