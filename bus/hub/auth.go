package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"berth/bus"
	"berth/schema"
)

// authenticator puts a Decide behind the embedded server, and remembers who is
// connected, so that a key can be kicked.
type authenticator struct {
	log     *slog.Logger
	limit   *limiter
	core    string
	system  string
	srv     *server.Server
	decided func(addr string)        // a login at that address was decided
	origin  func(addr string) string // where a connection that the proxy made comes from
	admit   func(id Identity, addr string) error
	call    func() (context.Context, context.CancelFunc)

	mu       sync.Mutex // guards what follows
	decide   Decide
	registry Registry
	logins   map[uint64]Identity // by client id, from the decision on
	conns    map[uint64]string   // client id → agent, by the server's events
	present  map[string]int      // agent → how many of conns

	telling sync.Mutex // held while notify is called: keeps its calls in order
	notify  func(id string, online bool)
}

func newAuthenticator(ctx context.Context, log *slog.Logger, core string, sysSeed []byte) (*authenticator, error) {
	system, err := bus.PublicKey(sysSeed)
	if err != nil {
		return nil, err
	}
	base := context.WithoutCancel(ctx)
	return &authenticator{
		log: log, limit: &limiter{}, core: core, system: system,
		decided: func(string) {}, origin: func(addr string) string { return addr },
		call:   func() (context.Context, context.CancelFunc) { return context.WithTimeout(base, authTimeout) },
		decide: NewDecide(nobody{}, core),
		logins: map[uint64]Identity{}, conns: map[uint64]string{}, present: map[string]int{},
	}, nil
}

// nobody is the registry before Open.
type nobody struct{}

func (nobody) Lookup(string) (Principal, bool) { return Principal{}, false }

func (nobody) Redeem(context.Context, string, string) (Principal, error) {
	return Principal{}, schema.Errorf(schema.Unavailable, "core is still starting")
}

func (a *authenticator) open(reg Registry, d Decide) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.registry, a.decide = reg, d
}

// Check is called by the server for each login, on the connection's goroutine.
func (a *authenticator) Check(c server.ClientAuthentication) bool {
	addr := ""
	if ra := c.RemoteAddress(); ra != nil {
		addr = ra.String()
	}
	defer a.decided(addr)
	addr = a.origin(addr)
	o := c.GetOpts()
	id, err := a.login(c, Login{NKey: o.Nkey, Nonce: c.GetNonce(), Sig: o.Sig, Token: o.Token, Addr: addr})
	if err == nil {
		return true
	}
	if a.limit.allow() {
		a.log.Warn("login refused", "from", addr, "nkey", short(o.Nkey), "id", id.ID, "err", err)
	}
	return false
}

func short(nkey string) string { return nkey[:min(len(nkey), 12)] }

func (a *authenticator) login(c server.ClientAuthentication, l Login) (Identity, error) {
	if c.Kind() != server.CLIENT {
		return Identity{}, schema.Errorf(schema.Denied, "connection kind %d is not served", c.Kind())
	}
	ctx, cancel := a.call()
	defer cancel()
	a.mu.Lock()
	decide, reg := a.decide, a.registry
	a.mu.Unlock()
	id, perms := Identity{Kind: KindSystem, ID: "system", NKey: l.NKey, Account: bus.AccountSystem}, Permissions{All: true}
	var err error
	if l.NKey == a.system {
		err = verify(l)
	} else {
		id, perms, err = decide(ctx, l)
	}
	if err != nil {
		return id, err
	}
	if a.admit != nil {
		if err := a.admit(id, l.Addr); err != nil {
			return id, err
		}
	}
	acc, err := a.srv.LookupAccount(id.Account)
	if err != nil {
		return id, fmt.Errorf("account %s: %w", id.Account, err)
	}
	c.RegisterUser(&server.User{Username: string(id.Kind) + ":" + id.ID, Account: acc, Permissions: perms.server()})
	a.mu.Lock()
	a.logins[c.GetID()] = id
	a.mu.Unlock()
	// A key revoked between the decision and the entry above is found here; one
	// revoked later is found there by kick.
	if reg != nil && (id.Kind == KindAgent || id.Kind == KindOperator) {
		if p, ok := reg.Lookup(l.NKey); !ok || p.Revoked {
			a.forget(c.GetID())
			return id, schema.Errorf(schema.Denied, "revoked while logging in")
		}
	}
	return id, nil
}

func (p Permissions) server() *server.Permissions {
	if p.All {
		return nil
	}
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: p.Publish},
		Subscribe: &server.SubjectPermission{Allow: p.Subscribe},
		Response:  responses(p),
	}
}

func responses(p Permissions) *server.ResponsePermission {
	if p.Responses == 0 {
		return nil
	}
	return &server.ResponsePermission{MaxMsgs: p.Responses, Expires: p.ResponsesFor}
}

// loggedIn returns whose key it is that is connected.
func (a *authenticator) loggedIn(nkey string) (Identity, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range a.logins {
		if id.NKey == nkey {
			return id, true
		}
	}
	return Identity{}, false
}

func (a *authenticator) forget(cid uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.logins, cid)
}

// kick ends all connections of a key.
func (a *authenticator) kick(nkey string) {
	a.mu.Lock()
	var cids []uint64
	for cid, id := range a.logins {
		if id.NKey == nkey {
			cids = append(cids, cid)
		}
	}
	a.mu.Unlock()
	for _, cid := range cids {
		if err := a.srv.DisconnectClientByID(cid); err != nil {
			a.forget(cid) // gone already
		}
	}
}

// follow keeps presence by the server's own events. One subscription: the order
// of connects and disconnects matters.
func (a *authenticator) follow(sys *nats.Conn) error {
	prefix := "$SYS.ACCOUNT." + bus.AccountFleet + "."
	_, err := sys.Subscribe(prefix+"*", func(m *nats.Msg) {
		switch strings.TrimPrefix(m.Subject, prefix) {
		case "CONNECT":
			a.event(m.Data, true)
		case "DISCONNECT":
			a.event(m.Data, false)
		}
	})
	if err != nil {
		return fmt.Errorf("follow presence: %w", err)
	}
	return sys.Flush()
}

func (a *authenticator) event(data []byte, online bool) {
	var ev struct {
		Client struct {
			ID uint64 `json:"id"`
		} `json:"client"`
	}
	if err := json.Unmarshal(data, &ev); err != nil {
		a.log.Warn("decode a presence event", "err", err)
		return
	}
	a.telling.Lock()
	defer a.telling.Unlock()
	if id, changed := a.count(ev.Client.ID, online); changed && a.notify != nil {
		a.notify(id, online)
	}
}

// count keeps the books of one connection; changed says that an agent came or went.
func (a *authenticator) count(cid uint64, online bool) (agent string, changed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !online {
		delete(a.logins, cid)
		agent, ok := a.conns[cid]
		if !ok {
			return "", false
		}
		delete(a.conns, cid)
		if a.present[agent]--; a.present[agent] > 0 {
			return agent, false
		}
		delete(a.present, agent)
		return agent, true
	}
	id, ok := a.logins[cid]
	if _, twice := a.conns[cid]; !ok || twice || id.Kind != KindAgent {
		return "", false
	}
	a.conns[cid] = id.ID
	a.present[id.ID]++
	return id.ID, a.present[id.ID] == 1
}

func (a *authenticator) onPresence(fn func(id string, online bool)) {
	a.telling.Lock()
	defer a.telling.Unlock()
	a.notify = fn
	a.mu.Lock()
	here := slices.Sorted(maps.Keys(a.present))
	a.mu.Unlock()
	for _, id := range here {
		fn(id, true)
	}
}

func (a *authenticator) online(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.present[id] > 0
}
