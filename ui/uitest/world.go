// Package uitest is a small made-up installation for tests of the pages: it
// satisfies everything that ui asks for, from values in memory.
//
// A World may be used by any number of goroutines.
package uitest

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"berth/schema"
	"berth/ui"
)

// The account that Login accepts, and the one open setup token.
const (
	Username = "mira"
	Password = "correct horse"
	Token    = "setup-token"
	Session  = "session-of-mira"
)

// World is the installation. Its fields may be changed before it is served, and
// later under Change.
type World struct {
	Base         time.Time
	ServerList   []schema.ServerView
	StackList    []schema.StackView
	RepoList     []schema.RepoView
	ProcList     []schema.ProcedureView
	VarList      []schema.Resource[schema.VariableConfig]
	RunList      []schema.Run // newest first
	DelivList    []schema.Delivery
	Chunks       []ui.Chunk
	PlanAnswer   ui.Plan
	Others       map[string][]ui.Resource // of the kinds that have no list above
	BuildList    []schema.BuildView
	DeployList   []schema.DeploymentView
	SyncStates   map[string]schema.SyncState // by id
	Times        []schema.ScheduleView
	AlertList    []schema.Alert // newest first
	Outbox       []schema.AlertDelivery
	NoUser       bool // nobody has been set up yet
	AutoRedirect bool // the sign-in page goes straight to the provider

	Calls []Call // what was asked for, in order

	mu       sync.Mutex // guards all of the above once served
	watchers []chan schema.Change
	tails    []chan ui.Chunk
}

// Call is one thing that a page made happen.
type Call struct {
	What, Name string
	Data       string
}

// Deps returns what ui.New takes.
func (w *World) Deps() ui.Deps {
	return ui.Deps{Resources: w, History: w, Feed: w, Actor: w, Editor: w, Catalog: w, Standing: w, Alerts: alerts{w}, Joiner: w, Gate: w, Door: door{w}, Account: account{w}, Version: "0.1.0", Instance: "home"}
}

// Change changes the world and says so.
func (w *World) Change(topic, id string, f func()) {
	w.mu.Lock()
	f()
	watchers := slices.Clone(w.watchers)
	w.mu.Unlock()
	for _, c := range watchers {
		c <- schema.Change{Topic: topic, ID: id}
	}
}

// Emit appends output to a run's step and hands it to those who listen.
func (w *World) Emit(run, step string, entries ...schema.Entry) {
	w.mu.Lock()
	c := ui.Chunk{Seq: uint64(len(w.Chunks) + 1), Output: schema.Output{Run: run, Step: step, Entries: entries}}
	for _, old := range w.Chunks {
		if old.Run == run && old.Step == step {
			c.First = old.First + len(old.Entries)
		}
	}
	w.Chunks = append(w.Chunks, c)
	tails := slices.Clone(w.tails)
	w.mu.Unlock()
	for _, t := range tails {
		t <- c
	}
}

// Listeners returns how many watch and tail.
func (w *World) Listeners() (watchers, tails int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.watchers), len(w.tails)
}

// Called returns what was asked for so far.
func (w *World) Called() []Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.Calls)
}

func (w *World) call(what, name, data string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Calls = append(w.Calls, Call{what, name, data})
}

func read[T any](w *World, list *[]T) ([]T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(*list), nil
}

// Servers implements ui.Resources.
func (w *World) Servers(context.Context) ([]schema.ServerView, error) { return read(w, &w.ServerList) }

// Stacks implements ui.Resources.
func (w *World) Stacks(context.Context) ([]schema.StackView, error) { return read(w, &w.StackList) }

// Repos implements ui.Resources.
func (w *World) Repos(context.Context) ([]schema.RepoView, error) { return read(w, &w.RepoList) }

// Procedures implements ui.Resources.
func (w *World) Procedures(context.Context) ([]schema.ProcedureView, error) {
	return read(w, &w.ProcList)
}

// Variables implements ui.Resources.
func (w *World) Variables(context.Context) ([]schema.Resource[schema.VariableConfig], error) {
	return read(w, &w.VarList)
}

// Webhooks implements ui.Resources.
func (w *World) Webhooks(context.Context) ([]ui.Webhook, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []ui.Webhook
	for _, p := range w.ProcList {
		out = append(out, ui.Webhook{Target: p.Resource.Target("procedure"), Path: "/listener/github/procedure/" + p.Resource.ID + "/main", Branch: "main", Action: "runs it", Enabled: p.Resource.Config.WebhookEnabled, Secret: true})
	}
	for _, s := range w.StackList {
		out = append(out, ui.Webhook{Target: s.Resource.Target("stack"), Path: "/listener/github/stack/" + s.Resource.ID + "/deploy", Branch: "main", Action: "deploys it", Enabled: s.Resource.Config.WebhookEnabled})
	}
	return out, nil
}

// Runs filters by what tests need.
func (w *World) Runs(_ context.Context, f schema.RunFilter) ([]schema.Run, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []schema.Run
	for _, r := range w.RunList {
		switch {
		case f.Pending && r.State.Terminal(), f.Before > 0 && r.Number >= f.Before,
			f.Parent == "-" && r.Parent != "", f.Parent != "" && f.Parent != "-" && r.Parent != f.Parent,
			f.Kind != "" && r.Target.Kind != f.Kind, f.Target != "" && r.Target.ID != f.Target, f.Server != "" && r.Server.ID != f.Server,
			f.Failed != nil && (!r.State.Terminal() || r.State.Good() == *f.Failed), f.Cause != "" && r.Cause.Kind != f.Cause, f.From > r.Queued:
			continue
		}
		if out = append(out, r); f.Limit > 0 && len(out) == f.Limit {
			break
		}
	}
	return out, nil
}

// Run finds a run by id or number.
func (w *World) Run(_ context.Context, id string) (*schema.Run, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.RunList {
		if r := &w.RunList[i]; r.ID == id || strconv.FormatUint(r.Number, 10) == id {
			return r.Clone(), nil
		}
	}
	return nil, schema.Errorf(schema.NotFound, "There is no run %q.", id)
}

// Output yields the stored chunks of a run.
func (w *World) Output(_ context.Context, run string, after uint64) iter.Seq2[ui.Chunk, error] {
	w.mu.Lock()
	chunks := slices.Clone(w.Chunks)
	w.mu.Unlock()
	return func(yield func(ui.Chunk, error) bool) {
		for _, c := range chunks {
			if c.Run == run && c.Seq > after && !yield(c, nil) {
				return
			}
		}
	}
}

// Deliveries implements ui.History.
func (w *World) Deliveries(_ context.Context, limit int) ([]schema.Delivery, error) {
	list, err := read(w, &w.DelivList)
	return list[:min(limit, len(list))], err
}

// Watch yields changes until ctx ends.
func (w *World) Watch(ctx context.Context) iter.Seq[schema.Change] {
	return listen(ctx, w, &w.watchers)
}

// Tail yields output until ctx ends.
func (w *World) Tail(ctx context.Context) iter.Seq[ui.Chunk] { return listen(ctx, w, &w.tails) }

func listen[T any](ctx context.Context, w *World, list *[]chan T) iter.Seq[T] {
	c := make(chan T, 1024)
	w.mu.Lock()
	*list = append(*list, c)
	w.mu.Unlock()
	return func(yield func(T) bool) {
		for {
			select {
			case <-ctx.Done():
				return
			case v := <-c:
				if !yield(v) {
					return
				}
			}
		}
	}
}

// Start implements ui.Actor.
func (w *World) Start(_ context.Context, _ schema.Actor, action string, params json.RawMessage) (string, error) {
	w.call("start", action, string(params))
	return w.RunList[0].ID, nil
}

// Cancel implements ui.Actor.
func (w *World) Cancel(_ context.Context, _ schema.Actor, run string) error {
	w.call("cancel", run, "")
	return nil
}

// Approve implements ui.Actor.
func (w *World) Approve(_ context.Context, _ schema.Actor, run, stage string) error {
	w.call("approve", run, stage)
	return nil
}

// Redeliver implements ui.Actor.
func (w *World) Redeliver(_ context.Context, _ schema.Actor, id string) (schema.Delivery, error) {
	w.call("redeliver", id, "")
	return schema.Delivery{ID: id}, nil
}

// TOML implements ui.Editor.
func (w *World) TOML(_ context.Context, kind, name string) (string, error) {
	return "[[" + kind + "]]\nname = \"" + name + "\"\n[" + kind + ".config]\nserver = \"nexus\"\nlinked_repo = \"homelab\"\nrun_directory = \"" + name + "\"\n", nil
}

// Plan implements ui.Editor.
func (w *World) Plan(context.Context, string) (ui.Plan, error) { return w.PlanAnswer, nil }

// Apply implements ui.Editor.
func (w *World) Apply(_ context.Context, _ schema.Actor, text string) (ui.Plan, error) {
	w.call("apply", "", text)
	return w.PlanAnswer, nil
}

// Save implements ui.Editor.
func (w *World) Save(_ context.Context, _ schema.Actor, kind, name string, patch json.RawMessage) error {
	w.call("save", kind+"/"+name, string(patch))
	return nil
}

// Delete implements ui.Editor.
func (w *World) Delete(_ context.Context, _ schema.Actor, kind, name string) error {
	w.call("delete", kind+"/"+name, "")
	return nil
}

// Join implements ui.Joiner.
func (w *World) Join(_ context.Context, _ schema.Actor, server string) (ui.Join, error) {
	if server == "" {
		return ui.Join{}, schema.Errorf(schema.Invalid, "Give the server a name.")
	}
	w.call("join", server, "")
	return ui.Join{Command: "berth periphery --core https://berth.example.org --token bj1.k7f2m9x4q8w3.NAXQ5V2Z6PDE4RTY7UHB", Expires: time.Now().Add(time.Hour).UnixMilli()}, nil
}

// Revoke implements ui.Joiner.
func (w *World) Revoke(_ context.Context, _ schema.Actor, server string) error {
	w.call("revoke", server, "")
	return nil
}

// Fresh implements ui.Gate.
func (w *World) Fresh(context.Context) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.NoUser
}

// SetupOpen implements ui.Gate.
func (w *World) SetupOpen(_ context.Context, token string) bool { return token == Token }

// Setup implements ui.Gate.
func (w *World) Setup(_ context.Context, c ui.Credentials) (string, error) {
	if c.Token != Token || len(c.Password) < 10 {
		return "", schema.Errorf(schema.Invalid, "The password needs at least 10 characters.")
	}
	w.call("setup", c.Username, "")
	return Session, nil
}

// Session implements ui.Gate.
func (w *World) Session(_ context.Context, session string) (schema.Actor, error) {
	if session != Session {
		return schema.Actor{}, schema.Errorf(schema.Unauthenticated, "The session has ended.")
	}
	return schema.Actor{Kind: "user", ID: "u1", Name: Username}, nil
}

// Enter implements ui.Gate: everybody is an administrator here.
func (w *World) Enter(ctx context.Context, _ schema.Actor, _ string) (context.Context, bool, error) {
	return ctx, true, nil
}

// Logout implements ui.Gate.
func (w *World) Logout(context.Context, string) error { return nil }
