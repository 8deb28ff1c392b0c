// Package synctest is a world for tests of syncs: a live store, every kind of
// resource, a git server, and a fleet that stands as a test says.
package synctest

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/core/resource"
	"berth/core/store"
	coresync "berth/core/sync"
	"berth/git"
	"berth/git/gittest"
	"berth/schema"
)

// World is what a Syncer lives in.
type World struct {
	*coresync.Syncer
	T        testing.TB
	Bus      *bustest.Bus
	Forge    *gittest.Fixture
	Registry *resource.Registry
	Syncs    *resource.Kind[schema.SyncConfig]
	Stacks   *resource.Kind[schema.StackConfig]
	Files    string // folder of files on core's host
	Config   coresync.Config

	mu       sync.Mutex
	deployed map[string]*schema.Deployed
	state    map[string]string
	offline  map[string]bool
	raised   []schema.Alert
	resolved []string
}

// New makes a world without resources. change, if any, may change the Syncer's
// settings.
func New(t testing.TB, change ...func(*coresync.Config)) *World {
	t.Helper()
	w := &World{T: t, Bus: bustest.New(t), Forge: gittest.New(t), Files: t.TempDir(), deployed: map[string]*schema.Deployed{}, state: map[string]string{}, offline: map[string]bool{}}
	docs, err := store.Open[json.RawMessage](t.Context(), w.Bus.Core, bus.BucketResources, store.Options{})
	w.Must(err)
	states, err := store.Open[schema.SyncState](t.Context(), w.Bus.Core, bus.BucketSyncs, store.Options{History: 1})
	w.Must(err)
	sealer, err := store.OpenSealer(t.TempDir())
	w.Must(err)
	g := resource.NewRegistry(resource.Options{Bucket: docs, Sealer: sealer, Now: time.Now, Log: bustest.Log(t)})
	w.Registry = g
	resource.Register(g, "variable", schema.DefaultVariable, resource.Named(schema.VariableName), resource.Flat())
	resource.Register(g, "user_group", schema.DefaultUserGroup, resource.Flat())
	resource.Register(g, "server", schema.DefaultServer)
	resource.Register(g, "swarm", schema.DefaultSwarm)
	resource.Register(g, "builder", schema.DefaultBuilder)
	repos := resource.Register(g, "repo", schema.DefaultRepo, resource.Named(schema.RepoName))
	resource.Register(g, "build", schema.DefaultBuild, resource.Named(schema.StackName))
	w.Stacks = resource.Register(g, "stack", schema.DefaultStack, resource.Named(schema.StackName))
	resource.Register(g, "deployment", schema.DefaultDeployment, resource.Named(schema.DeploymentName))
	resource.Register(g, "action", schema.DefaultAction)
	w.Syncs = resource.Register(g, "resource_sync", schema.DefaultSync)
	resource.Register(g, "alerter", schema.DefaultAlerter)
	resource.Register(g, "procedure", schema.DefaultProcedure)
	client := git.New(bustest.Log(t))
	t.Cleanup(client.Close)
	w.Config = coresync.Config{
		Dir: t.TempDir(), Files: w.Files, Git: client, Registry: g, Syncs: w.Syncs, Repos: repos, States: states, Secrets: w, Fleet: w, Alerts: w,
		Poll: -1, Now: time.Now, Log: bustest.Log(t),
	}
	for _, fn := range change {
		fn(&w.Config)
	}
	w.Syncer = coresync.New(w.Config)
	return w
}

// Must ends the test on an error.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Sync makes a sync of a repository: the settings that are given count, over those
// of a git sync of the forge's repository that reads everything.
func (w *World) Sync(name, repo string, set map[string]any) schema.Target {
	w.T.Helper()
	config := map[string]any{
		"git_provider": w.Forge.URL(), "git_https": false, "repo": repo, "resource_path": []string{"."},
	}
	if repo == "" {
		config = map[string]any{}
	}
	maps.Copy(config, set)
	text, err := json.Marshal(config)
	w.Must(err)
	k, err := w.Registry.Kind("resource_sync")
	w.Must(err)
	_, err = k.Create(w.T.Context(), name, text)
	w.Must(err)
	t, err := k.Find(name)
	w.Must(err)
	return t
}

// Apply applies files at once, as somebody by hand.
func (w *World) Apply(text string) {
	w.T.Helper()
	p, err := w.Registry.Plan(w.T.Context(), []resource.File{{Name: "test.toml", Text: text}})
	w.Must(err)
	w.Must(w.Registry.Apply(w.T.Context(), p))
}

// Names lists what is stored of a kind.
func (w *World) Names(kind string) []string {
	w.T.Helper()
	k, err := w.Registry.Kind(kind)
	w.Must(err)
	list, err := k.Match("*", nil)
	w.Must(err)
	var out []string
	for _, t := range list {
		out = append(out, t.Name)
	}
	return out
}

// Update changes settings of a resource, as somebody by hand.
func (w *World) Update(kind, name string, set map[string]any) {
	w.T.Helper()
	k, err := w.Registry.Kind(kind)
	w.Must(err)
	text, err := json.Marshal(set)
	w.Must(err)
	_, err = k.Update(w.T.Context(), name, text)
	w.Must(err)
}

// SetDeployed says what the last deploy of a stack left behind, and that it runs.
func (w *World) SetDeployed(stack string, d *schema.Deployed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deployed[stack] = d
	if w.state[stack] == "" {
		w.state[stack] = "running"
	}
}

// Stands says how a stack or deployment is.
func (w *World) Stands(name, state string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state[name] = state
}

// Offline says that a server is away.
func (w *World) Offline(server string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offline[server] = true
}

// Standing answers as the test said.
func (w *World) Standing(_ context.Context, t schema.Target) (coresync.Standing, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := coresync.Standing{State: w.state[t.Name], Deployed: w.deployed[t.Name]}
	if st.State == "" {
		st.State = "down"
	}
	if t.Kind == "stack" {
		if r, err := w.Stacks.Masked(t.ID); err == nil && r.Config.ServerID != "" {
			if k, err := w.Registry.Kind("server"); err == nil {
				st.Server, _ = k.Find(r.Config.ServerID)
			}
		}
	}
	st.Online = !w.offline[st.Server.Name]
	return st, nil
}

// GitToken knows no account.
func (w *World) GitToken(_, _ string) (string, bool, bool) { return "", false, false }

// Variable returns a stored variable.
func (w *World) Variable(_ context.Context, _ string) (string, bool, error) { return "", false, nil }

// Raise keeps an alert.
func (w *World) Raise(_ context.Context, a schema.Alert) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.raised = append(w.raised, a)
	return nil
}

// Resolve keeps that an alert ended.
func (w *World) Resolve(_ context.Context, key string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resolved = append(w.resolved, key)
	return nil
}

// Alerts returns what was raised and resolved so far.
func (w *World) Alerts() (raised []schema.Alert, resolved []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.raised), slices.Clone(w.resolved)
}

// All applies every change of a plan, as a run does, without deploying.
func (w *World) All(sync string, confirm bool) schema.SyncPlan {
	w.T.Helper()
	ctx := w.T.Context()
	p, err := w.Decide(ctx, sync, coresync.Request{})
	w.Must(err)
	if p.Problem != nil {
		w.T.Fatalf("no plan: %s", p.Problem.Text)
	}
	if p.Guard != "" && !confirm {
		w.T.Fatal(p.Guard)
	}
	work, err := w.Begin(ctx, p, coresync.Request{})
	w.Must(err)
	for _, c := range work.Todo() {
		w.Must(work.Do(ctx, c))
	}
	w.Must(w.Done(ctx, p.Sync.ID, schema.SyncDone{At: p.At, Commit: p.Commit, Source: p.Source}))
	return p
}
