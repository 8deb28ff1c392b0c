package periphery_test

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

// imageBuild is a build on the machine's engine, done by an agent over the bus.
type imageBuild struct {
	*core
	a      *agent
	engine *rig.Engine
	host   string // of a registry that wants pusher's token
	req    schema.BuildRunReq
	n      int
}

// newBuild has a base image berthtest/base:1, a registry whose account core knows,
// and a build of files on the host that is pushed there.
func newBuild(t *testing.T, files map[string]string) *imageBuild {
	t.Helper()
	t.Parallel() // most of the time is the engine's
	e := dockertest.Engine(t)
	dockertest.BuildImage(t, e, "berthtest/base", "1", rig.Behaviour{})
	c := newCore(t)
	b := &imageBuild{core: c, engine: e, a: c.newAgent(), host: newRegistry(t)}
	b.registry = []schema.AccountToken{{AccountRef: schema.AccountRef{Provider: b.host, Account: pusher}, Token: pushToken}}
	cfg := schema.DefaultBuild()
	cfg.FilesOnHost = true
	cfg.ImageRegistry = schema.ImageRegistries{{Domain: b.host, Account: pusher}}
	id := schema.DeriveID(t.Name())
	b.req = schema.BuildRunReq{ID: id, Name: "custom-" + id[:6], Config: cfg, Version: schema.Version{Patch: 1}}
	for path, text := range files {
		write(t, b.path(path), text)
	}
	t.Cleanup(func() {
		for _, image := range b.req.Images {
			for _, tag := range b.req.Tags {
				_ = e.RemoveImage(context.Background(), image.Name+":"+tag)
			}
		}
	})
	return b
}

// newRegistry serves a registry that wants pusher's token, at an address that the
// engine of this machine takes plain HTTP from.
func newRegistry(t *testing.T) string {
	t.Helper()
	inner := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(pusher+":"+pushToken)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

func (b *imageBuild) path(name string) string { return b.a.path("builds", b.req.Name, name) }

func (b *imageBuild) send() string {
	b.n++
	b.req.Images = b.req.Config.ImageNames(b.req.Name)
	commit := ""
	if b.req.Source != nil {
		commit = b.req.Source.Commit
	}
	b.req.Tags = b.req.Config.Tags(b.req.Version, commit)
	id := fmt.Sprintf("build%02d", b.n)
	b.queue(id, "build-"+b.req.ID, schema.BuildRun.Name, b.req)
	return id
}

// build must succeed; the output is returned as well.
func (b *imageBuild) build() (schema.BuildRunResp, string) {
	b.t.Helper()
	id := b.send()
	res := b.wait(id)
	if res.Problem != nil {
		b.t.Fatalf("%s\n%s", res.Problem.Text, b.text(id))
	}
	var resp schema.BuildRunResp
	if err := json.Unmarshal(res.Value, &resp); err != nil {
		b.t.Fatal(err)
	}
	return resp, b.text(id)
}

// fails builds; it must not succeed, and say why.
func (b *imageBuild) fails(code schema.Code, words ...string) string {
	b.t.Helper()
	id := b.send()
	res := b.wait(id)
	if res.Problem == nil {
		b.t.Fatalf("it succeeded, want %s\n%s", code, b.text(id))
	}
	if res.Problem.Code != code {
		b.t.Errorf("code %s, want %s: %s", res.Problem.Code, code, res.Problem.Text)
	}
	for _, w := range words {
		if !strings.Contains(res.Problem.Text, w) {
			b.t.Errorf("%q is not in %q", w, res.Problem.Text)
		}
	}
	return b.text(id)
}

// pushed reads an image back from the registry.
func (b *imageBuild) pushed(ref string) v1.Image {
	b.t.Helper()
	tag, err := name.NewTag(ref, name.Insecure)
	if err != nil {
		b.t.Fatal(err)
	}
	img, err := remote.Image(tag, remote.WithContext(b.t.Context()), remote.WithAuth(&authn.Basic{Username: pusher, Password: pushToken}))
	if err != nil {
		b.t.Fatal(err)
	}
	return img
}

func (b *imageBuild) config(ref string) *v1.ConfigFile {
	b.t.Helper()
	file, err := b.pushed(ref).ConfigFile()
	if err != nil {
		b.t.Fatal(err)
	}
	return file
}

// layerText is everything in the layers of a pushed image.
func (b *imageBuild) layerText(ref string) string {
	b.t.Helper()
	layers, err := b.pushed(ref).Layers()
	if err != nil {
		b.t.Fatal(err)
	}
	var text strings.Builder
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			b.t.Fatal(err)
		}
		_, err = io.Copy(&text, r)
		if err = errors.Join(err, r.Close()); err != nil {
			b.t.Fatal(err)
		}
	}
	return text.String()
}

// customImage is the image of the seed: a base with files added.
func customImage() map[string]string {
	return map[string]string{
		"docker/Dockerfile": `ARG TAG
FROM berthtest/base:${TAG}
ARG VERSION
ARG NOTE
COPY sops-decrypt.sh data /opt/
RUN --mount=type=secret,id=NPM_TOKEN ["/app", "-cat", "/run/secrets/NPM_TOKEN", "-exit", "0"]
LABEL version=$VERSION note=$NOTE
`,
		"docker/.dockerignore": "data/left-out\n", "docker/sops-decrypt.sh": "#!/bin/sh\necho custom-script\n",
		"docker/data/kept": "a-kept-file", "docker/data/left-out": "an-ignored-file",
	}
}
