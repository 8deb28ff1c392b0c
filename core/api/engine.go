package api

import (
	"context"
	"time"

	"berth/core/access"
	"berth/schema"
)

// engineWait bounds how long a server's agent may take to list what it has.
const engineWait = 20 * time.Second

// engineRows list what the engines of servers have beside containers.
func (a *API) engineRows() []Row {
	return []Row{
		engineRow(a, "Images", schema.EngineImages, func(r schema.EngineListResp) []schema.EngineImage { return r.Images }),
		engineRow(a, "Networks", schema.EngineNetworks, func(r schema.EngineListResp) []schema.EngineNetwork { return r.Networks }),
		engineRow(a, "Volumes", schema.EngineVolumes, func(r schema.EngineListResp) []schema.EngineVolume { return r.Volumes }),
	}
}

func engineRow[T any](a *API, name, kind string, of func(schema.EngineListResp) []T) Row {
	type one struct {
		Server string `json:"server" alias:"id,name" doc:"Name or id."`
	}
	return Read(spec{
		name: "List" + name, aliases: []string{"ListDocker" + name}, needs: access.CanRead, kind: "server",
		doc: "List the " + kind + "s of a server.", example: map[string]any{"server": "my-server"},
	}, func(ctx context.Context, p one) ([]T, error) {
		v, err := a.server(ctx, p.Server)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, engineWait)
		defer cancel()
		resp, err := a.deps.EngineList(ctx, v.Resource.ID, schema.EngineListReq{Kind: kind})
		if err != nil {
			return nil, schema.Wrap(schema.CodeOf(err), err, "list the %ss of server %q", kind, v.Resource.Name)
		}
		if list := of(resp); list != nil {
			return list, nil
		}
		return []T{}, nil
	})
}
