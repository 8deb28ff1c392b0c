package api

import (
	"context"
	"encoding/json"

	"berth/core/access"
	"berth/core/resource"
	"berth/schema"
)

// Updates looks for newer images.
type Updates interface {
	CheckStack(ctx context.Context, stack string) (schema.UpdateState, error)
	CheckDeployment(ctx context.Context, deployment string) (schema.UpdateState, error)
}

type checkStack struct {
	Stack string `json:"stack" alias:"id,name" doc:"Name or id of the stack."`
	checkOptions
}

type checkDeployment struct {
	Deployment string `json:"deployment" alias:"id,name" doc:"Name or id of the deployment."`
	checkOptions
}

type checkBatch struct {
	Pattern string         `json:"pattern" doc:"Names or ids, separated by commas or lines; * and ? match, between backslashes stands a regular expression."`
	Tags    schema.StrList `json:"tags,omitempty" doc:"Of these only resources with all the tags."`
	checkOptions
}

type checkOptions struct {
	SkipAutoUpdate    bool `json:"skip_auto_update,omitempty" doc:"Only look; do not deploy what updates by itself."`
	WaitForAutoUpdate bool `json:"wait_for_auto_update,omitempty" doc:"Kept for clients: what is deployed is a run of its own."`
	SkipCacheRefresh  bool `json:"skip_cache_refresh,omitempty" doc:"Kept for clients: what runs is always known."`
}

// stackCheck explains itself service by service: reason is ours.
type stackCheck struct {
	Stack    string         `json:"stack"`
	Services []serviceCheck `json:"services"`
}

type serviceCheck struct {
	serviceUpdate
	Reason string `json:"reason"`
	Failed bool   `json:"failed"`
}

type deploymentCheck struct {
	Deployment string `json:"deployment"`
	Available  bool   `json:"update_available"`
	Reason     string `json:"reason"`
	Failed     bool   `json:"failed"`
}

func (a *API) updateCheckRows() []Row {
	if a.deps.Updates == nil {
		return nil
	}
	batch := map[string]any{"pattern": "web-*, db"}
	return []Row{
		Write(spec{name: "CheckStackForUpdate", kind: "stack", doc: "Look for newer images of a stack's services.", needs: access.CanExec, example: map[string]any{"stack": "my-stack"}},
			func(ctx context.Context, p checkStack) (stackCheck, error) {
				return a.checkStack(ctx, p.Stack, p.checkOptions)
			}),
		Write(spec{name: "BatchCheckStackForUpdate", doc: "Look for newer images of all stacks that match a pattern.", needs: access.CanExec, filters: true, example: batch},
			func(ctx context.Context, p checkBatch) ([]stackCheck, error) {
				return checkEach(ctx, a, "stack", p, a.checkStack)
			}),
		Write(spec{name: "CheckDeploymentForUpdate", kind: "deployment", doc: "Look for a newer image of a deployment.", needs: access.CanExec, example: map[string]any{"deployment": "my-deployment"}},
			func(ctx context.Context, p checkDeployment) (deploymentCheck, error) {
				return a.checkDeployment(ctx, p.Deployment, p.checkOptions)
			}),
		Write(spec{name: "BatchCheckDeploymentForUpdate", doc: "Look for newer images of all deployments that match a pattern.", needs: access.CanExec, filters: true, example: batch},
			func(ctx context.Context, p checkBatch) ([]deploymentCheck, error) {
				return checkEach(ctx, a, "deployment", p, a.checkDeployment)
			}),
	}
}

// checkEach checks all resources that a pattern selects.
func checkEach[T any](ctx context.Context, a *API, kind string, p checkBatch, check func(context.Context, string, checkOptions) (T, error)) ([]T, error) {
	k, err := a.deps.Kinds.Kind(kind)
	if err != nil {
		return nil, err
	}
	targets, err := k.Match(p.Pattern, p.Tags)
	out := []T{}
	for _, t := range executable(ctx, targets) {
		one, err := check(ctx, t.ID, p.checkOptions)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, err
}

func (a *API) checkStack(ctx context.Context, key string, o checkOptions) (stackCheck, error) {
	t, auto, err := a.permitCheck(ctx, "stack", key)
	if err != nil {
		return stackCheck{}, err
	}
	state, err := a.deps.Updates.CheckStack(ctx, t.ID)
	if err != nil {
		return stackCheck{}, err
	}
	out := stackCheck{Stack: t.ID, Services: []serviceCheck{}}
	for _, u := range state.Services {
		out.Services = append(out.Services, serviceCheck{serviceUpdateOf(u), u.Reason, u.Failed})
	}
	if newer := state.Newer(); auto && !o.SkipAutoUpdate && len(newer) > 0 {
		_, err = a.startOn(ctx, "DeployStack", t, config("stack", t.ID, "services", newer))
	}
	return out, err
}

func (a *API) checkDeployment(ctx context.Context, key string, o checkOptions) (deploymentCheck, error) {
	t, auto, err := a.permitCheck(ctx, "deployment", key)
	if err != nil {
		return deploymentCheck{}, err
	}
	state, err := a.deps.Updates.CheckDeployment(ctx, t.ID)
	if err != nil {
		return deploymentCheck{}, err
	}
	out := deploymentCheck{Deployment: t.ID}
	for _, u := range state.Services {
		out.Available, out.Reason, out.Failed = u.Newer, u.Reason, u.Failed
	}
	if auto && out.Available && !o.SkipAutoUpdate {
		_, err = a.startOn(ctx, "Deploy", t, config("deployment", t.ID))
	}
	return out, err
}

// permitCheck finds what is to be checked, and whether it updates by itself.
func (a *API) permitCheck(ctx context.Context, kind, key string) (t schema.Target, auto bool, err error) {
	k, err := a.deps.Kinds.Kind(kind)
	if err != nil {
		return t, false, err
	}
	if t, err = a.permitted(ctx, k, key, access.CanExec); err != nil {
		return t, false, err
	}
	auto, err = updatesItself(ctx, k, t.ID)
	return t, auto, err
}

func updatesItself(ctx context.Context, k resource.Any, id string) (bool, error) {
	raw, err := k.Show(ctx, id)
	if err != nil {
		return false, err
	}
	var r struct {
		Config struct {
			Auto bool `json:"auto_update"`
		} `json:"config"`
	}
	err = json.Unmarshal(raw, &r)
	return r.Config.Auto, err
}

func serviceUpdateOf(u schema.ServiceUpdate) serviceUpdate {
	out := serviceUpdate{Service: u.Service, Image: u.Image, Available: u.Newer}
	if u.Newer {
		out.Latest = orNull(u.Image + "@" + u.Latest)
	}
	return out
}
