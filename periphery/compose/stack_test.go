package compose_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/periphery/compose"
	"berth/periphery/compose/composetest"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

const image = "berthtest/app"

// stack is a folder with compose files and a project on the machine's engine.
type stack struct {
	t       testing.TB
	engine  *rig.Engine
	d       *compose.Deployer
	spec    compose.Spec
	entries []schema.Entry
}

// newStack writes files into a folder of its own; images berthtest/app:1 and :2
// exist.
func newStack(t testing.TB, files map[string]string) *stack {
	t.Helper()
	e := dockertest.Engine(t)
	for _, tag := range []string{"1", "2"} {
		dockertest.BuildImage(t, e, image, tag, rig.Behaviour{})
	}
	s := &stack{t: t, engine: e, d: compose.New(e.Client, []byte("test key"), slog.New(slog.DiscardHandler))}
	s.spec = compose.Spec{
		Project: dockertest.Project(t, e), Dir: t.TempDir(), Stack: "aaaaaaaaaaaaaaaaaaaaaaaa", Run: "bbbbbbbbbbbbbbbbbbbbbbbb",
	}
	s.write(files)
	return s
}

func (s *stack) write(files map[string]string) {
	s.t.Helper()
	for name, text := range files {
		path := filepath.Join(s.spec.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *stack) try(ctx context.Context) (compose.Result, error) {
	s.t.Helper()
	s.entries = nil
	plan, err := s.d.Load(ctx, s.spec)
	if err != nil {
		return compose.Result{}, err
	}
	return s.d.Up(ctx, plan, func(e schema.Entry) { s.entries = append(s.entries, e) })
}

func (s *stack) up() compose.Result {
	s.t.Helper()
	r, err := s.try(s.t.Context())
	if err != nil {
		s.t.Fatalf("up: %v\n%s", err, s.transcript())
	}
	return r
}

func (s *stack) transcript() string {
	var b strings.Builder
	for _, e := range s.entries {
		fmt.Fprintf(&b, "%s %s %s %s %q %d/%d\n", e.Phase, e.Kind, e.Service, e.ID, e.Text, e.Current, e.Total)
	}
	return b.String()
}

// ids returns the ids of the project's containers by name.
func (s *stack) ids() map[string]string {
	s.t.Helper()
	list, err := s.engine.Containers(s.t.Context(), s.spec.Project)
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range list {
		out[strings.TrimPrefix(c.Name, s.spec.Project+"-")] = c.ID
	}
	return out
}

// replaced names the containers that are new, since ids.
func (s *stack) replaced(before map[string]string) []string {
	var out []string
	for name, id := range s.ids() {
		if before[name] != id {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// expect deploys and compares which containers were replaced.
func (s *stack) expect(what string, want ...string) compose.Result {
	s.t.Helper()
	before := s.ids()
	r := s.up()
	if diff := cmp.Diff(want, s.replaced(before)); diff != "" {
		s.t.Errorf("%s: replaced containers (-want +got):\n%s\n%s", what, diff, s.transcript())
	}
	got := make([]string, 0, len(r.Recreated))
	for _, name := range r.Recreated {
		got = append(got, strings.TrimPrefix(name, s.spec.Project+"-"))
	}
	if len(want)+len(got) > 0 && !slices.Equal(want, got) {
		s.t.Errorf("%s: result says %v were recreated, want %v", what, got, want)
	}
	return r
}

// log returns what a container wrote.
func (s *stack) log(container string) string {
	s.t.Helper()
	lines, err := s.engine.Tail(s.t.Context(), s.spec.Project+"-"+container, 50)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// bareUp does what `docker compose up -d` does, without any of our code.
func (s *stack) bareUp(ctx context.Context) error {
	return composetest.Up(ctx, s.engine.Client, s.spec.Project, s.spec.Dir, s.spec.Files...)
}

func (s *stack) mustBareUp() {
	s.t.Helper()
	if err := s.bareUp(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// services writes a compose file with n plain services.
func services(n int) string { return composetest.Services(image+":1", n) }

// label returns a label of a container.
func (s *stack) label(container, name string) string {
	d, err := s.engine.Inspect(s.t.Context(), s.spec.Project+"-"+container)
	if err != nil {
		s.t.Fatal(err)
	}
	return d.Labels[name]
}
