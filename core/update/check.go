package update

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/schema"
)

// Service is something that runs an image.
type Service struct {
	Name    string
	Image   string // as it is configured, with its tag
	ImageID string // of what runs; "" when nothing does
	Login   Login
}

// Images asks the agent of a server about images.
type Images func(ctx context.Context, server string, ids []string) (map[string]schema.LocalImage, error)

// Checker compares what runs with what registries have.
type Checker struct {
	Registry *Registry
	Images   Images
	Now      func() time.Time
}

// Check looks at services of one server. Every one gets an answer that explains
// itself; what could not be found out is said so, never "unchanged". The error is
// that the server does not tell what it runs.
func (c *Checker) Check(ctx context.Context, server schema.Target, services []Service) (schema.UpdateState, error) {
	var ids []string
	for _, s := range services {
		if s.ImageID != "" && !slices.Contains(ids, s.ImageID) {
			ids = append(ids, s.ImageID)
		}
	}
	local := map[string]schema.LocalImage{}
	if len(ids) > 0 {
		var err error
		if local, err = c.Images(ctx, server.ID, ids); err != nil {
			return schema.UpdateState{}, schema.Wrap(schema.CodeOf(err), err, "ask server %q what it runs", server.Name)
		}
	}
	out := schema.UpdateState{CheckedAt: c.Now().UnixMilli(), Services: make([]schema.ServiceUpdate, len(services))}
	var g errgroup.Group
	g.SetLimit(16)
	for i, s := range services {
		g.Go(func() error {
			out.Services[i] = c.service(ctx, s, local)
			return nil
		})
	}
	return out, g.Wait()
}

func (c *Checker) service(ctx context.Context, s Service, local map[string]schema.LocalImage) schema.ServiceUpdate {
	u := schema.ServiceUpdate{Service: s.Name, Image: s.Image}
	have, known := local[s.ImageID]
	switch {
	case s.Image == "":
		u.Reason = "it has no image of a registry"
		return u
	case strings.Contains(s.Image, "@"):
		u.Reason = "pinned by its digest"
		return u
	case s.ImageID == "":
		u.Reason = "it does not run"
		return u
	case !known:
		u.Failed, u.Reason = true, "the server does not have the image of its container any more: deploy it again"
		return u
	case len(have.Digests) == 0:
		u.Reason = "the image was built or loaded there: no registry has it"
		return u
	}
	latest, err := c.Registry.Digest(ctx, s.Image, s.Login)
	if err != nil {
		u.Failed, u.Reason = true, schema.SafeText(err)
		return u
	}
	u.Latest, u.Running = latest, digestOf(have.Digests[0])
	for _, d := range have.Digests {
		if digestOf(d) == latest {
			u.Running = latest
			u.Reason = fmt.Sprintf("what runs is what the tag stands for (%s)", short(latest))
			return u
		}
	}
	same, err := c.Registry.Has(ctx, s.Image, u.Running, have, s.Login)
	switch {
	case err != nil:
		u.Failed, u.Reason = true, schema.SafeText(err)
	case same:
		u.Reason = fmt.Sprintf("what runs is what the tag stands for on its platform (%s)", short(u.Running))
	default:
		u.Newer, u.Reason = true, fmt.Sprintf("the tag stands for %s, %s runs", short(latest), short(u.Running))
	}
	return u
}

func digestOf(named string) string {
	_, digest, _ := strings.Cut(named, "@")
	return digest
}

func short(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	if len(hex) > 12 {
		hex = hex[:12]
	}
	return hex
}
