package compose_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"berth/periphery/compose"
	"berth/periphery/docker"
	"berth/schema"
)

// load reads files as a stack of their own; no engine is needed for that.
func load(t *testing.T, files map[string]string, change func(*compose.Spec)) (*compose.Plan, error) {
	t.Helper()
	engine, err := docker.Open("")
	if err != nil {
		t.Fatal(err)
	}
	spec := compose.Spec{Project: "p", Dir: t.TempDir()}
	for name, text := range files {
		path := filepath.Join(spec.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if change != nil {
		change(&spec)
	}
	return compose.New(engine, []byte("k"), slog.New(slog.DiscardHandler)).Load(t.Context(), spec)
}

func TestLoad(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  map[string]string
		change func(*compose.Spec)
		want   []string
	}{
		{"plain", map[string]string{"compose.yaml": "services: { b: { image: x }, a: { image: x } }"}, nil, []string{"a", "b"}},
		{"include, extends, two files", map[string]string{
			"compose.yaml":  "include: [ sub/part.yaml ]\nservices: { web: { extends: { file: base.yaml, service: base } } }",
			"base.yaml":     "services: { base: { image: x } }",
			"sub/part.yaml": "services: { part: { image: x, env_file: part.env } }",
			"sub/part.env":  "A=1",
			"more.yaml":     "services: { more: { image: x } }",
		}, func(s *compose.Spec) { s.Files = []string{"compose.yaml", "more.yaml"} }, []string{"more", "part", "web"}},
		{"profiles", map[string]string{"compose.yaml": "services: { a: { image: x }, b: { image: x, profiles: [ dev ] } }"}, nil, []string{"a"}},
		{"profile from .env", map[string]string{
			"compose.yaml": "services: { a: { image: x }, b: { image: x, profiles: [ dev ] } }", ".env": "COMPOSE_PROFILES=dev",
		}, nil, []string{"a", "b"}},
		{
			"profile asked for",
			map[string]string{"compose.yaml": "services: { a: { image: x }, b: { image: x, profiles: [ dev ] } }"},
			func(s *compose.Spec) { s.Profiles = []string{"dev"} },
			[]string{"a", "b"},
		},
		{
			"service of a profile",
			map[string]string{"compose.yaml": "services: { a: { image: x }, b: { image: x, profiles: [ dev ] } }"},
			func(s *compose.Spec) { s.Services = []string{"b"} },
			[]string{"b"},
		},
		{"optional env_file", map[string]string{"compose.yaml": "services: { a: { image: x, env_file: [ { path: nope.env, required: false } ] } }"}, nil, []string{"a"}},
		{
			"file in a folder",
			map[string]string{"sub/dc.yml": "services: { a: { image: x, env_file: a.env } }", "sub/a.env": "A=1"},
			func(s *compose.Spec) { s.Files = []string{"sub/dc.yml"} },
			[]string{"a"},
		},
		{
			"env_file in memory",
			map[string]string{"compose.yaml": "services: { a: { image: '${IMAGE:?}', env_file: .env } }"},
			func(s *compose.Spec) {
				s.Memory = map[string][]byte{s.Dir + "/.env": []byte("IMAGE=x\n"), s.Dir + "/more.env": []byte("B=1")}
				s.EnvFiles = []string{"more.env", ".env"}
			},
			[]string{"a"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := load(t, c.files, c.change)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Services(); !slices.Equal(got, c.want) {
				t.Errorf("services = %v, want %v", got, c.want)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Setenv("LEAK", "from the process")
	one := map[string]string{"compose.yaml": "services: { a: { image: x } }"}
	for _, c := range []struct {
		name   string
		files  map[string]string
		change func(*compose.Spec)
		code   schema.Code
		want   string
	}{
		{"no file", nil, nil, schema.NotFound, "read compose.yaml: no such file"},
		{"other name", map[string]string{"docker-compose.yml": ""}, nil, schema.NotFound, "there is docker-compose.yml"},
		{"bad yaml", map[string]string{"compose.yaml": "services: [\n"}, nil, schema.Invalid, "compose.yaml"},
		{"unknown key", map[string]string{"compose.yaml": "services: { a: { image: x, imagee: y } }"}, nil, schema.Invalid, "imagee"},
		{"nothing to run", map[string]string{"compose.yaml": "services: { a: { environment: { A: b } } }"}, nil, schema.Invalid, "image"},
		{"process environment", map[string]string{"compose.yaml": "services: { a: { image: '${LEAK:?not set}' } }"}, nil, schema.Invalid, "LEAK"},
		{
			"remote include",
			map[string]string{"compose.yaml": "include: [ 'https://example.com/x.git' ]\nservices: { a: { image: x } }"},
			nil,
			schema.Unsupported, "https://example.com/x.git",
		},
		{"provider", map[string]string{"compose.yaml": "services: { a: { provider: { type: awesomecloud } } }"}, nil, schema.Unsupported, "provider"},
		{"missing env file", one, func(s *compose.Spec) { s.EnvFiles = []string{"prod.env"} }, schema.NotFound, "prod.env"},
		{"missing env_file", map[string]string{"compose.yaml": "services: { a: { image: x, env_file: a.env } }"}, nil, schema.NotFound, `a.env of service "a"`},
		{
			"missing secret",
			map[string]string{"compose.yaml": "services: { a: { image: x, secrets: [ s ] } }\nsecrets: { s: { file: ./s.txt } }"},
			nil,
			schema.NotFound, `secret "s": no file s.txt`,
		},
		{"unknown service", one, func(s *compose.Spec) { s.Services = []string{"b"} }, schema.Invalid, "b"},
		{"project name", one, func(s *compose.Spec) { s.Project = "Not OK" }, schema.Invalid, "Not OK"},
		{"foreground", one, func(s *compose.Spec) { s.ExtraArgs = []string{"--abort-on-container-exit"} }, schema.Invalid, `"--abort-on-container-exit" is not understood`},
		{"flag value", one, func(s *compose.Spec) { s.ExtraArgs = []string{"--pull=sometimes"} }, schema.Invalid, `--pull does not take "sometimes"`},
		{"flag without value", one, func(s *compose.Spec) { s.ExtraArgs = []string{"--scale"} }, schema.Invalid, "--scale needs a value"},
		{"scale of nothing", one, func(s *compose.Spec) { s.ExtraArgs = []string{"--scale b=2"} }, schema.Invalid, "b"},
		{"build flag", one, func(s *compose.Spec) { s.BuildExtraArgs = []string{"--push"} }, schema.Invalid, "--push"},
		{"secret env file", one, func(s *compose.Spec) {
			s.Memory = map[string][]byte{s.Dir + "/.env": []byte("A=\"unterminated canary\n")}
			s.EnvFiles = []string{".env"}
		}, schema.Invalid, "not shown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.files, c.change)
			text := schema.SafeText(err)
			if schema.CodeOf(err) != c.code || !strings.Contains(text, c.want) {
				t.Errorf("error = %v (%s), want %s with %q", text, schema.CodeOf(err), c.code, c.want)
			}
			if strings.Contains(text, "canary") {
				t.Errorf("error tells a secret: %s", text)
			}
		})
	}
}

// A secret with a $ in it loses what follows; the user is told, but not what.
func TestLoadWarnsOfBlankedSecrets(t *testing.T) {
	p, err := load(t, map[string]string{"compose.yaml": "services: { a: { image: x, env_file: [ a.env, .env ] } }"}, func(s *compose.Spec) {
		s.Environment = map[string]string{"GIVEN": "1"}
		s.Memory = map[string][]byte{s.Dir + "/.env": []byte("USER=ada\nURL=pg://$USER/${GIVEN}/${NAME:-x}\nPASS=one$canary\nQUOTED='one$canary'\nTWICE=one$$canary\nLONG=\"a${canary}b\"\n"), s.Dir + "/a.env": []byte("A=1$canary\nB=$USER\n")}
	})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(p.Warnings(), "\n")
	if len(p.Warnings()) != 3 || !strings.Contains(all, "`A` in a.env: ") || !strings.Contains(all, "`LONG` in .env: ") || !strings.Contains(all, "`PASS` in .env: ") || strings.Contains(all, "canary") {
		t.Errorf("warnings = %s", all)
	}
}
