package hub

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"github.com/nats-io/nkeys"

	"berth/bus"
	"berth/schema"
)

// Login is what a client presents.
type Login struct {
	NKey  string // public nkey
	Nonce []byte // what the server gave it to sign
	Sig   string // base64url
	Token string // join token's secret, if any
	Addr  string // where it comes from, for the log
}

// Kind says what sort of principal one is.
type Kind string

// The kinds of principals.
const (
	KindAgent    Kind = "agent"
	KindOperator Kind = "operator"
	KindCore     Kind = "core"
	KindSystem   Kind = "system" // core's view of the server itself
)

// Role is what an operator may do.
type Role string

// The roles of operators.
const (
	RoleRead Role = "read"
	RoleExec Role = "exec"
)

// Principal is who holds a key.
type Principal struct {
	NKey    string `json:"nkey"`
	Kind    Kind   `json:"kind"`
	ID      string `json:"id"` // agent: the server's id; operator: a name fit for subjects
	Name    string `json:"name,omitempty"`
	Role    Role   `json:"role,omitempty"`
	Revoked bool   `json:"revoked,omitempty"`
	Reason  string `json:"reason,omitempty"` // why it was revoked
	Created int64  `json:"created"`          // unix ms
}

// Registry knows who holds which key. Lookup is called twice per login and must
// be answered from memory.
type Registry interface {
	// Lookup returns the principal of a public nkey.
	Lookup(nkey string) (Principal, bool)
	// Redeem makes the key the principal that the token stands for. A token
	// serves once: a second, late or unknown one is schema.Denied.
	Redeem(ctx context.Context, tokenHash, nkey string) (Principal, error)
}

// Identity is who a login turned out to be.
type Identity struct {
	Kind    Kind
	ID      string
	NKey    string
	Account string
}

// Permissions are the subjects an identity may use; nil slices with All unset
// permit nothing.
type Permissions struct {
	All       bool
	Publish   []string
	Subscribe []string
	// Responses lets it answer that many messages per question, within the time.
	Responses    int
	ResponsesFor time.Duration
}

// Decide says who a login is and what it may do; an error refuses it. Its text is
// for the log only.
type Decide func(ctx context.Context, l Login) (Identity, Permissions, error)

// NewDecide makes the one Decide of Berth: a key of core's, or a principal of the
// registry, or a valid join token together with a key nobody knows yet.
func NewDecide(reg Registry, core ...string) Decide {
	return func(ctx context.Context, l Login) (Identity, Permissions, error) {
		if err := verify(l); err != nil {
			return Identity{}, Permissions{}, err
		}
		for _, k := range core {
			if k == l.NKey {
				return Identity{Kind: KindCore, ID: "core", NKey: k, Account: bus.AccountFleet}, Permissions{All: true}, nil
			}
		}
		p, known := reg.Lookup(l.NKey)
		if !known && l.Token != "" {
			var err error
			if p, err = reg.Redeem(ctx, bus.TokenHash(l.Token), l.NKey); err != nil {
				return Identity{}, Permissions{}, err
			}
			known = true
		}
		switch {
		case !known:
			return Identity{}, Permissions{}, schema.Errorf(schema.Unauthenticated, "unknown key")
		case p.Revoked:
			return Identity{}, Permissions{}, schema.Errorf(schema.Denied, "revoked key of %s %s", p.Kind, p.ID)
		}
		perms, err := PermissionsOf(p)
		return Identity{Kind: p.Kind, ID: p.ID, NKey: p.NKey, Account: bus.AccountFleet}, perms, err
	}
}

// verify checks that the login holds the private half of its key. The server
// does not do it for keys it was not configured with.
func verify(l Login) error {
	if len(l.Nonce) == 0 || !nkeys.IsValidPublicUserKey(l.NKey) {
		return schema.Errorf(schema.Unauthenticated, "no nkey")
	}
	sig, err := base64.RawURLEncoding.DecodeString(l.Sig)
	if err != nil {
		if sig, err = base64.StdEncoding.DecodeString(l.Sig); err != nil {
			return schema.Errorf(schema.Unauthenticated, "signature is not base64")
		}
	}
	key, err := nkeys.FromPublicKey(l.NKey)
	if err != nil {
		return errors.Join(schema.Errorf(schema.Unauthenticated, "no nkey"), err)
	}
	if err := key.Verify(l.Nonce, sig); err != nil {
		return schema.Wrap(schema.Unauthenticated, err, "wrong signature")
	}
	return nil
}

// PermissionsOf returns the subjects of an agent or operator.
//
// What it may not do is as important: an agent has no JetStream API and no
// subjects of other agents, nobody but core has `_INBOX.>`, and operators read
// runs and their state, never keys, tokens, variables or accounts. A consumer's
// deliver subject is not checked by the server, so whoever may create a consumer
// can have stored run events sent to any subject of the account: handlers must
// take nothing for granted that a run event could look like.
func PermissionsOf(p Principal) (Permissions, error) {
	switch p.Kind {
	case KindAgent:
		return agentPermissions(p.ID), nil
	case KindOperator:
		return operatorPermissions(p.ID, p.Role)
	case KindCore, KindSystem:
	}
	return Permissions{}, schema.Errorf(schema.Denied, "no permissions for %q", p.Kind)
}

func agentPermissions(id string) Permissions {
	own := "agent." + id + "."
	return Permissions{
		Publish: []string{own + "evt.>", own + "res.>", own + "out.>", own + "ask.>"},
		Subscribe: []string{
			own + "cmd.>", "fleet.cmd.>", bus.Inbox(id) + ".>",
			"$SRV.PING", "$SRV.INFO", "$SRV.STATS", "$SRV.*." + bus.ServiceAgent, "$SRV.*." + bus.ServiceAgent + ".*",
		},
		Responses: 1000, ResponsesFor: 10 * time.Minute,
	}
}

func operatorPermissions(id string, role Role) (Permissions, error) {
	state := "KV_" + bus.BucketRunState
	p := Permissions{
		Subscribe: []string{bus.Inbox(id) + ".>", "agent.*.evt.>", "run.>"},
		Publish: []string{
			"$SRV.>", bus.SubjectAPI + "read.*",
			"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST",
		},
	}
	for _, s := range []string{bus.StreamRuns, state} {
		p.Publish = append(p.Publish,
			"$JS.API.STREAM.INFO."+s, "$JS.API.STREAM.MSG.GET."+s, "$JS.API.DIRECT.GET."+s, "$JS.API.DIRECT.GET."+s+".>",
			"$JS.API.CONSUMER.CREATE."+s, "$JS.API.CONSUMER.CREATE."+s+".>", "$JS.API.CONSUMER.INFO."+s+".*",
			"$JS.API.CONSUMER.MSG.NEXT."+s+".*", "$JS.API.CONSUMER.DELETE."+s+".*")
	}
	for _, s := range []string{bus.StreamCommands, bus.StreamResults, bus.StreamOutput} {
		p.Publish = append(p.Publish, "$JS.API.STREAM.INFO."+s)
	}
	switch role {
	case RoleRead:
	case RoleExec:
		p.Publish = append(p.Publish, bus.SubjectAPI+"execute.*")
	default:
		return Permissions{}, schema.Errorf(schema.Denied, "operator %s has no role", id)
	}
	return p, nil
}
