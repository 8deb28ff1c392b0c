package periphery_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"berth/periphery/docker"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

// yard is an agent with an engine of its own, on which everything may be pruned.
type yard struct {
	*core
	engine *rig.Engine
	n      int // commands so far
}

func newYard(t *testing.T) *yard {
	t.Helper()
	t.Parallel()
	y := &yard{core: newCore(t), engine: dockertest.Engines(t, 1)[0]}
	dockertest.BuildImage(t, y.engine, "berthtest/app", "1", rig.Behaviour{})
	a := y.newAgent()
	a.end()
	a.cfg.Engine = y.engine.Host()
	a.start()
	return y
}

// thing is a container as a test wants it.
type thing struct {
	name    string
	project string // "" is none
	labels  map[string]string
	args    []string
	image   string
	stopped bool
	network string
	volume  string
}

// make creates containers.
func (y *yard) make(list ...thing) {
	y.t.Helper()
	api := y.engine.API()
	for _, o := range list {
		labels := map[string]string{}
		maps.Copy(labels, o.labels)
		if o.project != "" {
			labels[docker.LabelProject] = o.project
			labels[docker.LabelService], _, _ = strings.Cut(strings.TrimPrefix(o.name, o.project+"-"), "-")
		}
		host := &container.HostConfig{NetworkMode: container.NetworkMode(o.network)}
		if o.volume != "" {
			host.Mounts = []mount.Mount{{Type: mount.TypeVolume, Source: o.volume, Target: "/data"}}
		}
		if o.image == "" {
			o.image = image
		}
		c, err := api.ContainerCreate(y.t.Context(), client.ContainerCreateOptions{
			Name: o.name, Config: &container.Config{Image: o.image, Labels: labels, Cmd: o.args}, HostConfig: host,
		})
		if err == nil && !o.stopped {
			_, err = api.ContainerStart(y.t.Context(), c.ID, client.ContainerStartOptions{})
		}
		if err != nil {
			y.t.Fatal(err)
		}
	}
}

func ofProject(name string) map[string]string { return map[string]string{docker.LabelProject: name} }

func (y *yard) network(name string, labels map[string]string) {
	y.t.Helper()
	if _, err := y.engine.API().NetworkCreate(y.t.Context(), name, client.NetworkCreateOptions{Labels: labels}); err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) volume(name string, labels map[string]string) {
	y.t.Helper()
	if _, err := y.engine.API().VolumeCreate(y.t.Context(), client.VolumeCreateOptions{Name: name, Labels: labels}); err != nil {
		y.t.Fatal(err)
	}
}

// names lists what is there of a kind, but for what the engine has of its own.
func (y *yard) names(kind string) []string {
	y.t.Helper()
	list, err := map[string]func() ([]docker.Object, error){
		schema.EngineContainers: func() ([]docker.Object, error) { return y.engine.ContainerObjects(y.t.Context(), false) },
		schema.EngineNetworks:   func() ([]docker.Object, error) { return y.engine.NetworkObjects(y.t.Context()) },
		schema.EngineVolumes:    func() ([]docker.Object, error) { return y.engine.VolumeObjects(y.t.Context()) },
		schema.EngineImages:     func() ([]docker.Object, error) { return y.engine.ImageObjects(y.t.Context()) },
	}[kind]()
	if err != nil {
		y.t.Fatal(err)
	}
	var out []string
	for _, o := range list {
		if !o.Builtin {
			out = append(out, o.Name)
		}
	}
	return out
}

// states lists containers as "name state".
func (y *yard) states() []string {
	y.t.Helper()
	list, err := y.engine.Containers(y.t.Context(), "")
	if err != nil {
		y.t.Fatal(err)
	}
	var out []string
	for _, c := range list {
		out = append(out, c.Name+" "+c.State)
	}
	return out
}

// do has the agent do something and returns what it says.
func (y *yard) do(verb string, req any) (schema.EngineResp, *schema.Problem) {
	y.t.Helper()
	y.n++
	id := fmt.Sprintf("do%d", y.n)
	y.queue(id, "", verb, req)
	res := y.wait(id)
	var resp schema.EngineResp
	if res.Problem == nil {
		if err := json.Unmarshal(res.Value, &resp); err != nil {
			y.t.Fatal(err)
		}
	}
	return resp, res.Problem
}

// done has the agent do something that must succeed, and lists what it did.
func (y *yard) done(verb string, req any) (changes []string, resp schema.EngineResp) {
	y.t.Helper()
	resp, problem := y.do(verb, req)
	if problem != nil || len(resp.Failed) > 0 {
		y.t.Fatalf("%s: %+v %v", verb, problem, resp.Failed)
	}
	for _, c := range resp.Changed {
		changes = append(changes, c.Kind+" "+c.Name+" "+c.What)
	}
	slices.Sort(changes)
	return changes, resp
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// left returns why a thing was left alone.
func left(resp schema.EngineResp, name string) string {
	for _, l := range resp.Left {
		if slices.Contains(l.Names, name) {
			return l.Reason
		}
	}
	return ""
}

func blog() schema.Managed {
	return schema.Managed{Projects: []schema.ManagedProject{{Name: "blog", Stack: "aaaaaaaaaaaaaaaaaaaaaaaa", Services: []string{"web"}}}, Containers: []string{"single"}}
}

func TestAllContainersOnlyManaged(t *testing.T) {
	y := newYard(t)
	y.make(
		thing{name: "blog-web-1", project: "blog"}, thing{name: "blog-db-1", project: "blog", stopped: true}, thing{name: "single"},
		thing{name: "blog-run-1", project: "blog", labels: map[string]string{docker.LabelOneoff: "True"}},
		thing{name: "blog-safe-1", project: "blog", labels: map[string]string{docker.LabelSkipKomodo: ""}},
		thing{name: "blog-ours-1", project: "blog", labels: map[string]string{docker.LabelSkip: "no matter"}},
		thing{name: "old-web-1", project: "old", labels: map[string]string{docker.LabelStack: "aaaaaaaaaaaaaaaaaaaaaaaa"}},
		thing{name: "kasm-web-1", project: "kasm"}, thing{name: "bare"},
	)
	all := func(verb string) schema.ContainersDoReq { return schema.ContainersDoReq{Verb: verb, Managed: blog()} }
	others := []string{"bare running", "blog-ours-1 running", "blog-run-1 running", "blog-safe-1 running", "kasm-web-1 running"}
	check := func(rest ...string) {
		t.Helper()
		want := append(slices.Clone(others), rest...)
		slices.Sort(want)
		same(t, "states", y.states(), want...)
	}
	did, resp := y.done("containers.do", all("pause"))
	same(t, "paused", did, "container blog-web-1 paused", "container old-web-1 paused", "container single paused")
	check("blog-db-1 created", "blog-web-1 paused", "old-web-1 paused", "single paused")
	for name, want := range map[string]string{
		"blog-safe-1": "it has the label komodo.skip", "blog-ours-1": "it has the label berth.skip", "kasm-web-1": "not managed by Berth",
		"bare": "not managed by Berth", "blog-run-1": "a one-off container of `run`", "blog-db-1": "not running",
	} {
		if got := left(resp, name); got != want {
			t.Errorf("%s was left alone because %q, want %q", name, got, want)
		}
	}
	did, _ = y.done("containers.do", all("unpause"))
	same(t, "unpaused", did, "container blog-web-1 unpaused", "container old-web-1 unpaused", "container single unpaused")
	did, _ = y.done("containers.do", all("restart"))
	same(t, "restarted", did, "container blog-web-1 restarted", "container old-web-1 restarted", "container single restarted")
	did, _ = y.done("containers.do", all("stop"))
	same(t, "stopped", did, "container blog-web-1 stopped", "container old-web-1 stopped", "container single stopped")
	check("blog-db-1 created", "blog-web-1 exited", "old-web-1 exited", "single exited")
	did, resp = y.done("containers.do", all("stop"))
	same(t, "stopped again", did)
	if got := left(resp, "blog-web-1"); got != "stopped already" {
		t.Error(got)
	}
	did, _ = y.done("containers.do", all("start"))
	same(t, "started", did, "container blog-db-1 started", "container blog-web-1 started", "container old-web-1 started", "container single started")

	managed := blog()
	managed.Core = y.id("blog-web-1")
	_, resp = y.done("containers.do", schema.ContainersDoReq{Verb: "stop", Managed: managed})
	if got := left(resp, "blog-web-1"); got != "core runs in it" {
		t.Errorf("core's own container: %q, %v", got, y.states())
	}
}

func (y *yard) id(name string) string {
	y.t.Helper()
	c, err := y.engine.Inspect(y.t.Context(), name)
	if err != nil {
		y.t.Fatal(err)
	}
	return c.ID
}

// Row 14: software that Berth does not manage is left alone.
func TestRow14UnmanagedSurvives(t *testing.T) {
	y := newYard(t)
	dockertest.BuildImage(t, y.engine, "kasm/app", "1", rig.Behaviour{})
	y.network("kasm_net", ofProject("kasm"))
	y.network("kasm_idle", ofProject("kasm"))
	y.network("hand", nil)
	y.volume("kasm_data", ofProject("kasm"))
	y.volume("kasm_idle", ofProject("kasm"))
	y.volume("hand", nil)
	y.volume("", nil) // anonymous
	y.make(
		thing{name: "kasm-web-1", project: "kasm", image: "kasm/app:1", network: "kasm_net", volume: "kasm_data"},
		thing{name: "kasm-job-1", project: "kasm", image: "kasm/app:1", stopped: true, network: "kasm_net"},
		thing{name: "bare", stopped: true},
		thing{name: "blog-web-1", project: "blog"}, thing{name: "blog-old-1", project: "blog", stopped: true},
	)
	before := map[string][]string{}
	kinds := []string{schema.EngineContainers, schema.EngineNetworks, schema.EngineVolumes, schema.EngineImages}
	for _, kind := range kinds {
		before[kind] = y.names(kind)
	}
	did, _ := y.done("engine.prune", schema.EnginePruneReq{Kinds: append(kinds, schema.EngineCache), Managed: blog()})
	same(t, "pruned", did, "container blog-old-1 removed")
	y.done("container.do", schema.ContainerDoReq{Container: "blog-web-1", Verb: "destroy"})
	y.done("containers.do", schema.ContainersDoReq{Verb: "stop", Managed: blog()})
	did, resp := y.done("engine.prune", schema.EnginePruneReq{Kinds: append(kinds, schema.EngineCache), Managed: blog()})
	same(t, "pruned again", did)
	if got := left(resp, "kasm_idle"); got != "not managed by Berth" {
		t.Errorf("%q %+v", got, resp.Left)
	}
	before[schema.EngineContainers] = slices.DeleteFunc(before[schema.EngineContainers], func(n string) bool { return strings.HasPrefix(n, "blog") })
	for _, kind := range kinds {
		same(t, kind, y.names(kind), before[kind]...)
	}
	if got := y.states(); !slices.Contains(got, "kasm-web-1 running") {
		t.Error(got)
	}
}

func TestPruneManaged(t *testing.T) {
	y := newYard(t)
	y.network("blog_idle", ofProject("blog"))
	y.network("blog_kept", map[string]string{docker.LabelProject: "blog", docker.LabelSkip: ""})
	y.network("blog_stopped", ofProject("blog"))
	for _, name := range []string{"blog_idle", "blog_used"} {
		y.volume(name, ofProject("blog"))
	}
	y.volume("down_data", ofProject("down"))
	y.volume("part_data", ofProject("part"))
	y.volume("never_data", ofProject("never"))
	y.make(
		thing{name: "blog-web-1", project: "blog", volume: "blog_used"},
		thing{name: "blog-db-1", project: "blog", stopped: true, network: "blog_stopped"},
		thing{name: "part-web-1", project: "part"},
	)
	m := blog()
	m.Projects = append(m.Projects, schema.ManagedProject{Name: "down", Services: []string{"db"}},
		schema.ManagedProject{Name: "part", Services: []string{"web", "db"}}, schema.ManagedProject{Name: "never"})
	prune := func(kind string) ([]string, schema.EngineResp) {
		t.Helper()
		return y.done("engine.prune", schema.EnginePruneReq{Kinds: []string{kind}, Managed: m})
	}
	did, resp := prune(schema.EngineNetworks)
	same(t, "networks", did, "network blog_idle removed")
	if got := left(resp, "blog_kept"); got != "it has the label berth.skip" {
		t.Error(got)
	}
	did, resp = prune(schema.EngineVolumes)
	same(t, "volumes", did, "volume blog_idle removed")
	for name, want := range map[string]string{"down_data": "service db of project down has no container", "part_data": "service db of project part", "never_data": "project never is not deployed"} {
		if got := left(resp, name); !strings.Contains(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	did, _ = prune(schema.EngineContainers)
	same(t, "containers", did, "container blog-db-1 removed")
	did, _ = prune(schema.EngineNetworks)
	same(t, "networks of what was stopped", did, "network blog_stopped removed")
	for _, kind := range []string{schema.EngineContainers, schema.EngineNetworks, schema.EngineVolumes} {
		if did, resp := prune(kind); len(did) != 0 || resp.Count != 0 || resp.Reclaimed != 0 {
			t.Errorf("%s again: %v", kind, resp)
		}
	}
}

func TestPruneImages(t *testing.T) {
	y := newYard(t)
	for _, tag := range []string{"2", "3", "4", "5"} {
		dockertest.BuildImage(t, y.engine, "berthtest/app", tag, rig.Behaviour{})
	}
	dockertest.BuildImage(t, y.engine, "berthtest/kept", "1", rig.Behaviour{Labels: map[string]string{docker.LabelSkip: ""}})
	dockertest.BuildImage(t, y.engine, "berthtest/app", "5", rig.Behaviour{Env: map[string]string{"A": "2"}}) // the first :5 has no name now
	if err := y.engine.Tag(t.Context(), "berthtest/app:4", "berthtest/more:4"); err != nil {
		t.Fatal(err)
	}
	four, err := y.engine.Image(t.Context(), "berthtest/app:3")
	if err != nil {
		t.Fatal(err)
	}
	y.make(thing{name: "bare", stopped: true}) // of :1
	m := blog()
	m.Images = []string{"docker.io/berthtest/app:2", four.ID}
	did, resp := y.done("engine.prune", schema.EnginePruneReq{Kinds: []string{schema.EngineImages}, Managed: m})
	if len(did) != 3 || resp.Count != 3 {
		t.Errorf("%v", did)
	}
	same(t, "images", y.names(schema.EngineImages), "berthtest/app:1", "berthtest/app:2", "berthtest/app:3", "berthtest/kept:1")
	did, resp = y.done("engine.prune", schema.EnginePruneReq{Kinds: []string{schema.EngineImages}, Managed: m})
	same(t, "again", did)
	if got := left(resp, "berthtest/app:2"); !strings.Contains(got, "recent good deploy") {
		t.Errorf("%+v", resp)
	}
	did, resp = y.done("engine.prune", schema.EnginePruneReq{Kinds: []string{schema.EngineImages, schema.EngineCache}})
	if same(t, "without deploys", did, "image berthtest/app:2 removed", "image berthtest/app:3 removed"); resp.Reclaimed < 0 {
		t.Error(resp.Reclaimed)
	}
}

func TestPruneWaitsForDeploys(t *testing.T) {
	s := newStack(t)
	s.onHost(map[string]string{"compose.yaml": shows("A")})
	gate := s.dir("go")
	s.req.Config.PreDeploy.Command = schema.FileText("while [ ! -e " + gate + " ]; do sleep 0.02; done")
	up := s.send()
	s.working(up)
	s.queue("prune", "", "engine.prune", schema.EnginePruneReq{Kinds: []string{schema.EngineNetworks}})
	s.working("prune")
	if _, told := s.times("prune"); told != 0 {
		t.Error("it did not wait")
	}
	write(t, gate, "")
	if res := s.wait(up); res.Problem != nil {
		t.Error(res.Problem.Text)
	}
	if res := s.wait("prune"); res.Problem != nil || !strings.Contains(s.text("prune"), "waiting until 1 other commands") {
		t.Errorf("%+v %s", res.Problem, s.text("prune"))
	}
}

// working waits until a command is worked on.
func (c *core) working(id string) {
	c.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		if n, _ := c.times(id); n > 0 {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s is not begun", id)
		}
		<-time.After(10 * time.Millisecond)
	}
}
