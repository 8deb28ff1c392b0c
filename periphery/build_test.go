package periphery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/bus/bustest"
	"berth/git/gittest"
	"berth/schema"
)

const (
	pusher      = "pusher"
	pushToken   = "taube-71-token"
	canaryValue = "kanarienvogel-22-npm"
)

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
