package registry_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"github.com/moby/moby/client"

	"berth/e2e/registry"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

// TestPull proves two engines side by side and a registry that both reach, by its
// password only.
func TestPull(t *testing.T) {
	engines := dockertest.Engines(t, 2)
	r := registry.New(t, "puller", "s3cret")
	r.Push(t, "harbour/web", "1", dockertest.Compiled(t).Binary(), "one")
	ref := r.Host(engines[0].Gateway) + "/harbour/web:1" // one name for both engines

	if err := pull(t, engines[0], ref, "puller", "wrong"); err == nil {
		t.Error("pulled with a wrong password")
	}
	if err := pull(t, engines[0], ref, "puller", "s3cret"); err != nil {
		t.Fatal(err)
	}
	if _, err := engines[0].Image(t.Context(), ref); err != nil {
		t.Errorf("the pulled image: %v", err)
	}
	var missing *schema.Error
	if _, err := engines[1].Image(t.Context(), ref); !errors.As(err, &missing) || missing.Code != schema.NotFound {
		t.Errorf("the second engine has what the first one pulled: %v", err)
	}
	if err := pull(t, engines[1], ref, "puller", "s3cret"); err != nil {
		t.Fatal(err)
	}
	if r.Pulled("harbour/web") == 0 || r.Refused() == 0 {
		t.Errorf("pulled %d times, refused %d times", r.Pulled("harbour/web"), r.Refused())
	}
}

func pull(t *testing.T, e *rig.Engine, ref, user, password string) error {
	t.Helper()
	auth, err := json.Marshal(map[string]string{"username": user, "password": password})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := e.API().ImagePull(t.Context(), ref, client.ImagePullOptions{RegistryAuth: base64.URLEncoding.EncodeToString(auth)})
	if err != nil {
		return err
	}
	return resp.Wait(t.Context())
}
