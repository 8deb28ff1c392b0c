package docker

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"berth/schema"
)

// List lists what the engine has of a kind, by name, with whether a container uses
// it, running or not.
func (c *Client) List(ctx context.Context, kind string) (schema.EngineListResp, error) {
	var resp schema.EngineListResp
	containers, err := c.ContainerObjects(ctx, false)
	if err != nil {
		return resp, err
	}
	used := map[string]bool{}
	for _, o := range containers {
		used[o.Container.ImageID] = true
		for _, name := range o.Uses {
			used[name] = true
		}
	}
	switch kind {
	case schema.EngineImages:
		resp.Images, err = c.images(ctx, used)
	case schema.EngineNetworks:
		resp.Networks, err = c.networks(ctx, used)
	case schema.EngineVolumes:
		resp.Volumes, err = c.volumes(ctx, used)
	default:
		err = schema.Errorf(schema.Invalid, "list %s: name images, networks or volumes", kind)
	}
	return resp, err
}

func (c *Client) images(ctx context.Context, used map[string]bool) ([]schema.EngineImage, error) {
	res, err := c.api.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return nil, c.Explain(err, "list images")
	}
	out := make([]schema.EngineImage, 0, len(res.Items))
	for _, i := range res.Items {
		img := schema.EngineImage{ID: i.ID, Parent: i.ParentID, Tags: append([]string{}, genuine(i.RepoTags)...), Digests: append([]string{}, genuine(i.RepoDigests)...), Created: i.Created, Size: i.Size, InUse: used[i.ID]}
		if img.Name = shortID(i.ID); len(img.Tags) > 0 {
			img.Name = img.Tags[0]
		}
		out = append(out, img)
	}
	slices.SortFunc(out, func(a, b schema.EngineImage) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (c *Client) networks(ctx context.Context, used map[string]bool) ([]schema.EngineNetwork, error) {
	res, err := c.api.NetworkList(ctx, client.NetworkListOptions{})
	if err != nil {
		return nil, c.Explain(err, "list networks")
	}
	out := make([]schema.EngineNetwork, 0, len(res.Items))
	for _, n := range res.Items {
		item := schema.EngineNetwork{
			Name: n.Name, ID: n.ID, Created: n.Created.Format(time.RFC3339), Scope: n.Scope, Driver: n.Driver, IPv6: n.EnableIPv6, IPAM: known(n.IPAM.Driver),
			Internal: n.Internal, Attachable: n.Attachable, Ingress: n.Ingress, InUse: used[n.Name],
		}
		if len(n.IPAM.Config) > 0 {
			conf := n.IPAM.Config[0]
			if conf.Subnet.IsValid() {
				item.Subnet = known(conf.Subnet.String())
			}
			if conf.Gateway.IsValid() {
				item.Gateway = known(conf.Gateway.String())
			}
		}
		out = append(out, item)
	}
	slices.SortFunc(out, func(a, b schema.EngineNetwork) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (c *Client) volumes(ctx context.Context, used map[string]bool) ([]schema.EngineVolume, error) {
	res, err := c.api.VolumeList(ctx, client.VolumeListOptions{})
	if err != nil {
		return nil, c.Explain(err, "list volumes")
	}
	out := make([]schema.EngineVolume, 0, len(res.Items))
	for _, v := range res.Items {
		out = append(out, schema.EngineVolume{
			Name: v.Name, Driver: v.Driver, Mountpoint: v.Mountpoint, Created: known(v.CreatedAt), Scope: v.Scope, InUse: used[v.Name],
		})
	}
	slices.SortFunc(out, func(a, b schema.EngineVolume) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// known is a text, or nil where the engine says none.
func known(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
