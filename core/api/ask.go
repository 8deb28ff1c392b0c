package api

import (
	"context"
	"encoding/json"
	"time"

	"berth/schema"
)

// engineWait bounds how long a server's agent may take to answer.
const engineWait = 20 * time.Second

// ask puts a question to a server's agent; doing says in an error what for.
func ask[Req, Resp any](ctx context.Context, a *API, server schema.Target, q schema.Query[Req, Resp], req Req, doing string) (Resp, error) {
	var resp Resp
	ctx, cancel := context.WithTimeout(ctx, engineWait)
	defer cancel()
	raw, err := a.deps.Ask(ctx, server.ID, q.Name, req)
	if err == nil {
		err = json.Unmarshal(raw, &resp)
	}
	if err != nil {
		return resp, schema.Wrap(schema.CodeOf(err), err, "%s of server %q", doing, server.Name)
	}
	return resp, nil
}

// reachable returns the server that a parameter names.
func (a *API) reachable(ctx context.Context, key string) (schema.Target, error) {
	v, err := a.server(ctx, key)
	return v.Resource.Target("server"), err
}
