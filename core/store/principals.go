package store

import (
	"context"
	"time"

	"github.com/nats-io/nkeys"

	"berth/bus"
	"berth/bus/hub"
	"berth/schema"
)

// TokenLife is how long a join token may be used.
const TokenLife = time.Hour

// Token is what is kept of a join token, under the SHA-256 of its secret.
type Token struct {
	Server  string `json:"server"` // id of the server it lets in
	Name    string `json:"name"`   // the server's name, for display
	By      string `json:"by,omitempty"`
	Expires int64  `json:"expires"`        // unix ms
	Used    string `json:"used,omitempty"` // public nkey that used it
}

// Principals are who may connect: a hub.Registry over two buckets.
type Principals struct {
	who    *Bucket[hub.Principal] // by public nkey
	tokens *Bucket[Token]         // by hash
	now    func() time.Time
}

// OpenPrincipals opens the two buckets; see Open for ctx.
func OpenPrincipals(ctx context.Context, c *bus.Conn, o Options) (*Principals, error) {
	who, err := Open[hub.Principal](ctx, c, bus.BucketAgents, o)
	if err != nil {
		return nil, err
	}
	o.History, o.TTL = 1, 2*TokenLife // expiry is checked by Redeem: this only cleans up
	tokens, err := Open[Token](ctx, c, bus.BucketTokens, o)
	if err != nil {
		return nil, err
	}
	return &Principals{who: who, tokens: tokens, now: time.Now}, nil
}

// Lookup implements hub.Registry, from memory.
func (p *Principals) Lookup(nkey string) (hub.Principal, bool) {
	d, err := p.who.Get(nkey)
	return d.Value, err == nil
}

// NewToken keeps a token made by bus.NewJoinToken for an hour.
func (p *Principals) NewToken(ctx context.Context, t bus.JoinToken, name, by string) error {
	_, err := p.tokens.Create(ctx, t.Hash(), Token{Server: t.Server, Name: name, By: by, Expires: p.now().Add(TokenLife).UnixMilli()})
	return err
}

// Redeem implements hub.Registry. The token is marked used, compared and set,
// before the key is let in, so of two keys one wins; the key that used a token
// may finish if core died in between. Keys that the server had before are
// revoked: one server, one key.
func (p *Principals) Redeem(ctx context.Context, hash, nkey string) (hub.Principal, error) {
	if known, ok := p.Lookup(nkey); ok { // a revoked key stays out, whatever it brings
		if known.Revoked {
			return hub.Principal{}, schema.Errorf(schema.Denied, "the key was revoked: make a new one to join again")
		}
		return known, nil
	}
	d, err := p.tokens.Get(hash)
	switch {
	case err != nil:
		return hub.Principal{}, schema.Wrap(schema.Denied, err, "unknown join token")
	case d.Value.Used != "" && d.Value.Used != nkey:
		return hub.Principal{}, schema.Errorf(schema.Denied, "the join token of server %s was used already", d.Value.Name)
	case d.Value.Expires <= p.now().UnixMilli():
		return hub.Principal{}, schema.Errorf(schema.Denied, "the join token of server %s has expired", d.Value.Name)
	}
	tok := d.Value
	if tok.Used == "" {
		tok.Used = nkey
		if _, err := p.tokens.Update(ctx, hash, tok, d.Rev); err != nil {
			return hub.Principal{}, schema.Wrap(schema.Denied, err, "the join token of server %s was used already", tok.Name)
		}
	}
	pr := hub.Principal{NKey: nkey, Kind: hub.KindAgent, ID: tok.Server, Name: tok.Name, Created: p.now().UnixMilli()}
	if _, err := p.who.Create(ctx, nkey, pr); err != nil {
		return hub.Principal{}, err
	}
	for _, old := range p.who.List("") {
		if v := old.Value; v.Kind == hub.KindAgent && v.ID == tok.Server && v.NKey != nkey && !v.Revoked {
			if err := p.Revoke(ctx, v.NKey, "the server joined again with another key"); err != nil {
				return hub.Principal{}, err
			}
		}
	}
	return pr, nil
}

// Admissible says why a key cannot become that of a server's agent; nil when it can.
// The id is empty for a server that is yet to be made.
func (p *Principals) Admissible(server, nkey string) error {
	known, ok := p.Lookup(nkey)
	switch {
	case !ok && !nkeys.IsValidPublicUserKey(nkey):
		return schema.Errorf(schema.Invalid, "this is no public nkey of an agent, which begins with U: the server shows the one that asks as attempted_public_key")
	case ok && known.Revoked:
		return schema.Errorf(schema.Denied, "the key was revoked: make a new one to join again")
	case ok && (known.Kind != hub.KindAgent || known.ID != server):
		return schema.Errorf(schema.Conflict, "the key is of another: each agent needs one of its own")
	}
	return nil
}

// Admit makes a key the only one of a server's agent, without a token: an onboarding
// key or an administrator answers for it. Keys that the server had before are revoked.
// Errors, which change nothing: those of Admissible.
func (p *Principals) Admit(ctx context.Context, server schema.Target, nkey, reason string) error {
	if err := p.Admissible(server.ID, nkey); err != nil {
		return err
	}
	if _, known := p.Lookup(nkey); !known {
		pr := hub.Principal{NKey: nkey, Kind: hub.KindAgent, ID: server.ID, Name: server.Name}
		if err := p.Add(ctx, pr); err != nil {
			return err
		}
	}
	for _, old := range p.keysOf(server.ID) {
		if old.NKey == nkey {
			continue
		}
		if err := p.Revoke(ctx, old.NKey, reason); err != nil {
			return err
		}
	}
	return nil
}

// KeysOf returns the public nkeys of a server's agent, those in use alone.
func (p *Principals) KeysOf(server string) []string {
	var out []string
	for _, pr := range p.keysOf(server) {
		out = append(out, pr.NKey)
	}
	return out
}

// Add lets a key in without a token: operators, and the agent inside `berth up`.
// schema.Conflict when the key is known.
func (p *Principals) Add(ctx context.Context, pr hub.Principal) error {
	if _, err := hub.PermissionsOf(pr); err != nil {
		return err
	}
	if pr.Created == 0 {
		pr.Created = p.now().UnixMilli()
	}
	_, err := p.who.Create(ctx, pr.NKey, pr)
	return err
}

// Revoke shuts a key out for good. Whoever watches (see OnRevoked) ends its
// connections. schema.NotFound for a key nobody knows.
func (p *Principals) Revoke(ctx context.Context, nkey, reason string) error {
	_, err := p.who.Edit(ctx, nkey, func(v *hub.Principal) error {
		v.Revoked, v.Reason = true, reason
		return nil
	})
	return err
}

// RevokeID revokes all keys of a principal: of a deleted server, say.
func (p *Principals) RevokeID(ctx context.Context, kind hub.Kind, id, reason string) error {
	for _, d := range p.who.List("") {
		if d.Value.Kind == kind && d.Value.ID == id && !d.Value.Revoked {
			if err := p.Revoke(ctx, d.Key, reason); err != nil {
				return err
			}
		}
	}
	return nil
}

// List returns all principals, revoked ones included.
func (p *Principals) List() []hub.Principal {
	docs := p.who.List("")
	list := make([]hub.Principal, 0, len(docs))
	for _, d := range docs {
		list = append(list, d.Value)
	}
	return list
}

// OnRevoked calls fn, usually hub.Kick, with every key that is revoked, by
// whichever core.
func (p *Principals) OnRevoked(fn func(nkey string)) (stop func()) {
	return p.who.Watch(func(ch Change[hub.Principal]) {
		if ch.Deleted || ch.Doc.Value.Revoked {
			fn(ch.Doc.Key)
		}
	})
}
