package core

import (
	"context"

	"berth/core/execution"
	"berth/schema"
)

// adopt takes a deploy into the history that was made on an agent's server.
func (c *core) adopt(ctx context.Context, agent string, req schema.AdoptReq) (schema.AdoptResp, error) {
	server, err := c.kinds.servers.Find(agent)
	if err != nil {
		return schema.AdoptResp{}, err
	}
	resp, err := execution.Adopt(ctx, c.engine, stacks{c}, server, req)
	if code := schema.CodeOf(err); code == schema.Denied || code == schema.NotFound || code == schema.Invalid || code == schema.Conflict {
		c.cfg.Log.Warn("a deploy on a server is not taken into the history", "server", server.Name, "stack", req.Stack, "by", req.By, "err", err)
	}
	return resp, err
}
