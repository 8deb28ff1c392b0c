package core

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"math"
	"slices"
	"strconv"
	"time"

	"berth/bus"
	"berth/core/access"
	"berth/core/api"
	"berth/core/resource"
	"berth/core/webhook"
	"berth/schema"
	"berth/ui"
)

// apiDeps is what the requests see of core.
func (c *core) apiDeps() api.Deps {
	return api.Deps{
		Gate: c.gate, Peers: c.peers, Kinds: c.registry, Views: c, Accounts: accounts{c}, Tags: c.tags, Edits: c.edits, Sources: sources{c}, Builds: c, Singles: c, Engine: c.engine, Order: c.execution.Order, Approvals: c.engine, Output: c.conn,
		Deliveries: deliveries{c.journal, c.webhooks}, Fleet: fleet{c}, Maintenance: maintenance{c}, Alerts: c.alerts, Audit: c.conn, Updates: updates{c}, Schedules: c.schedules, History: c.history,
		Syncs: c.syncs, CheckPlan: c.syncs.CheckPlan, Tail: c.tail,
		Onboarding: onboarding{c}, Transparent: c.cfg.TransparentMode, NoCreate: c.cfg.DisableNonAdminCreate,
		Ask: func(ctx context.Context, server, question string, req any) (json.RawMessage, error) {
			return bus.Ask(ctx, c.conn, server, schema.Query[any, json.RawMessage]{Name: question}, req)
		},
		CORS: c.cfg.CORS, CrossSite: c.cfg.SignIn.CrossSite, Title: c.title(), Version: c.cfg.Version, URL: c.cfg.URL, PublicKey: c.signer.Public(), Now: time.Now, Log: c.cfg.Log,
	}
}

func (c *core) title() string { return cmp.Or(c.cfg.Title, "Berth") }

type deliveries struct {
	*webhook.Journal
	handler *webhook.Handler
}

// Redeliver handles a stored delivery as if it came again.
func (d deliveries) Redeliver(ctx context.Context, by schema.Actor, id string) (schema.Delivery, error) {
	return d.handler.Redeliver(ctx, by, id)
}

// chunk is output with its place in the stream.
type chunk struct {
	seq uint64
	out schema.Output
}

// tail yields the output of all runs as it comes, from now on.
func (c *core) tail(ctx context.Context) iter.Seq2[uint64, schema.Output] {
	return func(yield func(uint64, schema.Output) bool) {
		ctx, cancel := context.WithCancel(ctx)
		ch, done := make(chan chunk, 256), make(chan struct{})
		go func() { defer close(done); c.follow(ctx, ch) }()
		defer func() { cancel(); <-done }()
		for {
			select {
			case it := <-ch:
				if !yield(it.seq, it.out) {
					return
				}
			case <-done:
				return
			}
		}
	}
}

// follow hands the output of all runs to ch until ctx ends.
func (c *core) follow(ctx context.Context, ch chan<- chunk) {
	err := c.conn.Tail(ctx, func(seq uint64, agent string, out schema.Output) {
		if !c.genuine(ctx, agent, out) {
			return
		}
		select {
		case ch <- chunk{seq, out}:
		case <-ctx.Done():
		}
	})
	if err != nil && ctx.Err() == nil {
		c.cfg.Log.Warn("follow the output of runs", "err", err)
	}
}

// genuine reports whether output comes from the agent that the step was given to:
// an agent may publish under any run.
func (c *core) genuine(ctx context.Context, agent string, out schema.Output) bool {
	r, err := c.engine.Get(ctx, out.Run)
	if err != nil {
		return false
	}
	s := r.StepByCommand(out.Command)
	return s != nil && s.Server.ID == agent
}

// pages is what the UI sees of core.
func (c *core) pages() ui.Deps {
	p := pages{c}
	return ui.Deps{
		Resources: p, History: p, Feed: p, Actor: p, Editor: p, Catalog: catalog{c}, Standing: standing{c},
		Alerts: pageAlerts{c}, Joiner: p, Gate: gate{c.gate, c.api}, Door: entrance{c.gate, c.api}, Account: profile{c.gate, c.api}, Peer: c.peers.Of,
		Log: c.cfg.Log, Version: c.cfg.Version, Instance: c.cfg.Title,
	}
}

type pages struct{ *core }

// Variables returns all variables, secret values left out.
func (p pages) Variables(context.Context) ([]schema.Resource[schema.VariableConfig], error) {
	list, err := p.kinds.variables.All()
	out := slices.Clone(list)
	for i := range out {
		if out[i].Config.IsSecret {
			out[i].Config.Value = ""
		}
	}
	slices.SortFunc(out, func(a, b schema.Resource[schema.VariableConfig]) int { return cmp.Compare(a.Name, b.Name) })
	return out, err
}

// Webhooks returns the addresses that a git host can be given.
func (p pages) Webhooks(ctx context.Context) ([]ui.Webhook, error) {
	procedures, err := p.kinds.procedures.All()
	if err != nil {
		return nil, err
	}
	stackList, err := p.kinds.stacks.All()
	if err != nil {
		return nil, err
	}
	repos, err := p.kinds.repos.All()
	if err != nil {
		return nil, err
	}
	var out []ui.Webhook
	add := func(t schema.Target, option, branch, action string, enabled, secret bool) {
		out = append(out, p.webhook(t, option, branch, action, enabled, secret))
	}
	for _, r := range procedures {
		add(r.Target("procedure"), "main", "main", "run", r.Config.WebhookEnabled, r.Config.WebhookSecret != "")
	}
	for _, r := range stackList {
		add(r.Target("stack"), "deploy", r.Config.Branch, "deploy if changed", r.Config.WebhookEnabled, r.Config.WebhookSecret != "")
	}
	for _, r := range repos {
		add(r.Target("repo"), "pull", r.Config.Branch, "pull", r.Config.WebhookEnabled, r.Config.WebhookSecret != "")
	}
	out, err = p.moreWebhooks(out)
	return access.Readable(ctx, out, func(w ui.Webhook) schema.Target { return w.Target }), err
}

// Runs returns runs, newest first.
func (p pages) Runs(ctx context.Context, f schema.RunFilter) ([]schema.Run, error) {
	f.Only = visible(ctx)
	list, err := p.engine.List(ctx, f)
	out := make([]schema.Run, len(list))
	for i, r := range list {
		out[i] = *r
	}
	return out, err
}

// Run returns a run by its id, or by its number in decimal.
func (p pages) Run(ctx context.Context, id string) (*schema.Run, error) {
	r, err := p.run(ctx, id)
	if err != nil {
		return nil, err
	}
	if access.Permit(ctx, access.CanRead, r.Target) != nil { // what one may not read is what there is not
		return nil, schema.Errorf(schema.NotFound, "no run %q", id)
	}
	return r, nil
}

func (p pages) run(ctx context.Context, id string) (*schema.Run, error) {
	if n, err := strconv.ParseUint(id, 10, 64); err == nil && !schema.IsID(id) {
		list, err := p.engine.List(ctx, schema.RunFilter{Before: n + 1, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(list) == 0 || list[0].Number != n {
			return nil, schema.Errorf(schema.NotFound, "no run #%d", n)
		}
		return list[0], nil
	}
	return p.engine.Get(ctx, id)
}

// Output yields the stored output of all steps of a run.
func (p pages) Output(ctx context.Context, run string, after uint64) iter.Seq2[ui.Chunk, error] {
	return func(yield func(ui.Chunk, error) bool) {
		stop := false
		if _, err := p.Run(ctx, run); err != nil {
			yield(ui.Chunk{}, err)
			return
		}
		err := p.conn.Output(ctx, run, "", after+1, func(seq uint64, agent string, out schema.Output) error {
			if !stop && p.genuine(ctx, agent, out) {
				stop = !yield(ui.Chunk{Seq: seq, Output: out}, nil)
			}
			return nil
		})
		if err != nil && !stop {
			yield(ui.Chunk{}, err)
		}
	}
}

// Deliveries returns the newest deliveries, newest first, without bodies.
func (p pages) Deliveries(ctx context.Context, limit int) ([]schema.Delivery, error) {
	list := p.journal.Recent(limit)
	if may := visible(ctx); may != nil {
		list = slices.DeleteFunc(p.journal.Recent(math.MaxInt), func(d schema.Delivery) bool { return !may(d.Target) })
		list = list[:min(limit, len(list))]
	}
	for i := range list {
		list[i].Body = nil
	}
	return list, nil
}

// Watch yields what to look at again.
func (p pages) Watch(ctx context.Context) iter.Seq[schema.Change] { return p.changes.watch(ctx) }

// Tail yields the output of all runs as it comes.
func (p pages) Tail(ctx context.Context) iter.Seq[ui.Chunk] {
	return func(yield func(ui.Chunk) bool) {
		for seq, out := range p.tail(ctx) {
			if !yield(ui.Chunk{Seq: seq, Output: out}) {
				return
			}
		}
	}
}

// Start starts an action and returns the run's id.
func (p pages) Start(ctx context.Context, _ schema.Actor, action string, params json.RawMessage) (string, error) {
	r, err := p.api.Start(ctx, action, params)
	if err != nil {
		return "", err
	}
	return r.ID, nil
}

// TOML returns a resource as a file would declare it, or all that the caller may
// read.
func (p pages) TOML(ctx context.Context, kind, name string) (string, error) {
	who, _ := access.CallerOf(ctx)
	request, params := "ExportResourcesToToml", map[string]any{"targets": []map[string]string{{"type": kind, "id": name}}}
	if kind == "" {
		request, params = "ExportAllResourcesToToml", map[string]any{"include_variables": who.Admin, "include_user_groups": who.Admin}
	}
	var out struct {
		TOML string `json:"toml"`
	}
	err := p.request(ctx, api.GroupRead, request, params, &out)
	return out.TOML, err
}

// Plan says what applying a text would do.
func (p pages) Plan(ctx context.Context, text string) (ui.Plan, error) {
	if err := access.Permit(ctx, access.IsAdmin, schema.Target{}); err != nil {
		return ui.Plan{}, err
	}
	plan, err := p.registry.Plan(ctx, []resource.File{{Name: "pasted.toml", Text: text}})
	return planView(plan), err
}

// Apply does what Plan says.
func (p pages) Apply(ctx context.Context, _ schema.Actor, text string) (ui.Plan, error) {
	if err := access.Permit(ctx, access.IsAdmin, schema.Target{}); err != nil {
		return ui.Plan{}, err
	}
	files := []resource.File{{Name: "pasted.toml", Text: text}}
	plan, err := p.registry.Plan(ctx, files)
	if err != nil || plan.Err() != nil {
		return planView(plan), err
	}
	return planView(plan), p.request(ctx, api.GroupWrite, "ApplyResources", map[string]any{"files": files}, nil)
}

func planView(plan resource.Plan) ui.Plan {
	var out ui.Plan
	for _, ch := range plan.Changes {
		item := ui.PlanItem{Kind: ch.Kind, Name: ch.Name, Change: ch.Op}
		for _, f := range ch.Fields {
			item.Fields = append(item.Fields, ui.FieldChange{Field: f.Key, Old: f.Old, New: f.New})
		}
		out.Items = append(out.Items, item)
	}
	for _, is := range plan.Issues {
		out.Issues = append(out.Issues, ui.Issue{Line: is.Line, Key: is.Key, Text: is.Text, Warning: is.Warning})
	}
	return out
}

// gate is the access gate as the pages see it.
type gate struct {
	*access.Gate
	api *api.API
}

// Setup creates the first administrator.
func (g gate) Setup(ctx context.Context, c ui.Credentials) (string, error) {
	return entrance{g.Gate, g.api}.enter(ctx, c, "Setup", func(ctx context.Context) (string, error) {
		return g.Gate.Setup(ctx, access.Credentials{Token: c.Token, Username: c.Username, Password: c.Password, From: c.From})
	})
}

// Session returns who a session belongs to.
func (g gate) Session(ctx context.Context, session string) (schema.Actor, error) {
	c, err := g.Gate.Session(ctx, session)
	return c.Actor, err
}
