package update

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"berth/schema"
)

// hub is a registry that counts what it is asked and can refuse.
type hub struct {
	host   string
	heads  atomic.Int32
	status atomic.Int32 // of the answer to HEAD of a manifest, instead of the right one
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{}
	inner := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/private/") {
			if _, pass, _ := r.BasicAuth(); pass != "pa55" {
				w.Header().Set("WWW-Authenticate", `Basic realm="hub"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
		}
		if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/") {
			h.heads.Add(1)
			if s := h.status.Load(); s != 0 {
				w.WriteHeader(int(s))
				return
			}
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	h.host = strings.TrimPrefix(srv.URL, "http://")
	return h
}

// push stores a new image under a tag and returns its digest.
func (h *hub) push(t *testing.T, repo string) string {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(h.host + "/" + repo)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	h.heads.Store(0) // pushing asks as well
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func (h *hub) checker(local map[string]schema.LocalImage) *Checker {
	return &Checker{
		Registry: NewRegistry(time.Now, nil), Now: time.Now,
		Images: func(context.Context, string, []string) (map[string]schema.LocalImage, error) { return local, nil },
	}
}

func TestCheckExplainsItself(t *testing.T) {
	h := newHub(t)
	old := h.push(t, "acme/web:1")
	now := h.push(t, "acme/db:1")
	h.push(t, "acme/web:1") // moved
	web, db := h.host+"/acme/web:1", h.host+"/acme/db:1"
	c := h.checker(map[string]schema.LocalImage{
		"old": {Digests: []string{h.host + "/acme/web@" + old}}, "now": {Digests: []string{h.host + "/acme/db@" + now}}, "built": {},
	})
	state, err := c.Check(t.Context(), schema.Target{}, []Service{
		{Name: "moved", Image: web, ImageID: "old"},
		{Name: "same", Image: db, ImageID: "now"},
		{Name: "pinned", Image: web + "@" + old, ImageID: "old"},
		{Name: "down", Image: web},
		{Name: "built", Image: "local/thing", ImageID: "built"},
		{Name: "gone", Image: web, ImageID: "removed"},
		{Name: "unknown", Image: h.host + "/acme/none:1", ImageID: "old"},
		{Name: "bad", Image: "UPPER/case:?", ImageID: "old"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		newer, failed bool
		reason        string
	}{
		{true, false, "the tag stands for"},
		{false, false, "what runs is what the tag stands for"},
		{false, false, "pinned"},
		{false, false, "does not run"},
		{false, false, "no registry has it"},
		{false, true, "deploy it again"},
		{false, true, "has no"},
		{false, true, "no name of an image"},
	} {
		u := state.Services[i]
		if u.Newer != want.newer || u.Failed != want.failed || !strings.Contains(u.Reason, want.reason) {
			t.Errorf("%+v, want %+v", u, want)
		}
	}
	if got := state.Newer(); len(got) != 1 || got[0] != "moved" {
		t.Errorf("newer: %v", got)
	}
}

func TestPartOfAnImageForSeveralPlatforms(t *testing.T) {
	h := newHub(t)
	var index v1.ImageIndex = empty.Index
	digests := map[string]string{}
	for _, arch := range []string{"amd64", "arm64"} {
		img, err := random.Image(64, 1)
		if err != nil {
			t.Fatal(err)
		}
		d, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests[arch] = d.String()
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	ref, err := name.ParseReference(h.host + "/acme/multi:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
	c := h.checker(map[string]schema.LocalImage{
		"mine":   {Digests: []string{"x@" + digests["amd64"]}, OS: "linux", Arch: "amd64"},
		"theirs": {Digests: []string{"x@" + digests["arm64"]}, OS: "linux", Arch: "amd64"},
	})
	state, err := c.Check(t.Context(), schema.Target{}, []Service{{Name: "mine", Image: ref.Name(), ImageID: "mine"}, {Name: "theirs", Image: ref.Name(), ImageID: "theirs"}})
	if err != nil || state.Services[0].Newer || !state.Services[1].Newer {
		t.Errorf("%+v, err %v", state, err)
	}
}

func TestOneQuestionPerImage(t *testing.T) {
	h := newHub(t)
	h.push(t, "acme/web:1")
	c := h.checker(nil)
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if _, err := c.Registry.Digest(t.Context(), h.host+"/acme/web:1", Login{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := h.heads.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestAnswersGrowOld(t *testing.T) {
	h := newHub(t)
	h.push(t, "acme/web:1")
	var now atomic.Int64
	r := NewRegistry(func() time.Time { return time.Unix(now.Load(), 0) }, nil)
	for range 2 {
		if _, err := r.Digest(t.Context(), h.host+"/acme/web:1", Login{}); err != nil {
			t.Fatal(err)
		}
		now.Add(int64(keep/time.Second) + 1)
	}
	if n := h.heads.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestRegistryThatHasHadEnough(t *testing.T) {
	h := newHub(t)
	h.push(t, "acme/web:1")
	h.status.Store(http.StatusTooManyRequests)
	r := NewRegistry(time.Now, nil)
	for range 3 {
		_, err := r.Digest(t.Context(), h.host+"/acme/web:1", Login{})
		if schema.CodeOf(err) != schema.Unavailable || !strings.Contains(schema.SafeText(err), "had enough") {
			t.Errorf("err %v", err)
		}
	}
	if n := h.heads.Load(); n > 5 { // the library tries again by itself a few times
		t.Errorf("asked %d times", n)
	}
}

func TestLogin(t *testing.T) {
	h := newHub(t)
	r := NewRegistry(time.Now, nil)
	_, err := r.Digest(t.Context(), h.host+"/private/web:1", Login{Username: "ci", Token: "wrong"})
	if schema.CodeOf(err) != schema.Denied || !strings.Contains(schema.SafeText(err), `as "ci"`) {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := r.Digest(t.Context(), h.host+"/private/web:1", Login{Username: "ci", Token: "pa55"}); schema.CodeOf(err) != schema.NotFound {
		t.Errorf("right password: %v", err)
	}
}
