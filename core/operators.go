package core

import (
	"context"
	"encoding/json"

	"berth/bus"
	"berth/bus/hub"
	"berth/core/access"
	"berth/core/api"
	"berth/schema"
)

// answerOperators serves the table of requests on the bus.
func (c *core) answerOperators() error {
	return bus.ServeRequests(c.conn, bus.Requests{
		Version: c.cfg.Version, Groups: []string{string(api.GroupRead), string(api.GroupExecute)},
		Origin: c.hub.Origin, Answer: c.operatorRequest, Problem: api.ProblemOf,
	})
}

// operatorRequest answers a request by the same row as HTTP does, as far as the
// operator's role goes.
func (c *core) operatorRequest(ctx context.Context, from bus.Origin, group, request string, params json.RawMessage) (json.RawMessage, error) {
	p, known := c.principals.Lookup(from.NKey)
	if !known || p.Revoked || p.Kind != hub.KindOperator {
		return nil, schema.Errorf(schema.Unauthenticated, "this key is no operator's any more")
	}
	may := access.CanRead
	if p.Role == hub.RoleExec {
		may = access.CanExec
	}
	return c.api.Call(ctx, access.OperatorCaller(p.ID, p.Name, may, from.Addr), group, request, params)
}
