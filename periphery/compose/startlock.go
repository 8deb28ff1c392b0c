package compose

import (
	"context"

	"github.com/moby/moby/client"
)

// startAPI returns the engine's API as compose's `up` is to use it for a plan.
func (d *Deployer) startAPI(context.Context, *Plan) (client.APIClient, func()) {
	return d.engine.API(), func() {}
}
