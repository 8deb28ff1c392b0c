package build

import (
	"context"
	"encoding/json"

	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"

	"berth/periphery/docker"
	"berth/schema"
)

// Check asks a registry whether it knows the account. Nothing of it is kept.
// Errors: schema.Denied for a wrong token; schema.Unavailable for a registry that
// cannot be reached. Both name registry and account.
func (b *Builder) Check(ctx context.Context, l Login) error {
	_, err := b.engine.API().RegistryLogin(ctx, client.RegistryLoginOptions{
		Username: l.User, Password: l.Password, ServerAddress: registryKey(l.Domain),
	})
	return b.refused(ctx, err, l, "log in to registry "+l.Domain)
}

// Push pushes an image by one of its names and returns the digest of the manifest.
// Errors are those of Check.
func (b *Builder) Push(ctx context.Context, ref string, l Login, emit Emit) (digest string, err error) {
	auth, err := authconfig.Encode(registry.AuthConfig{Username: l.User, Password: l.Password, ServerAddress: registryKey(l.Domain)})
	if err != nil {
		return "", schema.Wrap(schema.Internal, err, "push %s", ref)
	}
	stream, err := b.engine.API().ImagePush(ctx, ref, client.ImagePushOptions{RegistryAuth: auth})
	if err != nil {
		return "", b.refused(ctx, err, l, "push "+ref)
	}
	defer stream.Close()
	for m, err := range stream.JSONMessages(ctx) {
		switch {
		case err != nil:
			return "", b.refused(ctx, err, l, "push "+ref)
		case m.Error != nil:
			return "", b.refused(ctx, m.Error, l, "push "+ref)
		case m.Aux != nil:
			var pushed struct {
				Digest string `json:"Digest"`
			}
			if json.Unmarshal(*m.Aux, &pushed) == nil && pushed.Digest != "" {
				digest = pushed.Digest
			}
		case m.ID != "" && m.Progress != nil:
			emit(schema.Entry{Kind: schema.EntryProgress, ID: ref + " " + m.ID, Text: m.Status, Current: m.Progress.Current, Total: m.Progress.Total})
		}
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return digest, nil
}

// refused names registry and account, the registry's answer, and the way out.
func (b *Builder) refused(ctx context.Context, err error, l Login, doing string) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if client.IsErrConnectionFailed(err) {
		return b.engine.Explain(err, doing)
	}
	text := docker.Text(err)
	has := func(words ...string) bool { return docker.Says(text, words...) }
	switch {
	case has("unauthorized", "denied", "incorrect username", "no basic auth", "authentication required"):
		return schema.Wrap(schema.Denied, err, "%s: registry %s refuses account %q: %s: is its token right, and may it push there? Tokens stand in core's configuration, [[image_registry]]",
			doing, l.Domain, l.User, text)
	case has("no such host", "connection refused", "timeout", "deadline exceeded", "dial tcp", "toomanyrequests", "server gave http response"):
		return schema.Wrap(schema.Unavailable, err, "%s as %q: %s; the registry does not serve this server now", doing, l.User, text)
	}
	return schema.Wrap(schema.Failed, err, "%s as %q: %s", doing, l.User, text)
}
