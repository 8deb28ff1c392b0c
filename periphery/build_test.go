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
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"berth/bus/bustest"
	"berth/git/gittest"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

const (
	pusher      = "pusher"
	pushToken   = "taube-71-token"
	canaryValue = "kanarienvogel-22-npm"
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

// TestBuildCustomImage builds what the seed builds, and looks at all that it left.
func TestBuildCustomImage(t *testing.T) {
	b := newBuild(t, customImage())
	b.vars = map[string]schema.VariableValue{
		"NPM_TOKEN": {Value: canaryValue, Secret: true}, "BASE_TAG": {Value: "1"},
	}
	c := &b.req.Config
	c.BuildPath = "docker"
	c.BuildArgs = "TAG = [[BASE_TAG]]\nNOTE: \"from [[$VERSION]]\"\n"
	c.SecretArgs = "NPM_TOKEN = [[NPM_TOKEN]]\n"
	c.Labels = "org.berth.test: \"yes, it is\"\n"
	c.ExtraArgs = schema.StrList{"--pull=false --no-cache", "--label more=1"}
	b.req.Version, b.req.Before = schema.Version{Major: 1, Minor: 2, Patch: 4}, schema.Version{Major: 1, Minor: 2, Patch: 3}
	resp, out := b.build()
	image := b.host + "/pusher/" + b.req.Name
	want := []string{image + ":latest", image + ":1.2.4", image + ":1.2", image + ":1"}
	if diff := cmp.Diff(want, resp.Pushed); diff != "" {
		t.Errorf("pushed (-want +got):\n%s", diff)
	}
	if digest, err := b.pushed(image + ":1.2").Digest(); err != nil || resp.Digest != digest.String() {
		t.Errorf("digest %s, in the registry %s, %v", resp.Digest, digest, err)
	}
	file := b.config(image + ":1.2.4")
	for key, value := range map[string]string{"version": "1.2.4", "note": "from 1.2.3", "org.berth.test": "yes, it is", "more": "1"} {
		if file.Config.Labels[key] != value {
			t.Errorf("label %s is %q, want %q", key, file.Config.Labels[key], value)
		}
	}
	layers := b.layerText(image + ":1")
	if !strings.Contains(layers, "custom-script") || !strings.Contains(layers, "a-kept-file") || strings.Contains(layers, "an-ignored-file") {
		t.Error("the layers do not hold what COPY and .dockerignore say")
	}
	for _, word := range []string{"COPY sops-decrypt.sh data /opt/", "DONE", "phase push done", "phase login done  pusher at " + b.host, "<NPM_TOKEN>"} {
		if !strings.Contains(out, word) {
			t.Errorf("%q is not in the output:\n%s", word, out)
		}
	}
	history, _ := json.Marshal(file)
	for place, text := range map[string]string{"layers": layers, "config and history": string(history), "output": out} {
		for _, secret := range []string{canaryValue, pushToken} {
			if strings.Contains(text, secret) {
				t.Errorf("%s in %s:\n%s", secret, place, text)
			}
		}
	}
	noSecret(t, b.a.cfg.Data, canaryValue)
	noSecret(t, b.a.cfg.Data, pushToken)
	c.ExtraArgs = nil
	if again, out := b.build(); again.Cached == 0 || !strings.Contains(out, "CACHED") {
		t.Errorf("%d of %d steps cached:\n%s", again.Cached, again.Steps, out)
	}
}

// TestBuildFails is a Dockerfile that does not build, and settings that cannot.
func TestBuildFails(t *testing.T) {
	b := newBuild(t, map[string]string{"Dockerfile": "FROM berthtest/base:1\nCOPY nope /nope\n"})
	out := b.fails(schema.Failed, "build image "+b.host, "nope")
	if !strings.Contains(out, "ERROR") {
		t.Error(out)
	}
	write(t, b.path("Dockerfile"), "FROM berthtest/base:1\nRUN [\"/app\", \"-say\", \"last words\", \"-exit\", \"3\"]\n")
	if out := b.fails(schema.Failed, "exit code: 3"); !strings.Contains(out, "last words") {
		t.Error(out)
	}
	b.req.Config.DockerfilePath = "elsewhere"
	b.fails(schema.Invalid, "elsewhere", "dockerfile_path")
	b.req.Config.BuildPath = "nowhere"
	b.fails(schema.Invalid, "nowhere", "build_path")
	b.req.Config.ExtraArgs = schema.StrList{"--output=x"}
	b.fails(schema.Invalid, "extra_args", "--output")
	b.req.Config = schema.DefaultBuild()
	b.fails(schema.Invalid, "has no source")
}

// TestBuildRegistryRefuses is a wrong token, and none.
func TestBuildRegistryRefuses(t *testing.T) {
	b := newBuild(t, map[string]string{"Dockerfile": "FROM berthtest/base:1\n"})
	b.set(func(c *core) { c.registry[0].Token = "wrong-token-99" })
	out := b.fails(schema.Denied, b.host, pusher, "image_registry")
	if strings.Contains(out, "wrong-token-99") || strings.Contains(out, "phase build") {
		t.Errorf("the token is shown, or it was built for nothing:\n%s", out)
	}
	b.set(func(c *core) { c.registry = nil })
	b.fails(schema.NotFound, b.host, pusher, "image_registry")
	b.req.Config.ImageRegistry[0].Account = ""
	resp, _ := b.build()
	if len(resp.Pushed) != 0 || resp.ID == "" || !slices.Contains(resp.Refs, b.req.Name+":latest") || len(resp.Warnings) != 1 {
		t.Errorf("%+v", resp)
	}
}

// TestBuildInlineDockerfile builds a Dockerfile that is written in Berth.
func TestBuildInlineDockerfile(t *testing.T) {
	b := newBuild(t, nil)
	b.req.Config.FilesOnHost = false
	b.vars = map[string]schema.VariableValue{"WORD": {Value: "inline"}}
	b.req.Config.Dockerfile = "FROM berthtest/base:1\nARG VERSION\nLABEL word=[[WORD]] version=$VERSION\n"
	b.build()
	b.req.Config.Dockerfile = "FROM berthtest/base:1\nARG VERSION\nLABEL word=changed version=$VERSION\n"
	b.req.Config.SkipSecretInterp = true
	b.req.Config.ImageTag = "arm"
	b.req.Config.BuildArgs = "VERSION=mine"
	resp, _ := b.build()
	file := b.config(resp.Pushed[0])
	if file.Config.Labels["word"] != "changed" || file.Config.Labels["version"] != "mine" {
		t.Errorf("%v", file.Config.Labels)
	}
	image := b.host + "/pusher/" + b.req.Name
	want := []string{image + ":arm", image + ":latest-arm", image + ":0.0.1-arm", image + ":0.0-arm", image + ":0-arm"}
	if diff := cmp.Diff(want, resp.Pushed); diff != "" {
		t.Errorf("pushed (-want +got):\n%s", diff)
	}
	if got := b.config(image + ":latest").Config.Labels["word"]; got != "inline" {
		t.Errorf("word = %q", got)
	}
}

// TestBuildAtCommit builds exactly the commit it is told, although the branch is
// further, and runs pre_build in the context.
func TestBuildAtCommit(t *testing.T) {
	b := newBuild(t, nil)
	repo := gittest.New(t).Repo("team/image")
	one := repo.Commit(map[string]string{"img/Dockerfile": "FROM berthtest/base:1\nCOPY . /src/\n", "img/text": "commit one"}, "one")
	repo.Commit(map[string]string{"img/text": "commit two"}, "two")
	host, _, _ := strings.Cut(strings.TrimPrefix(repo.URL(), "http://"), "/")
	b.req.Config.FilesOnHost = false
	b.req.Config.BuildPath = "img"
	b.req.Config.LinkedRepo = "linked"
	b.req.Config.PreBuild.Command = "echo made-by-hook > made\n"
	b.req.Source = &schema.GitSource{Provider: host, Repo: "team/image", Branch: "main", Commit: one}
	resp, out := b.build()
	if resp.Commit.Commit != one || resp.Commit.Message != "one" {
		t.Errorf("%+v", resp.Commit)
	}
	image := b.host + "/pusher/" + b.req.Name
	text := b.layerText(image + ":" + one[:7])
	if !strings.Contains(text, "commit one") || strings.Contains(text, "commit two") || !strings.Contains(text, "made-by-hook") {
		t.Errorf("not the context of the commit:\n%s", out)
	}
}

// TestBuildIsCanceled cancels in the middle of a step.
func TestBuildIsCanceled(t *testing.T) {
	b := newBuild(t, map[string]string{
		"Dockerfile": "FROM berthtest/base:1\nRUN [\"/app\", \"-say\", \"sleeping now\", \"-sleep\", \"1m\", \"-exit\", \"0\"]\n",
	})
	b.req.Config.ExtraArgs = schema.StrList{"--no-cache"}
	id := b.send()
	bustest.Eventually(t, 30*time.Second, "the step's words", func() bool {
		seen := false
		_ = b.bus.Core.Output(t.Context(), runID, id, 0, func(_ uint64, _ string, chunk schema.Output) error {
			for _, e := range chunk.Entries {
				seen = seen || strings.HasSuffix(e.Text, " sleeping now")
			}
			return nil
		})
		return seen
	})
	began := time.Now()
	b.cancel(id)
	res := b.wait(id)
	if res.Problem == nil || res.Problem.Code != schema.Canceled {
		t.Fatalf("%+v", res.Problem)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s to stop", took)
	}
	if _, err := b.engine.Image(t.Context(), b.req.Images[0].Name+":latest"); schema.CodeOf(err) != schema.NotFound {
		t.Errorf("there is an image: %v", err)
	}
}

// TestBuildsAtOnce are two builds on one builder, each waiting for the other.
func TestBuildsAtOnce(t *testing.T) {
	b := newBuild(t, nil)
	ids := make([]string, 2)
	first := b.req
	for i := range ids {
		b.req = first
		b.req.ID, b.req.Name = schema.DeriveID(t.Name(), fmt.Sprint(i)), fmt.Sprintf("%s-%d", first.Name, i)
		write(t, b.path("Dockerfile"), "FROM berthtest/base:1\nCOPY text /text\nRUN [\"/app\", \"-say\", \"here\", \"-sleep\", \"2s\", \"-exit\", \"0\"]\n")
		write(t, b.path("text"), fmt.Sprint("build ", i, time.Now()))
		ids[i] = b.send()
	}
	began := time.Now()
	for _, id := range ids {
		if res := b.wait(id); res.Problem != nil {
			t.Fatal(res.Problem.Text)
		}
	}
	t.Logf("both took %s", time.Since(began))
	for i := range ids {
		image := fmt.Sprintf("%s/pusher/%s-%d", b.host, first.Name, i)
		if text := b.layerText(image + ":latest"); !strings.Contains(text, fmt.Sprint("build ", i)) {
			t.Errorf("%s holds another's files", image)
		}
		_ = b.engine.RemoveImage(context.Background(), image+":latest")
	}
	if _, err := os.Stat(b.a.path("builds")); err != nil {
		t.Error(err)
	}
}
