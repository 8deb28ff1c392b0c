package rig

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"berth/periphery/docker"
)

// App is the compiled test program: what every image of BuildImage consists of.
type App struct {
	binary []byte
	layer  []byte // a tar with /app in it
	digest string // of the layer
}

// Compile builds the program package dockertest/app as one static binary. It
// needs Go and takes a second; do it once.
func Compile(ctx context.Context) (*App, error) {
	dir, err := os.MkdirTemp("", "berth-app-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	root, err := Module()
	if err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "app")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "./periphery/docker/dockertest/app")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile the program of test images: %w: %s", err, text)
	}
	binary, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	return Pack(binary)
}

// Pack makes a static program what images of BuildImage consist of: it is /app in
// them.
func Pack(binary []byte) (*App, error) {
	layer, err := archive(map[string]file{"app": {binary, 0o755}})
	if err != nil {
		return nil, err
	}
	return &App{binary: binary, layer: layer, digest: digest(layer)}, nil
}

// Binary is the static program, for a Dockerfile that copies it FROM scratch.
func (a *App) Binary() []byte { return a.binary }

// Behaviour is what an image does unless its container is told otherwise.
type Behaviour struct {
	Args   []string          // flags of app, e.g. -exit 3; see package app
	Env    map[string]string // e.g. PORT
	Labels map[string]string
	Health bool // checks itself every second
}

// BuildImage gives the engine an image name:tag that behaves as told, without any
// registry. Images with different tags or behaviours have different ids.
func (a *App) BuildImage(ctx context.Context, engine *docker.Client, name, tag string, b Behaviour) error {
	labels := map[string]string{"berth.test.tag": tag}
	maps.Copy(labels, b.Labels)
	env := []string{"APP_TEXT=" + name + ":" + tag}
	for k, v := range b.Env {
		env = append(env, k+"="+v)
	}
	config := map[string]any{"Entrypoint": []string{"/app"}, "Cmd": b.Args, "Env": env, "Labels": labels}
	if b.Health {
		config["Healthcheck"] = map[string]any{
			"Test": []string{"CMD", "/app", "-health"}, "Interval": 1e9, "Timeout": 2e9, "StartPeriod": 0, "Retries": 3,
		}
	}
	image, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "created": "2024-01-01T00:00:00Z", "config": config,
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + a.digest}},
		"history": []map[string]any{{"created": "2024-01-01T00:00:00Z", "created_by": "berth"}},
	})
	if err != nil {
		return err
	}
	id := digest(image)
	manifest, err := json.Marshal([]map[string]any{{
		"Config": id + ".json", "RepoTags": []string{name + ":" + tag}, "Layers": []string{a.digest + "/layer.tar"},
	}})
	if err != nil {
		return err
	}
	saved, err := archive(map[string]file{
		"manifest.json": {manifest, 0o644}, id + ".json": {image, 0o644}, a.digest + "/layer.tar": {a.layer, 0o644},
	})
	if err != nil {
		return err
	}
	return engine.Load(ctx, bytes.NewReader(saved))
}

type file struct {
	data []byte
	mode int64
}

func archive(files map[string]file) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: f.mode, Size: int64(len(f.data)), Typeflag: tar.TypeReg}); err != nil {
			return nil, err
		}
		if _, err := io.Copy(w, bytes.NewReader(f.data)); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return buf.Bytes(), err
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
