package core

import (
	"context"
	"encoding/json"

	"berth/core/access"
	"berth/core/api"
	"berth/core/run"
	"berth/core/webhook"
	"berth/schema"
)

// scripts is what the scripts of actions see of core.
type scripts struct{ c *core }

// Action returns an action by id or name.
func (s scripts) Action(ctx context.Context, id string) (schema.Resource[schema.ActionConfig], error) {
	return s.c.kinds.actions.Get(ctx, id)
}

// AllActions returns all actions, secrets masked.
func (s scripts) AllActions(context.Context) ([]schema.Resource[schema.ActionConfig], error) {
	return s.c.kinds.actions.All()
}

// Variables returns all variables with their values in clear.
func (s scripts) Variables(ctx context.Context) (map[string]schema.VariableValue, error) {
	list, err := s.c.kinds.variables.All()
	if err != nil {
		return nil, err
	}
	out := make(map[string]schema.VariableValue, len(list))
	for _, v := range list {
		if v, err = s.c.kinds.variables.Get(ctx, v.ID); err != nil {
			return nil, err
		}
		out[v.Name] = schema.VariableValue{Value: v.Config.Value, Secret: v.Config.IsSecret}
	}
	return out, nil
}

// Request makes a request in the name of a run of an action. Scripts may do what an
// administrator may: only administrators create actions, whoever is given Write on one
// is given all that by it, and who may run it gets what it does, nothing else.
func (s scripts) Request(ctx context.Context, rec *schema.Run, group, request string, params json.RawMessage) (json.RawMessage, error) {
	return s.c.api.Call(ctx, access.Caller{
		UserID: api.OperatorAction, Username: "Action " + rec.Target.Name, Admin: true, Via: "run",
		Actor: schema.Actor{Kind: "action", ID: rec.Target.ID, Name: rec.Target.Name},
		Run:   rec.ID, Root: rec.Root,
	}, group, request, params)
}

// Pushed returns the JSON of a delivery's body.
func (s scripts) Pushed(ctx context.Context, delivery string) (json.RawMessage, error) {
	d, err := s.c.journal.Get(ctx, delivery)
	if err != nil {
		return nil, err
	}
	return webhook.Payload(d.Body)
}

// runStartupActions starts the actions that are to run whenever core starts, once
// runs are recovered. One that cannot be started keeps no other from it.
func (c *core) runStartupActions(ctx context.Context) error {
	list, err := c.kinds.actions.All()
	if err != nil {
		return err
	}
	for _, a := range list {
		if !a.Config.RunAtStartup {
			continue
		}
		params, err := json.Marshal(map[string]string{"action": a.ID})
		if err == nil {
			_, err = c.engine.Start(ctx, run.StartReq{
				Action: "RunAction", Target: a.Target("action"), Params: params,
				Actor: schema.Actor{Kind: "system", ID: "system", Name: "System"}, Cause: schema.Cause{Kind: "startup"},
			})
		}
		if err != nil && ctx.Err() == nil {
			c.cfg.Log.Error("start an action at startup", "action", a.Name, "err", err)
		}
	}
	return nil
}
