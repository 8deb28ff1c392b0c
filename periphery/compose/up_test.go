package compose_test

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/periphery/compose"
	"berth/periphery/docker"
	"berth/periphery/docker/dockertest"
	"berth/schema"
)

func TestRow05OnlyChangedContainersRestart(t *testing.T) {
	const file = `
services:
  web:
    image: berthtest/app:1
    environment: { GREETING: "${GREETING:-hello}" }
    volumes: [ "./conf/web.conf:/etc/web.conf:ro", "./data:/data" ]
  api:
    image: berthtest/app:1
    env_file: [ api.env ]
    command: [ -show, "TOKEN" ]
  db:
    image: berthtest/app:1
    volumes: [ "dbdata:/var/lib/db" ]
    secrets: [ password ]
    configs: [ { source: tuning, target: /etc/tuning } ]
volumes: { dbdata: {} }
secrets: { password: { file: ./password } }
configs: { tuning: { content: "fast=1" } }
`
	s := newStack(t, map[string]string{
		"compose.yaml": file, "conf/web.conf": "one", "data/db.sqlite": "x", "api.env": "TOKEN=first\n", "password": "geheim",
	})
	first := s.expect("first", "api-1", "db-1", "web-1")
	if s.label("web-1", docker.LabelStack) != s.spec.Stack || s.label("web-1", docker.LabelRun) != s.spec.Run {
		t.Error("containers do not carry the labels of stack and run")
	}
	s.spec.Last = first.Inputs
	s.spec.Run = "cccccccccccccccccccccccc"
	s.expect("nothing changed")

	s.write(map[string]string{"data/db.sqlite": "the container's own data"})
	s.expect("data of a container changed")

	s.write(map[string]string{"conf/web.conf": "two"})
	second := s.expect("mounted file changed", "web-1")
	plan, err := s.d.Load(t.Context(), s.spec)
	if err != nil {
		t.Fatal(err)
	}
	changes := plan.Compare(first.Inputs, second.Inputs)
	if len(changes) != 1 || changes[0].Text != "conf/web.conf changed" || changes[0].Service != "web" {
		t.Errorf("changes = %+v", changes)
	}
	s.write(map[string]string{"api.env": "TOKEN=second\n"})
	s.expect("env_file changed", "api-1")
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(s.log("api-1"), "TOKEN=second") { // it has started, it may not have written yet
		if time.Now().After(deadline) {
			t.Fatalf("api wrote %q", s.log("api-1"))
		}
		runtime.Gosched()
	}
	s.write(map[string]string{"password": "noch geheimer"})
	s.expect("secret changed", "db-1")
	s.write(map[string]string{"compose.yaml": strings.Replace(file, "fast=1", "fast=2", 1)})
	s.expect("config changed", "db-1")
	s.spec.Environment = map[string]string{"GREETING": "servus"}
	s.expect("variable changed", "web-1")
	s.expect("nothing changed again")

	// The very same by hand: neither side replaces the other's containers.
	s.spec.Environment = nil
	s.write(map[string]string{".env": "GREETING=servus\n"})
	before := s.ids()
	s.mustBareUp()
	if got := s.replaced(before); got != nil {
		t.Errorf("up by hand replaced %v", got)
	}
	s.expect("after up by hand")
}

func TestUpAdoptsWhatTheCLIStarted(t *testing.T) {
	s := newStack(t, map[string]string{
		"compose.yaml": `
services:
  web: { image: "berthtest/app:1", volumes: [ "./web.conf:/etc/web.conf:ro" ], ports: [ "8080" ], env_file: web.env }
  api: { image: "berthtest/app:1", deploy: { resources: { limits: { memory: 64M } } } }
`,
		"web.conf": "one", "web.env": "A=1\n",
	})
	s.mustBareUp()
	r := s.expect("adoption")
	s.spec.Last = r.Inputs
	s.expect("after adoption")
	s.write(map[string]string{"web.conf": "two"})
	s.expect("mounted file of an adopted container changed", "web-1")
	// Another key (a new agent on an old host) is no reason either.
	s.d = compose.New(s.engine.Client, []byte("another key"), slog.New(slog.DiscardHandler))
	s.expect("under another key")
}

func TestImageMoved(t *testing.T) {
	s := newStack(t, map[string]string{"compose.yaml": "services: { web: { image: berthtest/moving:x }, api: { image: berthtest/app:1 } }"})
	ctx := t.Context()
	if err := s.engine.Tag(ctx, "berthtest/app:1", "berthtest/moving:x"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.engine.RemoveImage(context.Background(), "berthtest/moving:x") })
	first := s.expect("first", "api-1", "web-1")
	if err := s.engine.Tag(ctx, "berthtest/app:2", "berthtest/moving:x"); err != nil {
		t.Fatal(err)
	}
	second := s.expect("image moved", "web-1")
	plan, err := s.d.Load(ctx, s.spec)
	if err != nil {
		t.Fatal(err)
	}
	changes := plan.Compare(first.Inputs, second.Inputs)
	if len(changes) != 1 || changes[0].Text != "image berthtest/moving:x moved" {
		t.Errorf("changes = %+v", changes)
	}
	if compose.Digest(first.Inputs) == compose.Digest(second.Inputs) {
		t.Error("the digest does not know images")
	}
}

func TestMemory(t *testing.T) {
	s := newStack(t, map[string]string{"compose.yaml": `
services:
  web:
    image: berthtest/app:1
    command: [ -show, "TOKEN,WORD", -cat, /run/secrets/pw ]
    environment: { WORD: "${WORD}" }
    env_file: .env
    secrets: [ pw ]
  other:
    image: berthtest/app:1
    command: [ -cat, /etc/memory/.env ]
    volumes: [ "./.env:/etc/memory/.env:ro" ]
secrets: { pw: { file: ./pw } }
`})
	memory := func(token, pw string) map[string][]byte {
		return map[string][]byte{s.spec.Dir + "/.env": []byte("TOKEN=" + token + "\nWORD=\"in quotes\"\n"), s.spec.Dir + "/pw": []byte(pw)}
	}
	s.spec.Memory = memory("t0ken", "pa55")
	s.spec.Health = true
	s.expect("first", "other-1", "web-1")
	if got := s.log("web-1"); !strings.Contains(got, "TOKEN=t0ken\nWORD=in quotes\n") || !strings.Contains(got, `"pa55"`) {
		t.Errorf("web wrote %q", got)
	}
	if got := s.log("other-1"); !strings.Contains(got, `TOKEN=t0ken\nWORD`) {
		t.Errorf("other wrote %q", got)
	}
	s.expect("nothing changed")
	s.spec.Memory = memory("t0ken", "pa66")
	s.expect("secret changed", "web-1")
	s.spec.Memory = memory("t1ken", "pa66")
	s.expect("env_file changed", "other-1", "web-1")
	for _, e := range s.entries {
		if strings.Contains(e.Text, "t1ken") || strings.Contains(e.Text, "pa66") {
			t.Errorf("output tells a secret: %+v", e)
		}
	}
}

func TestMissingImage(t *testing.T) {
	s := newStack(t, map[string]string{"compose.yaml": "services: { web: { image: '127.0.0.1:9/no/such:1' } }"})
	_, err := s.try(t.Context())
	text := schema.SafeText(err)
	if schema.CodeOf(err) != schema.Unavailable || !strings.Contains(text, "127.0.0.1:9/no/such:1") || !strings.Contains(text, "web") {
		t.Errorf("error = %v", err)
	}
	// An image that is here but whose registry does not answer is enough.
	if err := s.engine.Tag(t.Context(), image+":1", "127.0.0.1:9/no/such:2"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.engine.RemoveImage(context.Background(), "127.0.0.1:9/no/such:2") })
	s.write(map[string]string{"compose.yaml": "services: { web: { image: '127.0.0.1:9/no/such:2' } }"})
	s.spec.Pull = true
	r := s.up()
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "127.0.0.1:9/no/such:2") {
		t.Errorf("warnings = %q", r.Warnings)
	}
}

func TestCancel(t *testing.T) {
	s := newStack(t, map[string]string{"compose.yaml": `
services:
  never: { image: "berthtest/app:1", healthcheck: { test: [ CMD, /app, -health, -port, "1" ], interval: 1s, start_period: 60s } }
  web: { image: "berthtest/app:1", depends_on: { never: { condition: service_healthy } } }
`})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	plan, err := s.d.Load(ctx, s.spec)
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		seen := false
		_, err := s.d.Up(ctx, plan, func(e schema.Entry) {
			if !seen && strings.HasSuffix(e.ID, "never-1") && e.Text == "Waiting" {
				seen = true
				close(waiting)
			}
		})
		ended <- err
	}()
	select {
	case <-waiting:
	case <-time.After(30 * time.Second):
		t.Fatal("compose does not wait for the dependency")
	}
	start := time.Now()
	cancel()
	err = <-ended
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %s to stop", took)
	}
	if schema.CodeOf(err) != schema.Canceled {
		t.Errorf("error = %v", err)
	}
}

func TestOrphansAndNetworks(t *testing.T) {
	file := "services: { NAME: { image: 'berthtest/app:1', networks: [ net ] } }\nnetworks: { net: { labels: { a: LABEL } } }"
	write := func(s *stack, name, label string) {
		s.write(map[string]string{"compose.yaml": strings.NewReplacer("NAME", name, "LABEL", label).Replace(file)})
	}
	s := newStack(t, nil)
	write(s, "old", "one")
	s.up()
	// Renamed, and its network changed: the orphan keeps the network in use.
	write(s, "new", "two")
	r := s.up()
	if _, ok := s.ids()["old-1"]; !ok {
		t.Error("the orphan was removed without --remove-orphans")
	}
	if len(r.Warnings) == 0 {
		t.Error("no warning about the orphan")
	}
	write(s, "newer", "three")
	s.spec.ExtraArgs = []string{"--remove-orphans"}
	r = s.up()
	if got := s.ids(); len(got) != 1 || got["newer-1"] == "" {
		t.Errorf("containers = %v", got)
	}
	if len(r.Removed) != 2 {
		t.Errorf("removed = %v", r.Removed)
	}
}

func TestServicesFlagsAndProjectName(t *testing.T) {
	s := newStack(t, map[string]string{"compose.yaml": `
services:
  web: { image: "berthtest/app:1", depends_on: [ db ] }
  db: { image: "berthtest/app:1" }
  other: { image: "berthtest/app:1" }
`})
	s.spec.Services = []string{"web"}
	s.expect("one service and what it needs", "db-1", "web-1")
	s.spec.ExtraArgs = []string{"--force-recreate", "--no-deps"}
	s.expect("force", "web-1")
	s.spec.Services, s.spec.ExtraArgs = nil, []string{"--scale other=2 --timeout=1"}
	s.expect("scale", "other-1", "other-2")
	s.spec.ExtraArgs = nil
	s.spec.DestroyBefore = true
	s.expect("destroy before", "db-1", "other-1", "web-1")
	s.spec.DestroyBefore = false
	s.spec.DeployedProject = s.spec.Project
	s.spec.Project += "-two"
	t.Cleanup(func() { dockertest.Wipe(t, s.engine, s.spec.Project) })
	r := s.expect("renamed", "db-1", "other-1", "web-1")
	if list, _ := s.engine.Containers(t.Context(), s.spec.DeployedProject); len(list) != 0 {
		t.Errorf("the old project still has %v", list)
	}
	var phases []string
	for _, p := range r.Phases {
		phases = append(phases, p.Name)
	}
	if !slices.Equal(phases, []string{"pull", "down", "up"}) {
		t.Errorf("phases = %v", phases)
	}
}

func TestEventsAreToldOnce(t *testing.T) {
	s := newStack(t, map[string]string{"compose.yaml": "services: { web: { image: 'berthtest/app:1', volumes: [ 'vol:/v' ] } }\nvolumes: { vol: {} }"})
	s.up()
	seen := map[string]int{}
	for _, e := range s.entries {
		if e.Kind == schema.EntryState {
			seen[e.ID+" "+e.Text]++
		}
		if strings.HasSuffix(e.ID, "web-1") && e.Service != "web" {
			t.Errorf("entry without its service: %+v", e)
		}
	}
	for what, n := range seen {
		if n != 1 {
			t.Errorf("%q was told %d times", what, n)
		}
	}
	for _, want := range []string{"Container " + s.spec.Project + "-web-1 Created", "Container " + s.spec.Project + "-web-1 Started", "Volume " + s.spec.Project + "_vol Created"} {
		if seen[want] != 1 {
			t.Errorf("%q was not told:\n%s", want, s.transcript())
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	first := newStack(t, nil)
	stacks := []*stack{first}
	for range 4 {
		other := *first
		other.spec.Dir = t.TempDir()
		stacks = append(stacks, &other)
	}
	errs := make([]error, len(stacks))
	var wg sync.WaitGroup
	for i, s := range stacks {
		s.spec.Project = first.spec.Project[:min(40, len(first.spec.Project))] + "-" + strconv.Itoa(i)
		t.Cleanup(func() { dockertest.Wipe(t, s.engine, s.spec.Project) })
		s.write(map[string]string{"compose.yaml": services(2)})
		s.spec.Health = true
		wg.Go(func() { _, errs[i] = s.try(t.Context()) })
	}
	wg.Wait()
	for i, s := range stacks {
		if errs[i] != nil || len(s.ids()) != 2 {
			t.Errorf("stack %d: %v, %v", i, errs[i], s.ids())
		}
	}
}
