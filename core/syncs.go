package core

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"berth/bus"
	"berth/core/api"
	"berth/core/run"
	"berth/core/store"
	"berth/core/sync"
	"berth/core/webhook"
	"berth/git"
	"berth/schema"
)

// openSyncs makes what plans syncs.
func (c *core) openSyncs(ctx context.Context) error {
	states, err := store.Open[schema.SyncState](ctx, c.conn, bus.BucketSyncs, store.Options{History: 1, Log: c.cfg.Log})
	if err != nil {
		return err
	}
	c.git = git.New(c.cfg.Log)
	world := syncWorld{c}
	c.syncs = sync.New(sync.Config{
		Dir: filepath.Join(c.cfg.Data, "core", "repos"), Files: filepath.Join(c.cfg.Data, "syncs"), Git: c.git, Registry: c.registry,
		Syncs: c.kinds.syncs, Repos: c.kinds.repos, States: states, Secrets: world, Fleet: world, Alerts: c.alerts, Runs: world,
		Poll: c.cfg.Poll, Recipients: c.recipients, Joined: c.joined, Now: time.Now, Log: c.cfg.Log,
	})
	c.kinds.stacks.Vet(c.vetStack)
	states.Watch(func(ch store.Change[schema.SyncState]) {
		c.changes.announce(schema.Change{Topic: "resource_sync", ID: ch.Doc.Key})
	})
	c.deployed.Watch(func(store.Change[schema.Deployed]) { c.syncs.Stir() })
	return nil
}

// runSyncs looks at sources until ctx ends.
func (c *core) runSyncs(ctx context.Context) error {
	defer c.git.Close()
	return c.syncs.Run(ctx)
}

// recipients are the age recipients of a server's agent.
func (c *core) recipients(server string) []string {
	if st := c.monitor.Server(server).Status; st != nil {
		return st.Recipients
	}
	return nil
}

// joined reports whether a server has an agent that may connect, and whether it is
// here.
func (c *core) joined(server string) (joined, online bool) {
	online, since := c.online(server)
	return online || !since.IsZero(), online
}

// vetStack refuses settings of a stack whose compose files are not where they say.
// A save does not depend on the git host: what cannot be looked at is said in the
// log, and again by the deploy.
func (c *core) vetStack(ctx context.Context, was *schema.StackConfig, now schema.StackConfig) error {
	if !sync.SourceChanged(was, now) {
		return nil
	}
	warning, err := c.syncs.CheckStack(ctx, now)
	if warning != "" {
		c.cfg.Log.Warn("a stack is saved unseen", "repo", now.Repo, "linked_repo", now.LinkedRepo, "reason", warning)
	}
	return err
}

// syncWorld is core as syncs see it.
type syncWorld struct{ c *core }

// GitToken returns the token of an account at a git host.
func (w syncWorld) GitToken(provider, account string) (token string, http, ok bool) {
	list := w.c.logins(api.GitAccounts)
	i := slices.IndexFunc(list, func(a Account) bool { return a.Provider == provider && a.Username == account })
	if i < 0 {
		return "", false, false
	}
	return list[i].Token, list[i].HTTP, true
}

// Variable returns a variable's value.
func (w syncWorld) Variable(ctx context.Context, name string) (string, bool, error) {
	v, err := w.c.kinds.variables.Get(ctx, name)
	if schema.CodeOf(err) == schema.NotFound {
		return "", false, nil
	}
	return v.Config.Value, err == nil, err
}

// Start starts a run of a sync that runs by itself.
func (w syncWorld) Start(ctx context.Context, req run.StartReq) (*schema.Run, error) {
	return w.c.engine.Start(ctx, req)
}

// Busy reports whether a run of a sync has not ended.
func (w syncWorld) Busy(ctx context.Context, sync string) (bool, error) {
	list, err := w.c.engine.List(ctx, schema.RunFilter{Kind: "resource_sync", Target: sync, Action: "RunSync", Pending: true, Limit: 1})
	return len(list) > 0, err
}

// Standing says how a stack or deployment is.
func (w syncWorld) Standing(_ context.Context, t schema.Target) (sync.Standing, error) {
	st := sync.Standing{State: "unknown"}
	server := ""
	switch t.Kind {
	case "stack":
		r, err := w.c.kinds.stacks.Masked(t.ID)
		if err != nil {
			return st, err
		}
		v := w.c.stackView(r, nil)
		st.State, st.Deployed, server = string(v.State), v.Deployed, r.Config.ServerID
	case "deployment":
		r, err := w.c.kinds.deployments.Masked(t.ID)
		if err != nil {
			return st, err
		}
		v := w.c.deploymentView(r, nil)
		st.State, st.Deployed, server = v.State, v.Deployed, r.Config.ServerID
	}
	if server == "" {
		return st, nil
	}
	s, err := w.c.kinds.servers.Find(server)
	st.Server = s
	st.Online, _ = w.c.online(server)
	return st, err
}

func (t targets) sync(ctx context.Context, ref string) (webhook.Target, error) {
	s, err := t.c.kinds.syncs.Get(ctx, ref)
	if err != nil {
		return webhook.Target{}, err
	}
	w := webhook.Target{Target: s.Target("resource_sync"), Branch: s.Config.Branch, Enabled: s.Config.WebhookEnabled, Secret: s.Config.WebhookSecret}
	return t.linked(ctx, w, s.Config.LinkedRepo)
}
