package api

import (
	"context"

	"berth/core/access"
	"berth/schema"
)

type serverRef struct {
	Server string `json:"server" alias:"id,name" doc:"Name or id."`
}

type networkRef struct {
	Server  string `json:"server" alias:"id,name" doc:"Name or id of the server."`
	Network string `json:"network" doc:"Name or id of the network."`
}

type imageRef struct {
	Server string `json:"server" alias:"id,name" doc:"Name or id of the server."`
	Image  string `json:"image" doc:"Name or id of the image."`
}

type volumeRef struct {
	Server string `json:"server" alias:"id,name" doc:"Name or id of the server."`
	Volume string `json:"volume" doc:"Name of the volume."`
}

// engineRows look at what the engines of servers have beside containers.
func (a *API) engineRows() []Row {
	network := map[string]any{"server": "my-server", "network": "bridge"}
	image := map[string]any{"server": "my-server", "image": "nginx:latest"}
	return []Row{
		engineRow(a, "Images", schema.EngineImages, func(r schema.EngineListResp) []schema.EngineImage { return r.Images }),
		engineRow(a, "Networks", schema.EngineNetworks, func(r schema.EngineListResp) []schema.EngineNetwork { return r.Networks }),
		engineRow(a, "Volumes", schema.EngineVolumes, func(r schema.EngineListResp) []schema.EngineVolume { return r.Volumes }),
		Read(spec{
			name: "InspectNetwork", aliases: []string{"InspectDockerNetwork"}, needs: access.CanRead, kind: "server",
			doc: "Look at a network of a server, with the containers in it.", example: network,
		}, func(ctx context.Context, p networkRef) (schema.NetworkDetail, error) {
			return look(ctx, a, p.Server, schema.InspectNetwork, p.Network, "inspect a network")
		}),
		Read(spec{
			name: "InspectImage", aliases: []string{"InspectDockerImage"}, needs: access.CanRead, kind: "server",
			doc: "Look at an image of a server.", example: image,
		}, func(ctx context.Context, p imageRef) (schema.ImageDetail, error) {
			return look(ctx, a, p.Server, schema.InspectImage, p.Image, "inspect an image")
		}),
		Read(spec{
			name: "ListImageHistory", aliases: []string{"ListDockerImageHistory"}, needs: access.CanRead, kind: "server",
			doc: "List the layers of an image of a server, newest first.", example: image,
		}, func(ctx context.Context, p imageRef) ([]schema.ImageLayer, error) {
			return look(ctx, a, p.Server, schema.ImageHistory, p.Image, "list the layers of an image")
		}),
		Read(spec{
			name: "InspectVolume", aliases: []string{"InspectDockerVolume"}, needs: access.CanRead, kind: "server",
			doc: "Look at a volume of a server.", example: map[string]any{"server": "my-server", "volume": "data"},
		}, func(ctx context.Context, p volumeRef) (schema.VolumeDetail, error) {
			return look(ctx, a, p.Server, schema.InspectVolume, p.Volume, "inspect a volume")
		}),
		Read(spec{
			name: "ListComposeProjects", needs: access.CanRead, kind: "server",
			doc: "List the compose projects that have containers on a server.", example: map[string]any{"server": "my-server"},
		}, func(ctx context.Context, p serverRef) (schema.List[schema.ComposeProject], error) {
			server, err := a.reachable(ctx, p.Server)
			if err != nil {
				return nil, err
			}
			return ask(ctx, a, server, schema.ComposeProjects, struct{}{}, "list the compose projects")
		}),
		Write(spec{
			name: "CreateNetwork", needs: access.CanEdit, kind: "server",
			doc: "Make a network on a server, with the engine's defaults.", example: map[string]any{"server": "my-server", "name": "shared"},
		}, a.createNetwork),
	}
}

// look puts a question about one thing of a server's engine.
func look[T any](ctx context.Context, a *API, server string, q schema.Query[schema.NamedReq, T], name, doing string) (T, error) {
	t, err := a.reachable(ctx, server)
	if err != nil {
		var none T
		return none, err
	}
	return ask(ctx, a, t, q, schema.NamedReq{Name: name}, doing)
}

type newNetwork struct {
	Server string `json:"server" doc:"Name or id of the server."`
	Name   string `json:"name" doc:"Its name."`
}

func (a *API) createNetwork(ctx context.Context, p newNetwork) (Update, error) {
	began := a.deps.Now()
	t, err := a.reachable(ctx, p.Server)
	if err != nil {
		return Update{}, err
	}
	if _, err := ask(ctx, a, t, schema.NetworkCreate, schema.NamedReq{Name: p.Name}, "create a network"); err != nil {
		return Update{}, err
	}
	return a.done(ctx, "CreateNetwork", t, began, "network "+p.Name), nil
}

func engineRow[T any](a *API, name, kind string, of func(schema.EngineListResp) []T) Row {
	return Read(spec{
		name: "List" + name, aliases: []string{"ListDocker" + name}, needs: access.CanRead, kind: "server",
		doc: "List the " + kind + "s of a server.", example: map[string]any{"server": "my-server"},
	}, func(ctx context.Context, p serverRef) ([]T, error) {
		t, err := a.reachable(ctx, p.Server)
		if err != nil {
			return nil, err
		}
		resp, err := ask(ctx, a, t, schema.EngineList, schema.EngineListReq{Kind: kind}, "list the "+kind+"s")
		if list := of(resp); list != nil || err != nil {
			return list, err
		}
		return []T{}, nil
	})
}
