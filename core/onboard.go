package core

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"berth/bus"
	"berth/core/access"
	"berth/core/api"
	"berth/schema"
)

// onboardKey is what core keeps of an onboarding key, under the SHA-256 of its
// public half.
type onboardKey struct {
	schema.OnboardingKey
	Secret string `json:"secret"` // proofs are made with it; sealed
}

const (
	// clockSkew is how far an agent's clock may be off.
	clockSkew = 10 * time.Minute
	// maxServerText is how long a name or a key may be that somebody asks with.
	maxServerText = 200
)

// attempts are the keys that last asked to be the agent of a server that has
// another. They are asked again, so they are only in memory.
type attempts struct {
	failures *access.Failures
	// joining is held while an agent is let in: two that come at once for one server,
	// as copies of a machine do, must not each shut the other out.
	joining sync.Mutex

	mu sync.Mutex // guards what follows
	by map[string]string
}

func newAttempts() *attempts {
	return &attempts{failures: access.NewFailures(time.Now), by: map[string]string{}}
}

// of is the key that waits for a server.
func (a *attempts) of(server string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.by[server]
}

// note remembers a key, or forgets it when it is empty; news says that it is another.
func (a *attempts) note(server, nkey string) (news bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	news = a.by[server] != nkey
	if nkey == "" {
		delete(a.by, server)
		return news
	}
	a.by[server] = nkey
	return news
}

// onboarding lets in agents that bring an onboarding key, or that an administrator
// confirms.
type onboarding struct{ c *core }

func onboardID(public string) string {
	sum := sha256.Sum256([]byte(public))
	return hex.EncodeToString(sum[:])
}

// Keys implements api.Onboarding.
func (o onboarding) Keys() []schema.OnboardingKey {
	out := []schema.OnboardingKey{}
	for _, d := range o.c.onboard.List("") {
		out = append(out, d.Value.OnboardingKey)
	}
	slices.SortFunc(out, func(a, b schema.OnboardingKey) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Created, b.Created))
	})
	return out
}

// Create implements api.Onboarding.
func (o onboarding) Create(ctx context.Context, private string, k schema.OnboardingKey) (string, schema.OnboardingKey, error) {
	if private == "" {
		private = bus.NewOnboardKey()
	}
	key, err := bus.ParseOnboardKey(private)
	if err != nil {
		return "", k, err
	}
	sealed, err := o.c.sealer.Seal(key.Secret)
	if err != nil {
		return "", k, err
	}
	k.PublicKey, k.Enabled, k.Created, k.Onboarded = key.Public, true, time.Now().UnixMilli(), []string{}
	if _, err = o.c.onboard.Create(ctx, onboardID(key.Public), onboardKey{OnboardingKey: k, Secret: sealed}); schema.CodeOf(err) == schema.Conflict {
		err = schema.Errorf(schema.Conflict, "this onboarding key is there already")
	}
	return private, k, err
}

// Edit implements api.Onboarding.
func (o onboarding) Edit(ctx context.Context, public string, edit func(*schema.OnboardingKey) error) (schema.OnboardingKey, error) {
	d, err := o.c.onboard.Edit(ctx, onboardID(public), func(k *onboardKey) error { return edit(&k.OnboardingKey) })
	if schema.CodeOf(err) == schema.NotFound {
		err = schema.Errorf(schema.NotFound, "no onboarding key with this public_key")
	}
	return d.Value.OnboardingKey, err
}

// Delete implements api.Onboarding.
func (o onboarding) Delete(ctx context.Context, public string) (schema.OnboardingKey, error) {
	d, err := o.c.onboard.Get(onboardID(public))
	if err != nil {
		return schema.OnboardingKey{}, schema.Errorf(schema.NotFound, "no onboarding key with this public_key")
	}
	return d.Value.OnboardingKey, o.c.onboard.Delete(ctx, d.Key, 0)
}

// Confirm implements api.Onboarding: it makes a key that of a server's agent.
func (o onboarding) Confirm(ctx context.Context, by schema.Actor, server, nkey string) (schema.Target, error) {
	t, err := o.c.kinds.servers.Find(server)
	if err != nil {
		return t, err
	}
	o.c.attempts.joining.Lock()
	defer o.c.attempts.joining.Unlock()
	if err := o.c.principals.Admit(ctx, t, nkey, "another key was confirmed by "+by.Name); err != nil {
		return t, err
	}
	o.c.attempts.note(t.ID, "")
	o.c.cfg.Log.Info("an agent's key was confirmed", "server", t.Name, "key", nkey, "by", by.Name)
	o.c.changes.announce(schema.Change{Topic: "server", ID: t.ID})
	return t, nil
}

// Onboard implements api.Onboarding: it lets an agent in, or says why not.
func (o onboarding) Onboard(ctx context.Context, peer string, req schema.OnboardReq) (schema.OnboardResp, error) {
	if wait := o.c.attempts.failures.Wait(peer); wait > 0 {
		return schema.OnboardResp{}, schema.Errorf(schema.TooMany, "too many wrong onboarding keys: try again in %s", wait.Round(time.Second))
	}
	if len(req.Name) > maxServerText || len(req.NKey) > maxServerText {
		return schema.OnboardResp{}, schema.Errorf(schema.Invalid, "name and nkey have at most %d bytes", maxServerText)
	}
	t, secret, err := o.admit(ctx, req)
	if err != nil {
		if code := schema.CodeOf(err); code == schema.Unauthenticated {
			o.c.attempts.failures.Add(peer)
		}
		o.c.cfg.Log.Warn("an agent that core does not know was refused", "from", peer, "as", req.Name, "key", req.NKey, "why", schema.SafeText(err))
		return schema.OnboardResp{}, err
	}
	return bus.AnswerOnboard(req, schema.OnboardResp{Server: t, Pin: o.c.tls.pins()}, o.c.signer.Seed(), secret)
}

// admit decides about a request: whose agent it may be.
func (o onboarding) admit(ctx context.Context, req schema.OnboardReq) (t schema.Target, secret []byte, err error) {
	if err := bus.CheckOnboardNKey(req); err != nil {
		return t, nil, err
	}
	if off := time.Since(time.UnixMilli(req.Sent)).Abs(); off > clockSkew {
		return t, nil, schema.Errorf(schema.Invalid, "the clocks of this server and of core are %s apart: set them right", off.Round(time.Second))
	}
	var key *onboardKey
	if req.Key != "" {
		if key, secret, err = o.proved(req); err != nil {
			return t, nil, err
		}
	}
	if key != nil {
		o.c.attempts.joining.Lock()
		defer o.c.attempts.joining.Unlock()
	}
	t, err = o.c.kinds.servers.Find(req.Name)
	switch {
	case err == nil && slices.Contains(o.c.principals.KeysOf(t.ID), req.NKey):
		return t, secret, nil
	case key == nil:
		return t, nil, o.unproved(t, err == nil, req)
	case schema.CodeOf(err) == schema.NotFound:
		if err = o.c.principals.Admissible("", req.NKey); err == nil {
			t, err = o.make(ctx, req.Name, key)
		}
	case err == nil:
		err = o.claim(ctx, t, key, req.NKey)
	}
	if err != nil {
		return t, nil, err
	}
	if err := o.c.principals.Admit(ctx, t, req.NKey, "the server came again with onboarding key "+key.Name); err != nil {
		return t, nil, err
	}
	o.c.attempts.note(t.ID, "")
	_, err = o.Edit(ctx, key.PublicKey, func(k *schema.OnboardingKey) error {
		if !slices.Contains(k.Onboarded, t.ID) {
			k.Onboarded = append(k.Onboarded, t.ID)
		}
		return nil
	})
	o.c.cfg.Log.Info("an agent was let in with an onboarding key", "server", t.Name, "onboarding_key", key.Name, "key", req.NKey)
	o.c.changes.announce(schema.Change{Topic: "server", ID: t.ID})
	return t, secret, err
}

// proved returns the onboarding key of a request, with its secret. Why a key is not
// good any more is told only to those who have it.
func (o onboarding) proved(req schema.OnboardReq) (*onboardKey, []byte, error) {
	d, err := o.c.onboard.Get(onboardID(req.Key))
	unknown := schema.Errorf(schema.Unauthenticated, "core does not know this onboarding key: it was deleted, or is of another core")
	if err != nil {
		return nil, nil, unknown
	}
	k := d.Value
	secret, err := o.c.sealer.Unseal(k.Secret)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case !bus.CheckOnboardKey(req, secret):
		return nil, nil, unknown
	case !k.Enabled:
		return nil, nil, schema.Errorf(schema.Denied, "the onboarding key %q is disabled: enable it, or make another", k.Name)
	case k.Expires > 0 && k.Expires <= time.Now().UnixMilli():
		return nil, nil, schema.Errorf(schema.Denied, "the onboarding key %q expired at %s: give it more time, or make another", k.Name, time.UnixMilli(k.Expires).UTC().Format("2006-01-02 15:04 UTC"))
	}
	return &k, secret, nil
}

// unproved refuses an agent that shows nothing: an administrator has to confirm it.
// Whether there is such a server is not told to strangers.
func (o onboarding) unproved(t schema.Target, known bool, req schema.OnboardReq) error {
	if known {
		o.wait(t, req.NKey)
	}
	return schema.Errorf(schema.Conflict, "core lets no agent in as %q without a join token or an onboarding key: if there is this server, an administrator "+
		"lets this one in with `berth server confirm %s %s`", req.Name, req.Name, req.NKey)
}

// wait shows a key at the server whose agent's it would be.
func (o onboarding) wait(t schema.Target, nkey string) {
	if o.c.attempts.note(t.ID, nkey) {
		o.c.changes.announce(schema.Change{Topic: "server", ID: t.ID})
	}
}

// claim decides whether a key may become that of a server that is there: when that has
// none, or when the onboarding key is privileged. Else an administrator has to confirm
// it.
func (o onboarding) claim(ctx context.Context, t schema.Target, key *onboardKey, nkey string) error {
	if err := o.c.principals.Admissible(t.ID, nkey); err != nil {
		return err
	}
	if key.Privileged || len(o.c.principals.KeysOf(t.ID)) == 0 {
		return o.ready(ctx, t, key.Privileged)
	}
	o.wait(t, nkey)
	return schema.Errorf(schema.Conflict, "the server %q has another agent: an administrator lets this one in with "+
		"`berth server confirm %s %s`, or a privileged onboarding key does", t.Name, t.Name, nkey)
}

// ready has a privileged key make a server fit for an agent that dials core.
func (o onboarding) ready(ctx context.Context, t schema.Target, privileged bool) error {
	s, err := o.c.kinds.servers.Get(ctx, t.ID)
	if err != nil || !privileged || s.Config.Enabled && s.Config.Address == "" {
		return err
	}
	s.Config.Enabled, s.Config.Address = true, ""
	_, err = o.c.kinds.servers.Put(ctx, s)
	return err
}

// make makes the server of an agent that comes with an onboarding key.
func (o onboarding) make(ctx context.Context, name string, key *onboardKey) (schema.Target, error) {
	cfg := schema.DefaultServer()
	if key.CopyServer != "" {
		from, err := o.c.kinds.servers.Get(ctx, key.CopyServer)
		if err != nil {
			return schema.Target{}, schema.Wrap(schema.Conflict, err, "the server that onboarding key %q copies is not there any more", key.Name)
		}
		cfg = from.Config
		cfg.ExternalAddress = ""
	}
	cfg.Enabled, cfg.Address = true, ""
	s, err := o.c.kinds.servers.Put(ctx, schema.Resource[schema.ServerConfig]{Name: name, Tags: slices.Clone(key.Tags), Config: cfg})
	if err != nil {
		return schema.Target{}, err
	}
	if key.Builder {
		b := schema.Resource[schema.BuilderConfig]{Name: s.Name, Tags: slices.Clone(key.Tags), Config: schema.BuilderConfig{
			Type: "Server", Server: &schema.ServerBuilder{ServerIDs: schema.StrList{s.ID}},
		}}
		if _, err := o.c.kinds.builders.Put(ctx, b); err != nil && schema.CodeOf(err) != schema.Conflict {
			return schema.Target{}, fmt.Errorf("make the builder of %s: %w", s.Name, err)
		}
	}
	return s.Target("server"), nil
}

var _ api.Onboarding = onboarding{}
