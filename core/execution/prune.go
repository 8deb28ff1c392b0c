package execution

import (
	"context"

	"berth/core/run"
	"berth/schema"
)

// Prune returns the body of an action that removes what nothing uses any more, kind
// by kind in this order. Nothing to remove is a success that says so: a prune that
// is scheduled finds nothing most of the time.
func (d *Deps) Prune(kinds ...string) run.Body {
	return func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		managed, err := d.managed(ctx, r.Record().Target.ID)
		if err != nil {
			return run.Outcome{}, err
		}
		return engineStep(ctx, d, r, engineJob[schema.EnginePruneReq]{
			"prune", "prune", schema.EnginePrune, schema.EnginePruneReq{Kinds: kinds, Managed: managed},
		})
	}
}
