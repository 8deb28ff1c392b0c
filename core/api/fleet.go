package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"berth/core/access"
	"berth/core/resource"
	"berth/schema"
)

// Plan is what applying files does; Digest says which plan it is.
type Plan struct {
	resource.Plan
	Digest string `json:"digest"`
}

type planFiles struct {
	Files []resource.File `json:"files" doc:"TOML files: {name, text}."`
}

type applyFiles struct {
	Files  []resource.File `json:"files" doc:"TOML files: {name, text}."`
	Digest string          `json:"digest,omitempty" doc:"Apply only if the plan is still this one."`
}

func (a *API) applyRows() []Row {
	files := []map[string]string{{"name": "stacks.toml", "text": "[[stack]]\nname = \"web\"\n"}}
	return append(a.exportRows(), []Row{
		Read(spec{
			name: "PlanResources", own: true, doc: "Say what applying TOML files would change; mistakes are named with file, line and key.",
			needs: access.IsAdmin, example: map[string]any{"files": files},
		}, func(ctx context.Context, p planFiles) (Plan, error) {
			plan, err := a.plan(ctx, p.Files)
			return digested(plan), err
		}),
		Write(spec{
			name: "ApplyResources", own: true, doc: "Create and change what TOML files declare: all of it, or nothing when there is a mistake.",
			needs: access.IsAdmin, example: map[string]any{"files": files},
		}, a.apply),
	}...)
}

// plan plans files, and looks whether their sources are there.
func (a *API) plan(ctx context.Context, files []resource.File) (resource.Plan, error) {
	plan, err := a.deps.Kinds.Plan(ctx, files)
	if err == nil && a.deps.CheckPlan != nil {
		err = a.deps.CheckPlan(ctx, &plan)
	}
	return plan, err
}

func (a *API) apply(ctx context.Context, p applyFiles) (Plan, error) {
	plan, err := a.plan(ctx, p.Files)
	if err != nil {
		return Plan{}, err
	}
	if err := plan.Err(); err != nil {
		return Plan{}, err
	}
	out := digested(plan)
	if p.Digest != "" && p.Digest != out.Digest {
		return Plan{}, schema.Errorf(schema.Conflict, "something changed since the plan was made: nothing was applied, look at the new plan")
	}
	return out, a.deps.Kinds.Apply(ctx, plan)
}

// digested names a plan by what it does. Ids of resources that it creates differ
// each time and do not count.
func digested(p resource.Plan) Plan {
	h := sha256.New()
	for _, c := range p.Changes {
		if c.Op == resource.OpCreate {
			c.ID = ""
		}
		c.After = slices.Clone(c.After)
		for i := range c.After {
			c.After[i].ID = ""
		}
		b, _ := json.Marshal(c) // plain values
		_, _ = fmt.Fprintf(h, "%s\n", b)
	}
	return Plan{Plan: p, Digest: hex.EncodeToString(h.Sum(nil)[:16])}
}

func (a *API) fleetRows() []Row {
	type server struct {
		Server string `json:"server" doc:"Name or id; a new name makes a server."`
	}
	actor := func(ctx context.Context) schema.Actor {
		c, _ := access.CallerOf(ctx)
		return c.Actor
	}
	return []Row{
		Write(spec{
			name: "CreateJoinToken", own: true, doc: "Make the one line to run on a server, good once and for an hour.",
			needs: access.IsAdmin, example: map[string]any{"server": "my-server"},
		}, func(ctx context.Context, p server) (Join, error) { return a.deps.Fleet.Join(ctx, actor(ctx), p.Server) }),
		Write(spec{
			name: "RevokeServer", own: true, doc: "Make a server's agent unknown; it is disconnected at once.",
			needs: access.IsAdmin, kind: "server", example: map[string]any{"server": "my-server"},
		}, func(ctx context.Context, p server) (None, error) {
			return None{}, a.deps.Fleet.Revoke(ctx, actor(ctx), p.Server)
		}),
		Write(spec{
			name: "CreateOperator", own: true, doc: "Let a key in as an operator of the bus, for the stock nats client.",
			needs: access.IsAdmin, example: map[string]any{"name": "ada", "role": "read", "nkey": "U…"},
		}, func(ctx context.Context, p OperatorParams) (Operator, error) {
			return a.deps.Fleet.Operator(ctx, actor(ctx), p)
		}),
	}
}

func (a *API) deliveryRows() []Row {
	type many struct {
		Limit int `json:"limit,omitempty" doc:"How many; 100 when absent."`
	}
	type one struct {
		ID string `json:"id" doc:"Id of the delivery."`
	}
	return []Row{
		Read(spec{name: "ListDeliveries", own: true, doc: "List webhook deliveries with their verdicts, newest first.", needs: access.CanRead, filters: true, example: map[string]any{"limit": 20}},
			func(ctx context.Context, p many) ([]schema.Delivery, error) {
				if p.Limit <= 0 {
					p.Limit = 100
				}
				if may := readable(ctx); may != nil {
					list := slices.DeleteFunc(a.deps.Deliveries.Recent(allRuns), func(d schema.Delivery) bool { return !may(d.Target) })
					return list[:min(p.Limit, len(list))], nil
				}
				return a.deps.Deliveries.Recent(p.Limit), nil
			}),
		Read(spec{name: "GetDelivery", own: true, doc: "Show a webhook delivery with its body.", needs: access.IsAdmin, example: map[string]any{"id": "66c33c7c1a2b3c4d5e6f7a8b"}},
			func(ctx context.Context, p one) (schema.Delivery, error) { return a.deps.Deliveries.Get(ctx, p.ID) }),
		Execute(spec{name: "Redeliver", own: true, doc: "Handle a stored webhook delivery as if it came again.", needs: access.CanExec, filters: true, example: map[string]any{"id": "66c33c7c1a2b3c4d5e6f7a8b"}},
			func(ctx context.Context, p one) (schema.Delivery, error) {
				c, _ := access.CallerOf(ctx)
				if !c.Admin {
					was, err := a.deps.Deliveries.Get(ctx, p.ID)
					if err == nil {
						err = unseen(ctx, access.Permit(ctx, access.CanExec, was.Target), was.Target, func() error {
							return schema.Errorf(schema.NotFound, "no delivery %q", cut(p.ID, 40))
						})
					}
					if err != nil {
						return schema.Delivery{}, err
					}
				}
				d, err := a.deps.Deliveries.Redeliver(ctx, c.Actor, p.ID)
				d.Body = nil
				return d, err
			}),
	}
}
