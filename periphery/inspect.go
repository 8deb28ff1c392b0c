package periphery

import (
	"context"

	"berth/schema"
)

// named looks at one thing of the engine; that there is none is said in words.
func named[T any](kind string, look func(ctx context.Context, name string) (T, error)) func(context.Context, schema.NamedReq) (T, error) {
	return func(ctx context.Context, req schema.NamedReq) (T, error) {
		if req.Name == "" {
			var none T
			return none, schema.Errorf(schema.Invalid, "inspect %s: name it", kind)
		}
		v, err := look(ctx, req.Name)
		return v, missing(err, kind, req.Name)
	}
}

// inspectContainer looks at a container; what is known to be secret in it is masked.
func (a *Agent) inspectContainer(ctx context.Context, req schema.NamedReq) (schema.ContainerDetail, error) {
	d, err := named(schema.EngineContainers, a.engine.InspectContainer)(ctx, req)
	return a.masked(d), err
}

// containerStats says what one container uses, or all that run.
func (a *Agent) containerStats(ctx context.Context, req schema.ContainerStatsReq) ([]schema.ContainerUse, error) {
	if req.Name == "" {
		return a.meter.All(ctx)
	}
	u, err := a.meter.One(ctx, req.Name)
	return []schema.ContainerUse{u}, missing(err, schema.EngineContainers, req.Name)
}
