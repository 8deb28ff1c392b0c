package compose_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/moby/moby/api/pkg/authconfig"
	apiregistry "github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"

	"berth/periphery/compose"
	"berth/schema"
)

// privateRegistry serves an image registry on a loopback port that wants a login.
func privateRegistry(t *testing.T, user, password string) string {
	t.Helper()
	inner := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestPullFromPrivateRegistry(t *testing.T) {
	s := newStack(t, nil)
	ctx, host := t.Context(), privateRegistry(t, "me", "s3cret")
	ref := host + "/team/web:1"
	push := func(source string) {
		t.Helper()
		if err := s.engine.Tag(ctx, source, ref); err != nil {
			t.Fatal(err)
		}
		auth, err := authconfig.Encode(apiregistry.AuthConfig{Username: "me", Password: "s3cret"})
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.engine.API().ImagePush(ctx, ref, client.ImagePushOptions{RegistryAuth: auth})
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = s.engine.RemoveImage(context.Background(), ref) })
	push(image + ":1")
	_ = s.engine.RemoveImage(ctx, ref)
	s.write(map[string]string{"compose.yaml": "services: { web: { image: '" + ref + "' }, api: { image: 'berthtest/app:1', pull_policy: never } }"})

	_, err := s.try(ctx)
	if schema.CodeOf(err) != schema.Denied || !strings.Contains(schema.SafeText(err), ref) {
		t.Errorf("pull without login: %v (%s)", err, schema.CodeOf(err))
	}
	s.spec.Registries = map[string]compose.Auth{host: {User: "me", Password: "wrong"}}
	if _, err = s.try(ctx); schema.CodeOf(err) != schema.Denied || strings.Contains(err.Error(), "wrong") {
		t.Errorf("pull with a wrong password: %v (%s)", err, schema.CodeOf(err))
	}
	s.spec.Registries = map[string]compose.Auth{host: {User: "me", Password: "s3cret"}}
	s.expect("pulled", "api-1", "web-1")

	// The same tag, another image: only a pull finds out.
	push(image + ":2")
	if err := s.engine.Tag(ctx, image+":1", ref); err != nil {
		t.Fatal(err)
	}
	s.expect("no pull")
	s.spec.Pull = true
	s.expect("pull", "web-1")
	if strings.Contains(s.transcript(), "s3cret") {
		t.Error("output tells the password")
	}
	plan, err := s.d.Load(ctx, s.spec)
	if err != nil {
		t.Fatal(err)
	}
	if phases, _, err := s.d.Pull(ctx, plan, nil); err != nil || len(phases) != 1 {
		t.Errorf("Pull = %v, %v", phases, err)
	}
	_ = s.engine.RemoveImage(ctx, ref)
	s.write(map[string]string{"compose.yaml": "services: { web: { image: '" + host + "/team/web:2' } }"})
	if _, err = s.try(ctx); schema.CodeOf(err) != schema.NotFound {
		t.Errorf("pull of an unknown tag: %v (%s)", err, schema.CodeOf(err))
	}
}

// TestPullThatFailsIsToldOnce lets a registry be away whose image is here.
func TestPullThatFailsIsToldOnce(t *testing.T) {
	s := newStack(t, nil)
	ctx, ref := t.Context(), "127.0.0.1:1/team/web:1"
	if err := s.engine.Tag(ctx, image+":1", ref); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.engine.RemoveImage(context.Background(), ref) })
	s.write(map[string]string{"compose.yaml": "services: { web: { image: '" + ref + "', pull_policy: always } }"})
	s.expect("the image is here", "web-1")
	text := s.transcript()
	if strings.Count(text, "connection refused") != 1 || !strings.Contains(text, "warning: pull image "+ref+" for service web: ") || !strings.Contains(text, "going on with the image that is on this host") {
		t.Errorf("told:\n%s", text)
	}
}
