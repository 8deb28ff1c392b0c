package core

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"time"

	"berth/bus"
	"berth/bus/hub"
	"berth/core/api"
	"berth/schema"
)

// tokenLife is how long a join token is good; the store keeps it no longer.
const tokenLife = time.Hour

// fleet lets agents and operators in and out.
type fleet struct{ c *core }

// Join makes a one-time token for a server, creating the server if need be, and
// returns the one line to run there.
func (f fleet) Join(ctx context.Context, by schema.Actor, server string) (api.Join, error) {
	token, err := f.c.joinToken(ctx, by.Name, server)
	if err != nil {
		return api.Join{}, err
	}
	return api.Join{
		Command: fmt.Sprintf("berth periphery --core %s --token %s", f.c.address(), token),
		Expires: time.Now().Add(tokenLife).UnixMilli(),
	}, nil
}

// joinToken makes a token for the server of that name.
func (c *core) joinToken(ctx context.Context, by, server string) (string, error) {
	target, err := c.kinds.servers.Find(server)
	if schema.CodeOf(err) == schema.NotFound {
		cfg := schema.DefaultServer()
		cfg.Enabled = true
		var made schema.Resource[schema.ServerConfig]
		made, err = c.kinds.servers.Put(ctx, schema.Resource[schema.ServerConfig]{Name: server, Config: cfg})
		target = made.Target("server")
	}
	if err != nil {
		return "", err
	}
	token := bus.NewJoinToken(target.ID, c.signer.Public(), c.tls.pins())
	if err := c.principals.NewToken(ctx, token, target.Name, by); err != nil {
		return "", err
	}
	return token.String(), nil
}

// fromPeer tells a handler of the peer itself where a configured proxy stands between.
func (c *core) fromPeer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer := c.peers.Of(r); c.near(r.RemoteAddr) && net.ParseIP(peer) != nil {
			r.RemoteAddr = net.JoinHostPort(peer, "0")
		}
		next.ServeHTTP(w, r)
	})
}

// admitAgent refuses an agent that connects from where its server's allowed_ips do
// not let it. One in this process comes from no address.
func (c *core) admitAgent(id hub.Identity, addr string) error {
	ap, err := netip.ParseAddrPort(addr)
	if id.Kind != hub.KindAgent || err != nil {
		return nil //nolint:nilerr // it is no network's address
	}
	s, err := c.kinds.servers.Masked(id.ID)
	if err != nil || s.Config.Admits(ap.Addr()) {
		return nil //nolint:nilerr // what was deleted is shut out elsewhere
	}
	return schema.Errorf(schema.Denied, "the agent of %s connects from %s, which is not among its allowed_ips", s.Name, ap.Addr())
}

// Revoke makes the server's agent unknown, and ends its connection at once.
func (f fleet) Revoke(ctx context.Context, by schema.Actor, server string) error {
	target, err := f.c.kinds.servers.Find(server)
	if err != nil {
		return err
	}
	if err := f.c.principals.RevokeID(ctx, hub.KindAgent, target.ID, "revoked by "+by.Name); err != nil {
		return err
	}
	f.c.changes.announce(schema.Change{Topic: "server", ID: target.ID})
	return nil
}

var operatorName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// Operator lets a key in as an operator of the bus, for the stock nats client.
func (f fleet) Operator(ctx context.Context, by schema.Actor, o api.OperatorParams) (api.Operator, error) {
	role := hub.Role(o.Role)
	switch {
	case !operatorName.MatchString(o.Name):
		return api.Operator{}, schema.Errorf(schema.Invalid, "operator name %q: use letters, digits, - and _, at most 32", o.Name)
	case role != hub.RoleRead && role != hub.RoleExec:
		return api.Operator{}, schema.Errorf(schema.Invalid, "role %q: it is read or exec", o.Role)
	}
	f.c.cfg.Log.Info("operator of the bus added", "name", o.Name, "role", o.Role, "by", by.Name)
	err := f.c.principals.Add(ctx, hub.Principal{NKey: o.NKey, Kind: hub.KindOperator, ID: "op-" + o.Name, Name: o.Name, Role: role, Created: time.Now().UnixMilli()})
	return api.Operator{URL: f.busURL(), InboxPrefix: bus.Inbox("op-" + o.Name), Certificate: f.c.tls.ownPEM()}, err
}

// busURL is where clients find the bus: one that listens everywhere is found where
// core is.
func (f fleet) busURL() string {
	u, err := url.Parse(f.c.hub.URL())
	if err != nil || u.Port() == "" {
		return f.c.hub.URL()
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
		if at, err := url.Parse(f.c.address()); err == nil && at.Hostname() != "" {
			u.Host = net.JoinHostPort(at.Hostname(), u.Port())
		}
	}
	return u.String()
}

// address is where agents and people reach core: the configured URL, else the
// first address of this machine that is not loopback.
func (c *core) address() string {
	if c.cfg.URL != "" {
		return c.cfg.URL
	}
	host, port, err := net.SplitHostPort(c.cfg.Listen)
	if err != nil {
		return c.cfg.Listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = outward()
	}
	return "https://" + net.JoinHostPort(host, port)
}

// pageAddress is what a browser is given. On this machine alone that is plain
// HTTP: nothing crosses a network, and no browser warns of core's own certificate.
func (c *core) pageAddress() string {
	host, _, err := net.SplitHostPort(c.cfg.Listen)
	if ip := net.ParseIP(host); c.cfg.URL == "" && err == nil && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		return "http://" + c.cfg.Listen
	}
	return c.address()
}

// outward is the first address of this machine by which others may reach it.
func outward() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "localhost"
	}
	best := ""
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() {
			continue
		}
		if n.IP.To4() != nil {
			return n.IP.String()
		}
		if best == "" {
			best = n.IP.String()
		}
	}
	if best == "" {
		return "localhost"
	}
	return best
}

// runURL is where people find a run.
func (c *core) runURL(id string) string {
	u, err := url.Parse(c.pageAddress())
	if err != nil {
		return "/runs/" + id
	}
	return u.JoinPath("runs", id).String()
}
