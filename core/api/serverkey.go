package api

import (
	"context"
	"encoding/json"

	"berth/core/access"
)

// newServer are the parameters of CreateServer.
type newServer struct {
	newResource
	PublicKey string `json:"public_key,omitempty" doc:"Public nkey of the agent that the server has from the beginning; without one it joins with a token or an onboarding key."`
}

// copiedServer are the parameters of CopyServer.
type copiedServer struct {
	copiedResource
	PublicKey string `json:"public_key,omitempty" doc:"Public nkey of the new server's agent."`
}

// hasAgent reports whether resources of the kind have an agent, whose key can be told
// when they are made.
func (b kindAPI) hasAgent() bool { return b.k.Name() == "server" && b.a.deps.Onboarding != nil }

// withAgent makes a server with build and lets its agent in by its key. A server whose
// key is refused is not made.
func (b kindAPI) withAgent(ctx context.Context, key string, build func() (json.RawMessage, error)) func() (json.RawMessage, error) {
	if key == "" {
		return build
	}
	return func() (json.RawMessage, error) {
		raw, err := build()
		if err != nil {
			return nil, err
		}
		r, err := readResource(raw)
		if err != nil {
			return nil, err
		}
		c, _ := access.CallerOf(ctx)
		if _, err := b.a.deps.Onboarding.Confirm(ctx, c.Actor, r.ID, key); err != nil {
			if gone := b.k.Delete(context.WithoutCancel(ctx), r.ID); gone != nil {
				b.a.deps.Log.Error("take back a server whose key was refused", "server", r.Name, "err", gone)
			}
			return nil, err
		}
		return raw, nil
	}
}
