package api

import (
	"context"
	"encoding/json"

	"berth/core/access"
	"berth/schema"
)

// Onboarding lets in agents that nobody has announced.
type Onboarding interface {
	Keys() []schema.OnboardingKey
	// Create makes a key of the private text, or of a new one when that is empty.
	Create(ctx context.Context, private string, k schema.OnboardingKey) (text string, made schema.OnboardingKey, err error)
	Edit(ctx context.Context, public string, edit func(*schema.OnboardingKey) error) (schema.OnboardingKey, error)
	Delete(ctx context.Context, public string) (schema.OnboardingKey, error)
	// Confirm makes a public nkey that of a server's agent.
	Confirm(ctx context.Context, by schema.Actor, server, nkey string) (schema.Target, error)
	// Onboard lets an agent in that shows an onboarding key, or was confirmed.
	Onboard(ctx context.Context, peer string, req schema.OnboardReq) (schema.OnboardResp, error)
}

type newOnboardingKey struct {
	Name       string   `json:"name" doc:"What it is for."`
	Expires    int64    `json:"expires,omitempty" doc:"Unix milliseconds; 0 or absent is never."`
	PrivateKey string   `json:"private_key,omitempty" doc:"Use this one, O_…_O, instead of making one."`
	Tags       []string `json:"tags,omitempty" doc:"Tags, by name or id, of the servers it makes."`
	Privileged bool     `json:"privileged,omitempty" doc:"It may give a server that there is another agent."`
	CopyServer string   `json:"copy_server,omitempty" doc:"Server whose settings they get, by name or id."`
	Builder    bool     `json:"create_builder,omitempty" doc:"Make a builder of each server too."`
}

type newOnboardingKeyAnswer struct {
	PrivateKey string               `json:"private_key"` // shown this once
	Created    schema.OnboardingKey `json:"created"`
}

type editOnboardingKey struct {
	PublicKey  string    `json:"public_key" doc:"Which."`
	Enabled    *bool     `json:"enabled,omitempty" doc:"Whether it lets anybody in."`
	Name       *string   `json:"name,omitempty" doc:"What it is for."`
	Expires    *int64    `json:"expires,omitempty" doc:"Unix milliseconds; 0 is never."`
	Tags       *[]string `json:"tags,omitempty" doc:"Tags, by name or id, of the servers it makes."`
	Privileged *bool     `json:"privileged,omitempty" doc:"It may give a server that there is another agent."`
	CopyServer *string   `json:"copy_server,omitempty" doc:"Server whose settings they get, by name or id."`
	Builder    *bool     `json:"create_builder,omitempty" doc:"Make a builder of each server too."`
}

type onboardingKeyRef struct {
	PublicKey string `json:"public_key" doc:"Which."`
}

// onboardingRows are the requests about agents that come by themselves.
func (a *API) onboardingRows() []Row {
	o := a.deps.Onboarding
	if o == nil {
		return nil
	}
	key := map[string]any{"public_key": "MCowBQYDK2VuAyEA…"}
	return []Row{
		Read(spec{name: "ListOnboardingKeys", doc: "List the keys by which agents make their own servers.", needs: access.IsAdmin, example: map[string]any{}},
			func(ctx context.Context, _ None) ([]schema.OnboardingKey, error) {
				list := o.Keys()
				for i := range list {
					list[i] = a.onboardingKey(list[i])
				}
				return list, ctx.Err()
			}),
		Write(spec{name: "CreateOnboardingKey", doc: "Make a key by which agents make their own servers; it is shown this once.", needs: access.IsAdmin, example: map[string]any{"name": "lab", "tags": []string{"lab"}}},
			a.createOnboardingKey),
		Write(spec{name: "UpdateOnboardingKey", doc: "Change an onboarding key: what is absent stays.", needs: access.IsAdmin, example: map[string]any{"public_key": "MCowBQYDK2VuAyEA…", "enabled": false}},
			a.updateOnboardingKey),
		Write(spec{name: "DeleteOnboardingKey", doc: "Delete an onboarding key; the servers that came with it stay.", needs: access.IsAdmin, example: key},
			func(ctx context.Context, p onboardingKeyRef) (schema.OnboardingKey, error) {
				k, err := o.Delete(ctx, p.PublicKey)
				return a.onboardingKey(k), err
			}),
		Login(spec{name: "OnboardServer", own: true, doc: "Let an agent in that shows an onboarding key, or that an administrator has confirmed; both ends prove who they are.", needs: access.Public, example: map[string]any{"name": "nexus", "nkey": "U…", "sent": 1764500000000, "nonce": "…", "sig": "…"}},
			func(ctx context.Context, p schema.OnboardReq) (schema.OnboardResp, error) {
				c, _ := access.CallerOf(ctx)
				return o.Onboard(ctx, c.Peer, p)
			}),
		Write(spec{name: "UpdateServerPublicKey", doc: "Make a key that of a server's agent: of one that lost its own and asks. The one before is shut out.", needs: access.CanEdit, kind: "server", example: map[string]any{"server": "my-server", "public_key": "U…"}},
			a.confirmServer),
		Write(spec{name: "RotateServerKeys", doc: "Have a server's agent change its key; both are good until the new one has proved itself.", needs: access.CanEdit, kind: "server", example: map[string]any{"server": "my-server"}},
			a.rotateServer),
	}
}

// onboardingKey is a key as clients read it: tags by id.
func (a *API) onboardingKey(k schema.OnboardingKey) schema.OnboardingKey {
	k.Tags = a.tagIDs(k.Tags)
	if k.Onboarded == nil {
		k.Onboarded = []string{}
	}
	return k
}

// copied is the id of a server that a key copies.
func (a *API) copied(server string) (string, error) {
	if server == "" {
		return "", nil
	}
	k, err := a.deps.Kinds.Kind("server")
	if err != nil {
		return "", err
	}
	t, err := k.Find(server)
	return t.ID, err
}

func (a *API) createOnboardingKey(ctx context.Context, p newOnboardingKey) (newOnboardingKeyAnswer, error) {
	k := schema.OnboardingKey{Name: p.Name, Expires: p.Expires, Privileged: p.Privileged, Builder: p.Builder}
	var err error
	if k.Tags, err = a.carried(ctx, p.Tags); err != nil {
		return newOnboardingKeyAnswer{}, err
	}
	if k.CopyServer, err = a.copied(p.CopyServer); err != nil {
		return newOnboardingKeyAnswer{}, err
	}
	text, k, err := a.deps.Onboarding.Create(ctx, p.PrivateKey, k)
	return newOnboardingKeyAnswer{text, a.onboardingKey(k)}, err
}

func (a *API) updateOnboardingKey(ctx context.Context, p editOnboardingKey) (schema.OnboardingKey, error) {
	var tags []string
	var from string
	var err error
	if p.Tags != nil {
		if tags, err = a.carried(ctx, *p.Tags); err != nil {
			return schema.OnboardingKey{}, err
		}
	}
	if p.CopyServer != nil {
		if from, err = a.copied(*p.CopyServer); err != nil {
			return schema.OnboardingKey{}, err
		}
	}
	k, err := a.deps.Onboarding.Edit(ctx, p.PublicKey, func(k *schema.OnboardingKey) error {
		given(&k.Enabled, p.Enabled)
		given(&k.Name, p.Name)
		given(&k.Expires, p.Expires)
		given(&k.Privileged, p.Privileged)
		given(&k.Builder, p.Builder)
		if p.Tags != nil {
			k.Tags = tags
		}
		if p.CopyServer != nil {
			k.CopyServer = from
		}
		return nil
	})
	return a.onboardingKey(k), err
}

// editable is a server that the caller may change.
func (a *API) editable(ctx context.Context, server string) (schema.Target, error) {
	k, err := a.deps.Kinds.Kind("server")
	if err != nil {
		return schema.Target{}, err
	}
	return a.permitted(ctx, k, server, access.CanEdit)
}

// given takes a value that was given.
func given[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}

func (a *API) confirmServer(ctx context.Context, p struct {
	Server    string `json:"server" doc:"Name or id."`
	PublicKey string `json:"public_key" doc:"The agent's public nkey: attempted_public_key of the server."`
},
) (Update, error) {
	began := a.deps.Now()
	t, err := a.editable(ctx, p.Server)
	if err != nil {
		return Update{}, err
	}
	c, _ := access.CallerOf(ctx)
	t, err = a.deps.Onboarding.Confirm(ctx, c.Actor, t.ID, p.PublicKey)
	if err != nil {
		return Update{}, err
	}
	return a.done(ctx, "UpdateServerKey", t, began, "key "+p.PublicKey), nil
}

func (a *API) rotateServer(ctx context.Context, p struct {
	Server string `json:"server" doc:"Name or id."`
},
) (Update, error) {
	t, err := a.editable(ctx, p.Server)
	if err != nil {
		return Update{}, err
	}
	params, err := json.Marshal(map[string]string{"server": t.ID})
	if err != nil {
		return Update{}, err
	}
	r, err := a.startOn(ctx, "RotateServerKeys", t, params)
	if err != nil {
		return Update{}, err
	}
	return updateOf(r), nil
}
