package compose_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/periphery/docker/dockertest"
	"berth/schema"
)

func TestBuild(t *testing.T) {
	s := newStack(t, map[string]string{
		"compose.yaml": `
services:
  web:
    build: { context: ./app, args: { WORD: hello }, secrets: [ token ] }
    pull_policy: missing
  plain: { image: "berthtest/app:1" }
secrets: { token: { file: ./token } }
`,
		"app/Dockerfile": "FROM scratch\nARG WORD\nCOPY app /app\nCOPY text /text\nRUN --mount=type=secret,id=token [\"/app\", \"-cat\", \"/run/secrets/token\", \"-exit\", \"0\"]\nLABEL word=$WORD\nENTRYPOINT [\"/app\", \"-cat\", \"/text\"]\n",
		"app/text":       "first", "token": "t", "app/.dockerignore": "ignored\n", "app/ignored": "1",
	})
	binary := filepath.Join(s.spec.Dir, "app", "app")
	if err := os.WriteFile(binary, dockertest.Compiled(t).Binary(), 0o755); err != nil {
		t.Fatal(err)
	}
	ref := s.spec.Project + "-web:latest"
	t.Cleanup(func() { _ = s.engine.RemoveImage(context.Background(), ref) })
	_ = s.engine.RemoveImage(t.Context(), ref)
	// Debian's old buildx plugin, if there is one, is not asked.
	s.spec.Pull = true
	s.spec.Health = true
	first := s.expect("image is missing", "plain-1", "web-1")
	if !strings.Contains(s.transcript(), "COPY app /app") {
		t.Errorf("no output of the build:\n%s", s.transcript())
	}
	if got := s.log("web-1"); !strings.Contains(got, `"first"`) {
		t.Errorf("web wrote %q", got)
	}
	img, err := s.engine.Image(t.Context(), ref)
	if err != nil || img.Labels["word"] != "hello" {
		t.Errorf("image = %+v, %v", img, err)
	}
	s.write(map[string]string{"app/text": "second"})
	s.expect("image is here, no build wanted")
	s.spec.Build = true
	second := s.expect("build", "web-1")
	if got := s.log("web-1"); !strings.Contains(got, `"second"`) {
		t.Errorf("web wrote %q", got)
	}
	s.write(map[string]string{"app/ignored": "2"})
	third := s.expect("ignored file changed")
	if second.Inputs["web"]["build:app"] != third.Inputs["web"]["build:app"] || first.Inputs["web"]["image:"+s.spec.Project+"-web"] == third.Inputs["web"]["image:"+s.spec.Project+"-web"] {
		t.Errorf("inputs: %v, %v, %v", first.Inputs["web"], second.Inputs["web"], third.Inputs["web"])
	}
	s.write(map[string]string{"app/Dockerfile": "FROM scratch\nCOPY nope /nope\n"})
	_, err = s.try(t.Context())
	if schema.CodeOf(err) != schema.Failed || !strings.Contains(schema.SafeText(err), `service "web"`) || !strings.Contains(schema.SafeText(err), "nope") {
		t.Errorf("error = %v", err)
	}
}

func TestBuildInline(t *testing.T) {
	s := newStack(t, map[string]string{
		"compose.yaml": `
services:
  web:
    image: berthtest/inline:1
    build: { context: ., dockerfile_inline: "FROM scratch\nCOPY app /app\nENTRYPOINT [\"/app\"]\n" }
`,
	})
	if err := os.WriteFile(filepath.Join(s.spec.Dir, "app"), dockertest.Compiled(t).Binary(), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.engine.RemoveImage(context.Background(), "berthtest/inline:1") })
	s.spec.Build = true
	s.expect("build", "web-1")
	if list, err := s.d.State(t.Context(), s.spec.Project); err != nil || len(list) != 1 || list[0].State != "running" {
		t.Errorf("state = %+v, %v", list, err)
	}
	s.spec.ExtraArgs = []string{"--no-build"}
	_ = s.engine.RemoveImage(t.Context(), "berthtest/inline:1")
	if _, err := s.try(t.Context()); schema.CodeOf(err) != schema.NotFound {
		t.Errorf("no image and --no-build: %v", err)
	}
}

func TestBuildIsCanceled(t *testing.T) {
	s := newStack(t, map[string]string{
		"compose.yaml": "services: { web: { build: . } }",
		"Dockerfile":   "FROM scratch\nCOPY app /app\nRUN [\"/app\", \"-say\", \"sleeping now\", \"-sleep\", \"1m\", \"-exit\", \"0\"]\n",
	})
	if err := os.WriteFile(filepath.Join(s.spec.Dir, "app"), dockertest.Compiled(t).Binary(), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.spec.BuildExtraArgs = []string{"--no-cache"}
	plan, err := s.d.Load(ctx, s.spec)
	if err != nil {
		t.Fatal(err)
	}
	var canceled time.Time
	_, err = s.d.Up(ctx, plan, func(e schema.Entry) {
		if strings.Contains(e.Text, "sleeping now") && e.Phase == "build" && canceled.IsZero() {
			canceled = time.Now()
			cancel()
		}
	})
	if schema.CodeOf(err) != schema.Canceled || canceled.IsZero() {
		t.Fatalf("error = %v", err)
	}
	if took := time.Since(canceled); took > time.Second {
		t.Errorf("it took %s to stop", took)
	}
}
