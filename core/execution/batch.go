package execution

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"berth/core/access"
	"berth/core/run"
	"berth/schema"
)

// BatchParams are the parameters of every Batch action.
type BatchParams struct {
	Pattern string   `json:"pattern" doc:"Names or ids, separated by commas or lines; * and ? match, between backslashes stands a regular expression."`
	Tags    []string `json:"tags,omitempty" doc:"Only those with all of these tags."`
	// Concurrency is of procedures, whose executions can say it.
	Concurrency int `json:"concurrency,omitempty" doc:"Most at once; 0 is all."`
}

// named is a resource a batch may select.
type named struct {
	target schema.Target
	tags   []string
}

// Batch returns the body of an action that runs another one on every resource of
// a kind that matches a pattern. Nothing matched is a warning, never a silent
// success.
func (d *Deps) Batch(kind, param, action string) run.Body {
	return func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		var p BatchParams
		if err := r.Params(&p); err != nil {
			return run.Outcome{}, err
		}
		targets, err := run.Plan(ctx, r, func(ctx context.Context) ([]placed, error) {
			list, err := d.match(ctx, kind, p)
			if err != nil {
				return nil, err
			}
			list = slices.DeleteFunc(list, func(t schema.Target) bool { return !r.May(access.CanExec, t) })
			return d.lastOnes(ctx, list)
		})
		if err != nil {
			return run.Outcome{}, err
		}
		if len(targets) == 0 {
			dec := schema.Decision{What: "nothing", Reason: fmt.Sprintf("no %s matches %q", kind, strings.TrimSpace(p.Pattern))}
			if len(p.Tags) > 0 {
				dec.Reason += fmt.Sprintf(" with tags %v", p.Tags)
			}
			return run.Outcome{State: schema.StateWarning, Note: dec.Reason}, r.Note(ctx, run.Note{Decision: &dec})
		}
		return d.each(ctx, r, targets, each{param, action, p.Concurrency})
	}
}

// each is what a batch does to every target.
type each struct {
	param, action string
	most          int // at once; 0 is all
}

// each does so with all targets at once; with those that contain Berth itself when
// all others have ended, one after the other.
func (d *Deps) each(ctx context.Context, r *run.Run, targets []placed, what each) (run.Outcome, error) {
	t := &tally{}
	last, err := noteLast(ctx, r, targets)
	if err != nil {
		return run.Outcome{}, err
	}
	var g errgroup.Group
	if what.most > 0 {
		g.SetLimit(what.most)
	}
	for _, target := range targets[:len(targets)-len(last)] {
		g.Go(func() error { return what.one(ctx, r, target.Target, t) })
	}
	if err := g.Wait(); err != nil {
		return run.Outcome{}, err
	}
	for _, target := range last {
		if err := what.one(ctx, r, target.Target, t); err != nil {
			return run.Outcome{}, err
		}
	}
	return t.outcome(), t.err()
}

// one does so with one target. Its error is the run's end, not the child's.
func (what each) one(ctx context.Context, r *run.Run, target schema.Target, t *tally) error {
	rec := r.Record()
	child, err := r.Child(ctx, what.action+" "+target.Name, run.StartReq{
		Action: what.action, Target: target, Params: paramsFor(what.param, target.ID), Actor: rec.Actor, Cause: rec.Cause,
	})
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		child = &schema.Run{State: schema.StateFailed, Problem: schema.ProblemOf(err)}
	}
	t.count(target.Name, child)
	return nil
}

func paramsFor(param, id string) []byte { return fmt.Appendf(nil, "{%q:%q}", param, id) }

// match lists the resources of a kind that a batch selects, by name.
func (d *Deps) match(ctx context.Context, kind string, p BatchParams) ([]schema.Target, error) {
	pattern, err := schema.ParsePattern(p.Pattern)
	if err != nil {
		return nil, err
	}
	all, err := d.all(ctx, kind)
	if err != nil {
		return nil, err
	}
	var out []schema.Target
	for _, n := range all {
		if !pattern.Match(n.target.Name) && !pattern.Match(n.target.ID) {
			continue
		}
		if slices.ContainsFunc(p.Tags, func(tag string) bool { return !slices.Contains(n.tags, tag) }) {
			continue
		}
		out = append(out, n.target)
	}
	slices.SortFunc(out, func(a, b schema.Target) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (d *Deps) all(ctx context.Context, kind string) ([]named, error) {
	switch kind {
	case "stack":
		list, err := d.Stacks.AllStacks(ctx)
		return names(kind, list), err
	case "repo":
		list, err := d.Repos.AllRepos(ctx)
		return names(kind, list), err
	case "build":
		list, err := d.Builds.AllBuilds(ctx)
		return names(kind, list), err
	case "action":
		list, err := d.Scripts.AllActions(ctx)
		return names(kind, list), err
	case "procedure":
		list, err := d.Resources.AllProcedures(ctx)
		return names(kind, list), err
	}
	return nil, schema.Errorf(schema.Unsupported, "no batch over %s", kind)
}

func names[C any](kind string, list []schema.Resource[C]) []named {
	out := make([]named, len(list))
	for i, res := range list {
		out[i] = named{target: res.Target(kind), tags: res.Tags}
	}
	return out
}
