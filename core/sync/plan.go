package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"berth/core/resource"
	"berth/schema"
)

// Request says what of a sync is to be planned.
type Request = schema.SyncRequest

// Planned is a plan with what carries it out.
type Planned struct {
	schema.SyncPlan
	resources resource.Plan
	at        []int // of Changes: where in resources; -1 for those that are only shown
}

// Plan says what a run of the sync would do now, and changes nothing. What is
// wrong with the source or its files is in the plan's Problem; an error is about
// the request: not_found for a sync that is not there.
func (s *Syncer) Plan(ctx context.Context, key string, q Request) (schema.SyncPlan, error) {
	r, err := s.cfg.Syncs.Get(ctx, key)
	if err != nil {
		return schema.SyncPlan{}, err
	}
	l := s.repos.look()
	defer l.close()
	p, err := s.plan(ctx, l, r, q)
	return p.SyncPlan, err
}

// plan makes the plan of a sync.
func (s *Syncer) plan(ctx context.Context, l *look, r schema.Resource[schema.SyncConfig], q Request) (Planned, error) {
	p := Planned{SyncPlan: schema.SyncPlan{
		Sync: r.Target("resource_sync"), At: s.cfg.Now().UnixMilli(), Changes: []schema.SyncChange{}, Deploys: []schema.SyncDeploy{},
	}}
	c, err := s.read(ctx, l, r, q.Commit)
	p.Source, p.Commit, p.Message, p.Files = c.source, c.commit, c.message, c.files
	p.Source.Digest = digestOf(c.files)
	if err == nil {
		if p.Issues = c.issues(); len(p.Issues) == 0 {
			err = s.planResources(ctx, r, q, c, &p)
		}
	}
	switch {
	case ctx.Err() != nil:
		return p, ctx.Err()
	case err != nil:
		p.Problem = schema.ProblemOf(err)
		return p, nil
	}
	if p.Problem = mistakes(p.Issues); p.Problem == nil {
		d := decider{s: s, look: l, from: c, plan: &p}
		if err := d.decide(ctx); err != nil {
			return p, err
		}
		p.Problem = mistakes(p.Issues)
	}
	if p.Problem != nil {
		p.Changes, p.Deploys, p.at = []schema.SyncChange{}, []schema.SyncDeploy{}, nil
		return p, nil
	}
	p.Guard, err = s.guard(r, p)
	return p, err
}

// mistakes is the problem of files that cannot be planned.
func mistakes(issues []schema.SyncIssue) *schema.Problem {
	var texts []string
	for _, i := range issues {
		if !i.Warning {
			texts = append(texts, i.String())
		}
	}
	if len(texts) == 0 {
		return nil
	}
	const most = 20
	more := ""
	if len(texts) > most {
		more = fmt.Sprintf("\n… and %d more", len(texts)-most)
		texts = texts[:most]
	}
	return &schema.Problem{Code: schema.Invalid, Text: "the files have mistakes, so nothing is done: " + strings.Join(texts, "\n") + more}
}

func digestOf(files []schema.SyncFile) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%q %q %q\n", f.Path, f.Text, f.Problem)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// planResources has the files planned.
func (s *Syncer) planResources(ctx context.Context, r schema.Resource[schema.SyncConfig], q Request, c content, p *Planned) error {
	scope, err := s.scope(ctx, r, q, c)
	if err != nil {
		return err
	}
	if p.resources, err = s.cfg.Registry.PlanScope(ctx, c.toml(), scope); err != nil {
		return err
	}
	for _, i := range p.resources.Issues {
		text := i.Text
		if strings.Contains(text, "there can be several") {
			text += "; if this file is not Berth's, keep it out of resource_path"
		}
		p.Issues = append(p.Issues, schema.SyncIssue{File: i.File, Line: i.Line, Key: i.Key, Text: text, Warning: i.Warning})
	}
	others := s.declaredElsewhere(r.ID)
	for i, ch := range p.resources.Changes {
		x, at := changeOf(ch), i
		if by := others[ch.Kind+"/"+ch.Name]; ch.Op == resource.OpDelete && by != "" {
			x.Op, x.Reason, at = "keep", fmt.Sprintf("not declared here, and kept: sync %q declares it", by), -1
		}
		if x.Op == resource.OpDelete {
			s.dressDelete(ctx, r.Config, &x)
			if i := s.shutsOut(&x); i != nil {
				p.Issues = append(p.Issues, *i)
			}
		}
		p.Changes, p.at = append(p.Changes, x), append(p.at, at)
	}
	for _, i := range s.disabled(p.resources.Changes, func(c resource.Change) string { return tableAt(p.Files, c.File, c.Line) }) {
		p.Issues = append(p.Issues, schema.SyncIssue{File: i.File, Line: i.Line, Key: i.Key, Text: i.Text, Warning: true})
	}
	for _, ch := range p.resources.Outside {
		if ch.File == "" { // stored, and spared
			x := changeOf(ch)
			x.Op = "keep"
			p.Changes, p.at = append(p.Changes, x), append(p.at, -1)
		}
	}
	return nil
}

func changeOf(c resource.Change) schema.SyncChange {
	x := schema.SyncChange{Kind: c.Kind, ID: c.ID, Name: c.Name, Op: c.Op, Reason: c.Reason, File: c.File, Line: c.Line}
	for _, f := range c.Fields {
		x.Fields = append(x.Fields, schema.SyncField{Key: f.Key, Old: f.Old, New: f.New})
	}
	return x
}

// dressDelete says what becomes of what a deleted stack or deployment runs.
func (s *Syncer) dressDelete(ctx context.Context, c schema.SyncConfig, x *schema.SyncChange) {
	if x.Kind != "stack" && x.Kind != "deployment" {
		return
	}
	st, err := s.cfg.Fleet.Standing(ctx, schema.Target{Kind: x.Kind, ID: x.ID, Name: x.Name})
	x.Server = st.Server
	switch running := err != nil || st.Deployed != nil || st.State != string(schema.StackDown) && st.State != string(schema.StackUnknown); {
	case !running || st.Server.ID == "":
		x.Reason += "; nothing of it runs"
	case c.DestroyOnDelete:
		x.Destroy = true
		x.Reason += fmt.Sprintf("; it is taken down on %s first (destroy_on_delete), its volumes stay", st.Server.Name)
	default:
		x.Reason += fmt.Sprintf("; what runs on %s goes on running (destroy_on_delete is false)", st.Server.Name)
	}
}

// declaredElsewhere lists what other syncs declare, with the sync's name.
func (s *Syncer) declaredElsewhere(sync string) map[string]string {
	out := map[string]string{}
	for _, d := range s.cfg.States.List("") {
		t := d.Value.Plan.Sync
		if d.Key == sync {
			continue
		}
		if _, err := s.cfg.Syncs.Find(d.Key); err != nil {
			continue
		}
		for _, name := range d.Value.Declared {
			out[name] = t.Name
		}
	}
	return out
}

// scope is what of the world a sync is about.
func (s *Syncer) scope(ctx context.Context, r schema.Resource[schema.SyncConfig], q Request, c content) (resource.Scope, error) {
	cfg := r.Config
	out := resource.Scope{
		Tags: cfg.MatchTags, Delete: cfg.Delete || cfg.Managed, Self: r.Target("resource_sync"), Managed: fmt.Sprintf("sync %q", r.Name),
	}
	for _, k := range s.cfg.Registry.Kinds() {
		in := cfg.IncludeResources
		switch k.Name() {
		case "variable":
			in = cfg.IncludeVariables && !q.Narrow()
		case "user_group":
			in = cfg.IncludeUserGroups && !q.Narrow()
		}
		if in && (q.Kind == "" || q.Kind == k.Name()) {
			out.Kinds = append(out.Kinds, k.Name())
		}
	}
	if len(out.Kinds) == 0 {
		return out, schema.Errorf(schema.Invalid, "sync %q includes nothing of that: set include_resources, include_variables or include_user_groups, or choose others", r.Name)
	}
	if len(q.Names) == 0 {
		return out, nil
	}
	return out, s.choose(ctx, &out, q.Names, c)
}

// choose narrows the scope to resources by name or id, whatever their kind.
func (s *Syncer) choose(ctx context.Context, scope *resource.Scope, names []string, c content) error {
	all, err := s.cfg.Registry.PlanScope(ctx, c.toml(), *scope)
	if err != nil {
		return err
	}
	for _, name := range names {
		before := len(scope.Only)
		for _, ch := range slices.Concat(all.Changes, all.Outside) {
			if (ch.Name == name || ch.ID == name) && slices.Contains(scope.Kinds, ch.Kind) {
				scope.Only = append(scope.Only, schema.Target{Kind: ch.Kind, Name: ch.Name})
			}
		}
		if len(scope.Only) == before {
			var known []string
			for _, ch := range all.Changes {
				known = append(known, ch.Name)
			}
			hint := ""
			if near := schema.Nearest(name, known); near != "" {
				hint = fmt.Sprintf(": did you mean %q?", near)
			}
			return schema.Errorf(schema.NotFound, "the sync has no resource %q%s", name, hint)
		}
	}
	return nil
}
