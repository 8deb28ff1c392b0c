package execution

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"berth/core/run"
	"berth/schema"
)

// Updates looks for newer images.
type Updates interface {
	CheckStack(ctx context.Context, stack string) (schema.UpdateState, error)
	CheckDeployment(ctx context.Context, deployment string) (schema.UpdateState, error)
}

// AutoUpdateParams are the parameters of GlobalAutoUpdate.
type AutoUpdateParams struct {
	SkipAutoUpdate bool `json:"skip_auto_update,omitempty" doc:"Only look and tell; deploy nothing."`
}

// polled is a stack or deployment that is looked at.
type polled struct {
	Target schema.Target `json:"target"`
	Auto   bool          `json:"auto"`
	All    bool          `json:"all"`
	Skip   []string      `json:"skip"`
}

// found is what a look at one of them found.
type found struct {
	Polled  polled                 `json:"polled"`
	Newer   []schema.ServiceUpdate `json:"newer"`
	Problem string                 `json:"problem,omitempty"`
	Last    string                 `json:"last,omitempty"` // why it is done after all others
}

// GlobalAutoUpdate looks for newer images of everything that asks for it, tells of
// them once each, and deploys what is to be updated by itself.
func (d *Deps) GlobalAutoUpdate(ctx context.Context, r *run.Run) (run.Outcome, error) {
	var p AutoUpdateParams
	if err := r.Params(&p); err != nil {
		return run.Outcome{}, err
	}
	all, err := run.Plan(ctx, r, d.lookForUpdates)
	if err != nil {
		return run.Outcome{}, err
	}
	t := &tally{}
	for _, f := range all {
		if len(f.Newer) == 0 {
			continue
		}
		if f.Polled.Auto && !p.SkipAutoUpdate {
			err = d.autoUpdate(ctx, r, f, t)
		} else {
			err = d.tellOfUpdate(ctx, f)
		}
		if err != nil {
			return run.Outcome{}, err
		}
	}
	dec, problems := updateDecision(all, t, p.SkipAutoUpdate)
	if err := r.Note(ctx, run.Note{Decision: &dec}); err != nil {
		return run.Outcome{}, err
	}
	switch {
	case len(all) == 0:
		return run.Outcome{State: schema.StateWarning, Note: "no running stack or deployment has poll_for_updates or auto_update"}, nil
	case len(t.failed) > 0:
		return run.Outcome{}, t.err()
	case len(problems) > 0:
		return run.Outcome{State: schema.StateWarning, Note: dec.Reason + "; not everything could be looked at: " + strings.Join(problems, "; ")}, nil
	}
	return run.Outcome{Note: dec.Reason}, nil
}

// updateDecision says what was found and done, and what could not be looked at.
func updateDecision(all []found, t *tally, skip bool) (dec schema.Decision, problems []string) {
	newer, changes := 0, []string{}
	for _, f := range all {
		what := fmt.Sprintf("%s %q", f.Polled.Target.Kind, f.Polled.Target.Name)
		if f.Problem != "" {
			problems = append(problems, what+": "+f.Problem)
		}
		if len(f.Newer) == 0 {
			continue
		}
		newer++
		if f.Last != "" && f.Polled.Auto && !skip {
			changes = append(changes, what+": "+f.Last)
		}
		for _, u := range f.Newer {
			changes = append(changes, fmt.Sprintf("%s service %s: %s", what, u.Service, u.Reason))
		}
	}
	dec = schema.Decision{
		What: "update", Changes: slices.Concat(problems, changes),
		Reason: fmt.Sprintf("%d looked at, %d with a newer image, %d deployed", len(all), newer, t.total-len(t.failed)),
	}
	if t.total == 0 {
		dec.What = "unchanged"
	}
	return dec, problems
}

// lookForUpdates checks everything that asks for it.
func (d *Deps) lookForUpdates(ctx context.Context) ([]found, error) {
	list, err := d.polled(ctx)
	if err != nil {
		return nil, err
	}
	out := []found{}
	for _, p := range list {
		check := d.Updates.CheckStack
		if p.Target.Kind == "deployment" {
			check = d.Updates.CheckDeployment
		}
		f := found{Polled: p}
		state, err := check(ctx, p.Target.ID)
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			f.Problem = schema.SafeText(err)
		}
		for _, u := range state.Services {
			switch {
			case slices.Contains(p.Skip, u.Service):
			case u.Failed:
				f.Problem = strings.TrimPrefix(f.Problem+"; "+u.Service+": "+u.Reason, "; ")
			case u.Newer:
				f.Newer = append(f.Newer, u)
			}
		}
		itself, err := d.itself(ctx, p.Target)
		if err != nil {
			return nil, err
		}
		if itself {
			f.Last = lastWord
		}
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b found) int { return strings.Compare(a.Last, b.Last) })
	return out, nil
}

// polled lists what asks to be looked at and was deployed.
func (d *Deps) polled(ctx context.Context) ([]polled, error) {
	stacks, err := d.Stacks.AllStacks(ctx)
	if err != nil {
		return nil, err
	}
	var out []polled
	for _, s := range stacks {
		c := s.Config
		if s.Template || !c.PollForUpdates && !c.AutoUpdate {
			continue
		}
		last, err := d.Stacks.Deployed(ctx, s.ID)
		if err != nil {
			return nil, err
		}
		if last != nil {
			out = append(out, polled{Target: s.Target("stack"), Auto: c.AutoUpdate, All: c.AutoUpdateAllServices, Skip: c.AutoUpdateSkipServices})
		}
	}
	deployments, err := d.Singles.AllDeployments(ctx)
	for _, s := range deployments {
		if !s.Template && (s.Config.PollForUpdates || s.Config.AutoUpdate) && s.Config.Image.Type == "Image" {
			out = append(out, polled{Target: s.Target("deployment"), Auto: s.Config.AutoUpdate})
		}
	}
	return out, err
}

// tellOfUpdate raises an alert per service and newer image, once.
func (d *Deps) tellOfUpdate(ctx context.Context, f found) error {
	kind := schema.AlertStackUpdate
	if f.Polled.Target.Kind == "deployment" {
		kind = schema.AlertContainerUpdate
	}
	for _, u := range f.Newer {
		data := map[string]any{"id": f.Polled.Target.ID, "name": f.Polled.Target.Name, "service": u.Service, "image": u.Image}
		err := d.raiseUpdate(ctx, kind, f, []string{u.Service, u.Latest}, data, fmt.Sprintf("%s %q has a newer image for %s: %s (%s)", f.Polled.Target.Kind, f.Polled.Target.Name, u.Service, u.Image, u.Reason))
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *Deps) raiseUpdate(ctx context.Context, kind string, f found, key []string, data map[string]any, text string) error {
	fields, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("write alert: %w", err)
	}
	id := schema.DeriveID(kind, strings.Join(append([]string{f.Polled.Target.ID}, key...), "/"))
	return d.Alerts.Raise(ctx, schema.Alert{ID: id, Type: kind, Level: schema.SeverityOK, Target: f.Polled.Target, Message: text, Data: fields, Once: true})
}

// autoUpdate deploys what has a newer image.
func (d *Deps) autoUpdate(ctx context.Context, r *run.Run, f found, t *tally) error {
	rec := r.Record()
	var services, images, digests []string
	for _, u := range f.Newer {
		services, images, digests = append(services, u.Service), append(images, u.Image), append(digests, u.Latest)
	}
	req := run.StartReq{Action: "Deploy", Target: f.Polled.Target, Actor: rec.Actor, Cause: rec.Cause}
	params := map[string]any{"deployment": f.Polled.Target.ID}
	kind := schema.AlertContainerUpdated
	if f.Polled.Target.Kind == "stack" {
		req.Action, kind = "DeployStack", schema.AlertStackUpdated
		params = map[string]any{"stack": f.Polled.Target.ID}
		if !f.Polled.All {
			params["services"] = services
		}
	}
	var err error
	if req.Params, err = json.Marshal(params); err != nil {
		return fmt.Errorf("write parameters: %w", err)
	}
	child, err := r.Child(ctx, "update "+f.Polled.Target.Kind+" "+f.Polled.Target.Name, req)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		child = &schema.Run{State: schema.StateFailed, Problem: schema.ProblemOf(err)}
	}
	t.count(f.Polled.Target.Name, child)
	if !child.State.Good() {
		return nil
	}
	return d.raiseUpdate(ctx, kind, f, digests, map[string]any{"id": f.Polled.Target.ID, "name": f.Polled.Target.Name, "images": images, "image": images[0]},
		fmt.Sprintf("%s %q was updated: %s", f.Polled.Target.Kind, f.Polled.Target.Name, strings.Join(images, ", ")))
}
