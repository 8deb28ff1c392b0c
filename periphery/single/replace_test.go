package single_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"berth/periphery/docker"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/periphery/single"
	"berth/schema"
)

const deployment = "dddddddddddddddddddddddd"

// mortal stands between a process and its engine. It dies before or after the
// change of the given number: then nothing gets through any more, as if the process
// had been killed there.
type mortal struct {
	t      *testing.T
	engine *docker.Client
	at     int // 1, 2, …; 0 never
	after  bool

	mu   sync.Mutex
	n    int
	dead bool
}

func (m *mortal) open() *docker.Client {
	m.t.Helper()
	target, err := url.Parse(m.engine.Host())
	if err != nil {
		m.t.Fatal(err)
	}
	network, address := target.Scheme, target.Host
	if network == "unix" {
		address = target.Path
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "engine" },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}},
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dies := m.dies(r)
		if dies && !m.after {
			panic(http.ErrAbortHandler)
		}
		if !dies {
			proxy.ServeHTTP(w, r)
		} else {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
		}
		m.atMostOne(r) //nolint:contextcheck // the test's own
		if dies {
			panic(http.ErrAbortHandler)
		}
	}))
	m.t.Cleanup(srv.Close)
	c, err := docker.Open("tcp://" + strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = c.Close() })
	return c
}

// dies counts changes; what comes after a death never gets through.
func (m *mortal) dies(r *http.Request) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		panic(http.ErrAbortHandler)
	}
	if r.Method != http.MethodPost && r.Method != http.MethodDelete {
		return false
	}
	m.n++
	m.dead = m.n == m.at
	return m.dead
}

// atMostOne fails the test when two containers run.
func (m *mortal) atMostOne(r *http.Request) {
	if all := states(m.t, m.engine); r.Method != http.MethodGet && strings.Count(strings.Join(all, "\n"), " running") > 1 {
		m.t.Errorf("two run after %s %s: %q", r.Method, r.URL.Path, all)
	}
}

func states(t *testing.T, c *docker.Client) []string {
	list, err := c.Containers(context.WithoutCancel(t.Context()), "")
	if err != nil {
		t.Error(err)
	}
	out := []string{}
	for _, c := range list {
		out = append(out, c.Name+" "+c.Image+" "+c.State)
	}
	return out
}

// replace puts a container of an image in the place of what is there.
func replace(t *testing.T, c *docker.Client, image string, before *single.Container) error {
	t.Helper()
	e := single.New(c)
	e.Settle = 50 * time.Millisecond
	spec, err := single.Translate(single.Settings{Name: "web", Image: image, Network: "bridge", Restart: "no", Ports: "127.0.0.1:18090:8080"})
	if err != nil {
		t.Fatal(err)
	}
	timeout := 2
	_, err = e.Replace(t.Context(), single.Replacement{
		Deployment: deployment, Run: "run", Inputs: image, Spec: spec, Before: before, Stop: docker.StopOptions{Timeout: &timeout},
		Phase: func(ctx context.Context, _ string, fn func(context.Context) (string, error)) error {
			_, err := fn(ctx)
			return err
		},
		Say: func(string, ...any) {},
	})
	return err
}

// empty removes every container.
func empty(t *testing.T, c *docker.Client) {
	t.Helper()
	list, err := c.Containers(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range list {
		if _, err := c.API().ContainerRemove(t.Context(), x.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func found(t *testing.T, c *docker.Client) *single.Container {
	t.Helper()
	x, err := single.New(c).Named(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// Killed before or after each change to the engine, a replacement is finished or
// taken back: one container runs, under its name, and the next deploy succeeds. It
// is so for a container of ours as for one that is adopted, and when the new one is
// no good.
func TestKilledAtEachCall(t *testing.T) {
	e := dockertest.Engines(t, 1)[0]
	for _, tag := range []string{"1", "2"} {
		dockertest.BuildImage(t, e, "berthtest/app", tag, rig.Behaviour{})
	}
	dockertest.BuildImage(t, e, "berthtest/bad", "1", rig.Behaviour{Args: []string{"-exit", "3"}})
	for _, start := range []string{"ours", "foreign", "none"} {
		for _, image := range []string{"berthtest/app:2", "berthtest/bad:1"} {
			if start != "ours" && image == "berthtest/bad:1" {
				continue
			}
			for at := 1; ; at++ {
				over := false
				for _, after := range []bool{false, true} {
					name := fmt.Sprintf("%s, %s, change %d, after %t", start, image, at, after)
					over = killed(t, &mortal{t: t, engine: e.Client, at: at, after: after}, name, start, image)
				}
				if over {
					break
				}
			}
		}
	}
}

// killed replaces what a case starts with and is killed there; over says that it
// came to its end before.
func killed(t *testing.T, m *mortal, name, start, image string) (over bool) {
	t.Helper()
	empty(t, m.engine)
	switch start {
	case "ours":
		if err := replace(t, m.engine, "berthtest/app:1", nil); err != nil {
			t.Fatal(err)
		}
	case "foreign":
		made, err := m.engine.API().ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: "web", Config: &container.Config{Image: "berthtest/app:1"}})
		if err == nil {
			_, err = m.engine.API().ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	err := replace(t, m.open(), image, found(t, m.engine))
	if !m.dead {
		return true
	}
	said, rerr := single.New(m.engine).Recover(t.Context(), deployment)
	if rerr != nil {
		t.Fatalf("%s: %v (%v)", name, rerr, err)
	}
	now := states(t, m.engine)
	one := []string{"web berthtest/app:1 running"}
	fresh := []string{"web " + image + " running"}
	if !slices.Equal(now, one) && !slices.Equal(now, fresh) && (start != "none" || len(now) > 0) {
		t.Errorf("%s: %q after %q (%v)", name, now, said, err)
	}
	if again, err := single.New(m.engine).Recover(t.Context(), deployment); again != "" || err != nil {
		t.Errorf("%s: again %q %v", name, again, err)
	}
	if m.after { // either is enough
		return false
	}
	if err := replace(t, m.engine, "berthtest/app:2", found(t, m.engine)); err != nil {
		t.Errorf("%s: the next deploy: %v", name, err)
	}
	if now := states(t, m.engine); !slices.Equal(now, []string{"web berthtest/app:2 running"}) {
		t.Errorf("%s: after the next deploy %q", name, now)
	}
	return false
}

// A deploy that is canceled brings the one before back.
func TestCanceledIsTakenBack(t *testing.T) {
	e := dockertest.Engines(t, 1)[0]
	dockertest.BuildImage(t, e, "berthtest/app", "1", rig.Behaviour{})
	dockertest.BuildImage(t, e, "berthtest/slow", "1", rig.Behaviour{Args: []string{"-sleep", "100s"}, Health: true})
	if err := replace(t, e.Client, "berthtest/app:1", nil); err != nil {
		t.Fatal(err)
	}
	spec, err := single.Translate(single.Settings{Name: "web", Image: "berthtest/slow:1", Network: "bridge", Restart: "no"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err = single.New(e.Client).Replace(ctx, single.Replacement{
		Deployment: deployment, Run: "run", Inputs: "x", Spec: spec, Before: found(t, e.Client),
		Phase: func(ctx context.Context, _ string, fn func(context.Context) (string, error)) error {
			_, err := fn(ctx)
			return err
		},
		Say: func(string, ...any) { cancel(schema.Errorf(schema.Canceled, "canceled by ada")) }, // it waits for health
	})
	if schema.CodeOf(err) != schema.Canceled || !strings.Contains(schema.SafeText(err), "canceled by ada") || !strings.Contains(schema.SafeText(err), "web runs again") {
		t.Errorf("%v", err)
	}
	if now := states(t, e.Client); !slices.Equal(now, []string{"web berthtest/app:1 running"}) {
		t.Errorf("%q", now)
	}
}
