package compose_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/flags"
	"github.com/docker/compose/v5/pkg/api"
	sdk "github.com/docker/compose/v5/pkg/compose"
	"github.com/google/go-cmp/cmp"

	"berth/periphery/compose"
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

// bareUp does what `docker compose up -d` does, without any of our code: it loads
// as the CLI does and calls the SDK.
func (s *stack) bareUp(ctx context.Context) error {
	base, err := command.NewDockerCli(command.WithAPIClient(s.engine.API()), command.WithCombinedStreams(io.Discard))
	if err != nil {
		return err
	}
	if err := base.Initialize(flags.NewClientOptions()); err != nil {
		return err
	}
	service, err := sdk.NewComposeService(base)
	if err != nil {
		return err
	}
	var files []string
	for _, f := range s.spec.Files {
		files = append(files, filepath.Join(s.spec.Dir, f))
	}
	if len(files) == 0 {
		files = []string{filepath.Join(s.spec.Dir, "compose.yaml")}
	}
	project, err := service.LoadProject(ctx, api.ProjectLoadOptions{
		ProjectName: s.spec.Project, ConfigPaths: files, Offline: true,
		ProjectOptionsFns: []cli.ProjectOptionsFn{cli.WithoutEnvironmentResolution},
	})
	if err != nil {
		return err
	}
	if project, err = project.WithServicesEnvironmentResolved(true); err != nil {
		return err
	}
	return service.Up(ctx, project, api.UpOptions{
		Create: api.CreateOptions{Recreate: api.RecreateDiverged, RecreateDependencies: api.RecreateDiverged, Inherit: true},
		Start:  api.StartOptions{Project: project},
	})
}

func (s *stack) mustBareUp() {
	s.t.Helper()
	if err := s.bareUp(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// services writes a compose file with n plain services.
func services(n int) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&b, "  s%02d:\n    image: %s:1\n    init: false\n    environment: { NAME: s%02d }\n", i, image, i)
	}
	return b.String()
}

// label returns a label of a container.
func (s *stack) label(container, name string) string {
	d, err := s.engine.Inspect(s.t.Context(), s.spec.Project+"-"+container)
	if err != nil {
		s.t.Fatal(err)
	}
	return d.Labels[name]
}
