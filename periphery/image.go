package periphery

import (
	"context"

	"berth/schema"
)

// imageDigests says under which digests images were pulled.
func (a *Agent) imageDigests(ctx context.Context, req schema.ImageDigestsReq) (schema.ImageDigestsResp, error) {
	out := schema.ImageDigestsResp{Images: map[string]schema.LocalImage{}}
	for _, id := range req.Images {
		img, err := a.engine.Image(ctx, id)
		if schema.CodeOf(err) == schema.NotFound {
			continue
		}
		if err != nil {
			return out, err
		}
		out.Images[id] = schema.LocalImage{Digests: img.Digests, OS: img.OS, Arch: img.Arch, Variant: img.Variant}
	}
	return out, nil
}
