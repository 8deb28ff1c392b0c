package schema_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

func TestParseBuildFlags(t *testing.T) {
	got, err := schema.ParseBuildFlags([]string{
		"--platform linux/amd64", "--build-context shared=../shared --no-cache", "--target=prod --pull=false",
		`--label "a=two words" --build-arg 'K=v=w'`, "--add-host db:10.0.0.7", "--add-host=six=[::1]", "--shm-size 64m",
		"--ulimit nofile=1024:2048", "--ulimit nproc=5", "--network none", "--cgroup-parent /x", "-t other:1", "--push --progress plain",
		"--cache-from registry.example/app:cache", "--cache-to type=registry,ref=registry.example/app:cache,mode=max", "--cache-to type=inline",
		"--no-cache-filter one,two", "--provenance=false", "--ulimit [[LIMITS]]",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := schema.BuildFlags{
		Platform: "linux/amd64", Target: "prod", NoCache: true, NoCacheOf: []string{"one", "two"}, Contexts: map[string]string{"shared": "../shared"},
		Network: "none", Hosts: []string{"db=10.0.0.7", "six=::1"}, Shm: 64 << 20, Ulimits: []string{"nofile=1024:2048", "nproc=5:5"},
		CgroupParent: "/x", Args: map[string]string{"K": "v=w"}, Labels: map[string]string{"a": "two words"}, Tags: []string{"other:1"},
		CacheFrom: []schema.BuildCache{{Type: "registry", Attrs: map[string]string{"ref": "registry.example/app:cache"}}},
		CacheTo: []schema.BuildCache{
			{Type: "registry", Attrs: map[string]string{"ref": "registry.example/app:cache", "mode": "max"}},
			{Type: "inline", Attrs: map[string]string{}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBuildFlagsAreRefusedByName(t *testing.T) {
	for args, words := range map[string]string{
		"--frobnicate":                  "--frobnicate is not understood",
		"--secret id=x,src=y":           "--secret: write the values into secret_args",
		"-o type=local":                 "-o: the image goes to",
		"--platform linux/a,linux/b":    "one platform per build",
		"--network bridge":              "--network does not take",
		"--build-arg HOME":              "the agent's own environment",
		"--add-host x:host-gateway":     "no address",
		"--cache-to type=local,dest=/x": "type=registry",
		"--cache-to type=registry":      "ref=IMAGE",
		"ref=x":                         "write extra_args as a list",
		".":                             "is no flag",
		"--target":                      "needs a value",
		"--no-cache=maybe":              "true or false",
		`--label "a=b`:                  "not closed",
		"--shm-size lots":               "write a size",
		"--ulimit nofile":               "NAME=SOFT",
		"--sbom=true":                   "only false",
		"--ssh default":                 "secret_args",
	} {
		_, err := schema.ParseBuildFlags([]string{args})
		if schema.CodeOf(err) != schema.Invalid || !strings.Contains(schema.SafeText(err), words) {
			t.Errorf("%s: %q is not in %v", args, words, err)
		}
	}
	c := schema.DefaultBuild()
	c.ExtraArgs = schema.StrList{"--frobnicate"}
	if err := c.Check().Err(); err == nil || !strings.Contains(err.Error(), "extra_args") {
		t.Errorf("at save: %v", err)
	}
}

func TestImageNames(t *testing.T) {
	for name, tc := range map[string]struct {
		registries schema.ImageRegistries
		want       []schema.BuiltName
	}{
		"none":    {nil, []schema.BuiltName{{Name: "web"}}},
		"account": {schema.ImageRegistries{{Domain: "ghcr.io", Account: "Ada"}}, []schema.BuiltName{{Name: "ghcr.io/ada/web", Domain: "ghcr.io", Account: "Ada"}}},
		"organization": {
			schema.ImageRegistries{{Domain: "ghcr.io", Account: "ada", Organization: "team"}, {Domain: "docker.io", Account: "ada"}},
			[]schema.BuiltName{{Name: "ghcr.io/team/web", Domain: "ghcr.io", Account: "ada"}, {Name: "docker.io/ada/web", Domain: "docker.io", Account: "ada"}},
		},
		"no account": {schema.ImageRegistries{{Domain: "ghcr.io", Organization: "team"}}, []schema.BuiltName{{Name: "web"}}},
	} {
		if diff := cmp.Diff(tc.want, schema.BuildConfig{ImageRegistry: tc.registries}.ImageNames("web")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestBuildVersions are the rules of resources.md §3.6 and §5.12.
func TestBuildVersions(t *testing.T) {
	c, one, two := schema.DefaultBuild(), schema.Version{Major: 1}, schema.Version{Major: 2}
	var s schema.BuildState
	built := func(want string) {
		t.Helper()
		v := c.NextVersion(s)
		if v.String() != want {
			t.Errorf("version %s, want %s", v, want)
		}
		s.Version, s.Declared, s.BuiltAt, s.Commit = v, c.Version, 1, "a1b2c3d4e5f6"
	}
	if got := c.DeployTag(schema.Version{}, s); got != "" {
		t.Errorf("never built, but deployed as %q", got)
	}
	built("0.0.1")
	built("0.0.2")
	c.Version = one
	built("1.0.1")
	built("1.0.2") // the same again does not set it back
	c.Version = schema.Version{}
	built("1.0.3") // and none leaves it
	c.Version = two
	c.AutoIncrementVersion = false
	built("2.0.0")
	built("2.0.0")
	tag := func(v schema.Version, want string) {
		t.Helper()
		if got := c.DeployTag(v, s); got != want {
			t.Errorf("deployed as %q, want %q", got, want)
		}
	}
	tag(schema.Version{}, "2.0.0")
	tag(one, "1.0.0")
	c.ImageTag = "arm"
	tag(schema.Version{}, "2.0.0-arm")
	c.IncludeVersionTags = false
	tag(schema.Version{}, "a1b2c3d-arm")
	tag(one, "")
	c.IncludeCommitTag = false
	tag(schema.Version{}, "latest-arm")
	c.IncludeLatestTag = false
	tag(schema.Version{}, "arm")
}
