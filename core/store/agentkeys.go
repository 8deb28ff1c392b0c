package store

import (
	"context"

	"github.com/nats-io/nkeys"

	"berth/bus/hub"
	"berth/schema"
)

// maxKeys is how many keys an agent may have at a time: the one it has, the one it
// changes to, and one that was left over by a change that did not come to its end.
const maxKeys = 3

// AddKey lets a further key of an agent in. A key that it has is fine;
// schema.Denied for one that is another's or was revoked, schema.TooMany when it has
// too many.
func (p *Principals) AddKey(ctx context.Context, agent, nkey string) error {
	if !nkeys.IsValidPublicUserKey(nkey) {
		return schema.Errorf(schema.Invalid, "the new key is no public nkey")
	}
	have := p.keysOf(agent)
	if known, ok := p.Lookup(nkey); ok {
		if known.Kind == hub.KindAgent && known.ID == agent && !known.Revoked {
			return nil
		}
		return schema.Errorf(schema.Denied, "the new key cannot be used: make another one")
	}
	switch {
	case len(have) == 0:
		return schema.Errorf(schema.Denied, "the agent has no key any more: join again")
	case len(have) >= maxKeys:
		return schema.Errorf(schema.TooMany, "the agent has %d keys already: restart it, which leaves it one", len(have))
	}
	next := have[0]
	next.NKey, next.Created = nkey, p.now().UnixMilli()
	_, err := p.who.Create(ctx, nkey, next)
	return err
}

// KeepKey makes a key the agent's only one: the others are forgotten, and whoever
// watches (see OnRevoked) ends their connections. schema.Denied when the key is not
// the agent's.
func (p *Principals) KeepKey(ctx context.Context, agent, nkey string) error {
	known, ok := p.Lookup(nkey)
	if !ok || known.Kind != hub.KindAgent || known.ID != agent || known.Revoked {
		return schema.Errorf(schema.Denied, "the key is not the agent's")
	}
	for _, other := range p.keysOf(agent) {
		if other.NKey == nkey {
			continue
		}
		if err := p.who.Delete(ctx, other.NKey, 0); err != nil {
			return err
		}
	}
	return nil
}

// keysOf returns the keys of an agent that are not revoked.
func (p *Principals) keysOf(agent string) []hub.Principal {
	var out []hub.Principal
	for _, d := range p.who.List("") {
		if v := d.Value; v.Kind == hub.KindAgent && v.ID == agent && !v.Revoked {
			out = append(out, v)
		}
	}
	return out
}
