package access

import (
	"cmp"
	"context"
	"slices"

	"berth/schema"
)

// Kinds of sessions.
const (
	pageSession  = "page"
	tokenSession = "token"
)

// Visit is who comes to the door.
type Visit struct {
	Page    bool   // wants a session of pages; else a token
	From    string // peer address
	Agent   string // the program, as it says itself
	Pending string // what the step before made his browser carry
}

// admit opens a session and returns what shows it: its secret for pages, else a
// token for the authorization header.
func (g *Gate) admit(ctx context.Context, u User, v Visit, how string) (string, error) {
	if v.Page && !u.Enabled {
		return "", errDisabled()
	}
	kind, ttl := tokenSession, g.cfg.Rules.tokenTTL()
	if v.Page {
		kind, ttl = pageSession, sessionTTL
	}
	token, now := secret(), g.cfg.Now()
	s := Session{User: u.ID, Kind: kind, From: v.From, Agent: cut(v.Agent, 200), How: how, Created: now.UnixMilli(), Expires: now.Add(ttl).UnixMilli()}
	if _, err := g.cfg.Sessions.Create(ctx, digest(token), s); err != nil {
		return "", schema.Wrap(schema.CodeOf(err), err, "open a session")
	}
	enters(ctx, u, true)
	if v.Page {
		return token, nil
	}
	return signToken(g.jwtKey, claims{Sub: u.ID, Iat: now.UnixMilli(), Exp: s.Expires, Jti: digest(token)}), nil
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// OpenSession is a session in a list; its ID ends it and opens nothing.
type OpenSession struct {
	ID string
	Session
	Current bool // the caller's own, by which he asks
}

// Sessions lists the open sessions of a user, newest first.
func (g *Gate) Sessions(ctx context.Context, user string) []OpenSession {
	c, _ := CallerOf(ctx)
	now := g.cfg.Now().UnixMilli()
	out := []OpenSession{}
	for _, d := range g.cfg.Sessions.List("") {
		if d.Value.User == user && d.Value.Expires > now {
			out = append(out, OpenSession{ID: d.Key, Session: d.Value, Current: d.Key == c.Session})
		}
	}
	slices.SortFunc(out, func(a, b OpenSession) int { return cmp.Or(cmp.Compare(b.Created, a.Created), cmp.Compare(a.ID, b.ID)) })
	return out
}

// RevokeSession ends a session of the caller, or of anybody for administrators;
// NotFound also for sessions of others: nobody learns of them.
func (g *Gate) RevokeSession(ctx context.Context, id string) error {
	c, ok := CallerOf(ctx)
	if !ok {
		return schema.Errorf(schema.Unauthenticated, "not signed in")
	}
	if len(id) == len(digest("")) && isHex(id) {
		d, err := g.cfg.Sessions.Get(id)
		if err == nil && (c.Admin || d.Value.User == c.UserID) {
			return g.cfg.Sessions.Delete(ctx, id, 0)
		}
	}
	return schema.Errorf(schema.NotFound, "no such session: it may have ended")
}

func isHex(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(c byte) bool { return (c < '0' || c > '9') && (c < 'a' || c > 'f') })
}

// EndSessions ends all sessions of a user.
func (g *Gate) EndSessions(ctx context.Context, user string) error {
	return g.endSessions(ctx, user, "")
}

// endOthers ends all sessions of a user but the one by which the caller asks: how
// he signs in has changed, and whoever else was in as him is out.
func (g *Gate) endOthers(ctx context.Context, user string) error {
	c, _ := CallerOf(ctx)
	return g.endSessions(ctx, user, c.Session)
}

func (g *Gate) endSessions(ctx context.Context, user, keep string) error {
	for _, d := range g.cfg.Sessions.List("") {
		if d.Value.User != user || d.Key == keep {
			continue
		}
		if err := g.cfg.Sessions.Delete(ctx, d.Key, 0); err != nil {
			return schema.Wrap(schema.CodeOf(err), err, "end the user's other sessions")
		}
	}
	return nil
}
