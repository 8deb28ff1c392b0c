package single

import (
	"context"
	"errors"
	"time"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/periphery/docker"
	"berth/schema"
)

// Login is an account at a registry.
type Login struct {
	User, Password string
}

// Progress is told how far a layer is.
type Progress func(id, text string, current, total int64)

// Has returns the id of an image; "" when the engine does not have it.
func (e *Engine) Has(ctx context.Context, image string) (string, error) {
	img, err := e.docker.Image(ctx, image)
	if schema.CodeOf(err) == schema.NotFound {
		return "", nil
	}
	return img.ID, err
}

// errSilent says that a registry did not answer in time.
var errSilent = errors.New("i/o timeout: the registry does not answer")

// patienceOf is how long a registry may take to answer at all: not long where the
// image is here and a newer one would only be nice to have.
func patienceOf(here bool) time.Duration {
	if here {
		return 20 * time.Second
	}
	return 2 * time.Minute
}

// Pull gets an image. The error names it, the registry's answer and a way out.
func (e *Engine) Pull(ctx context.Context, spec Spec, login *Login, here bool, progress Progress) error {
	image := spec.Options.Config.Image
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return schema.Errorf(schema.Invalid, "image %q is no image's name: %v", image, err)
	}
	o := client.ImagePullOptions{}
	if login != nil {
		domain := reference.Domain(named)
		if domain == "docker.io" {
			domain = "https://index.docker.io/v1/"
		}
		if o.RegistryAuth, err = authconfig.Encode(registry.AuthConfig{Username: login.User, Password: login.Password, ServerAddress: domain}); err != nil {
			return schema.Wrap(schema.Internal, err, "pull image %s", image)
		}
	}
	if p := spec.Options.Platform; p != nil {
		o.Platforms = []ocispec.Platform{*p}
	}
	answer, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(patienceOf(here), func() { cancel(errSilent) })
	stream, err := e.docker.API().ImagePull(answer, reference.TagNameOnly(named).String(), o)
	if !silence.Stop() && err != nil && ctx.Err() == nil {
		err = errSilent
	}
	if err != nil {
		return e.pullError(ctx, image, err)
	}
	defer stream.Close()
	for m, err := range stream.JSONMessages(ctx) {
		switch {
		case err != nil:
			return e.pullError(ctx, image, err)
		case m.Error != nil:
			return e.pullError(ctx, image, m.Error)
		case m.ID != "" && m.Progress != nil:
			progress("Image "+image+" "+m.ID, m.Status, m.Progress.Current, m.Progress.Total)
		}
	}
	return ctx.Err()
}

func (e *Engine) pullError(ctx context.Context, image string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if client.IsErrConnectionFailed(err) {
		return e.docker.Explain(err, "pull image "+image)
	}
	text := docker.Text(err)
	has := func(words ...string) bool { return docker.Says(text, words...) }
	code, hint := schema.Failed, ""
	switch {
	case has("denied", "unauthorized", "no basic auth"):
		code, hint = schema.Denied, "; does it exist, and does image_registry_account name an account that may read it?"
	case has("not found", "manifest unknown", "manifest_unknown"):
		code, hint = schema.NotFound, "; check name and tag"
	case has("no such host", "connection refused", "timeout", "deadline exceeded", "dial tcp", "toomanyrequests"):
		code, hint = schema.Unavailable, "; the registry does not serve this host now"
	}
	return schema.Wrap(code, err, "pull image %s: %s%s", image, text, hint)
}
