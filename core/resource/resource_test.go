package resource

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/core/store"
	"berth/schema"
)

// world is a registry of all kinds on a live bus.
type world struct {
	*Registry
	raw *store.Bucket[json.RawMessage]
	kindsOf
}

type kindsOf struct {
	variables   *Kind[schema.VariableConfig]
	groups      *Kind[schema.UserGroupConfig]
	servers     *Kind[schema.ServerConfig]
	swarms      *Kind[schema.SwarmConfig]
	builders    *Kind[schema.BuilderConfig]
	repos       *Kind[schema.RepoConfig]
	builds      *Kind[schema.BuildConfig]
	stacks      *Kind[schema.StackConfig]
	deployments *Kind[schema.DeploymentConfig]
	actions     *Kind[schema.ActionConfig]
	syncs       *Kind[schema.SyncConfig]
	alerters    *Kind[schema.AlerterConfig]
	procedures  *Kind[schema.ProcedureConfig]
}

// registerAll lists the kinds as core does.
func registerAll(g *Registry) kindsOf {
	return kindsOf{
		variables:   Register(g, "variable", schema.DefaultVariable, Named(schema.VariableName), Flat()),
		groups:      Register(g, "user_group", schema.DefaultUserGroup, Flat()),
		servers:     Register(g, "server", schema.DefaultServer),
		swarms:      Register(g, "swarm", schema.DefaultSwarm),
		builders:    Register(g, "builder", schema.DefaultBuilder),
		repos:       Register(g, "repo", schema.DefaultRepo, Named(schema.RepoName)),
		builds:      Register(g, "build", schema.DefaultBuild, Named(schema.StackName)),
		stacks:      Register(g, "stack", schema.DefaultStack, Named(schema.StackName)),
		deployments: Register(g, "deployment", schema.DefaultDeployment, Named(schema.DeploymentName)),
		actions:     Register(g, "action", schema.DefaultAction),
		syncs:       Register(g, "resource_sync", schema.DefaultSync),
		alerters:    Register(g, "alerter", schema.DefaultAlerter),
		procedures:  Register(g, "procedure", schema.DefaultProcedure),
	}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	b := bustest.New(t)
	raw, err := store.Open[json.RawMessage](t.Context(), b.Core, bus.BucketResources, store.Options{Log: bustest.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := store.OpenSealer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	g := NewRegistry(Options{Bucket: raw, Sealer: sealer, Now: time.Now, Log: bustest.Log(t)})
	return &world{Registry: g, raw: raw, kindsOf: registerAll(g)}
}

// clear removes every document.
func (w *world) clear(t testing.TB) {
	t.Helper()
	for _, d := range w.raw.List("") {
		if err := w.raw.Delete(t.Context(), d.Key, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// plan is a plan without mistakes.
func (w *world) plan(t *testing.T, text string) Plan {
	t.Helper()
	p, err := w.Plan(t.Context(), []File{{"x.toml", text}})
	if err == nil {
		err = p.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) apply(t *testing.T, text string) {
	t.Helper()
	if err := w.Apply(t.Context(), w.plan(t, text)); err != nil {
		t.Fatal(err)
	}
	if again := w.plan(t, text); !again.Empty() {
		t.Errorf("the plan after applying is not empty: %+v", again.Changes)
	}
}

// want fails the test unless err has the code and its text holds all parts.
func want(t *testing.T, err error, code schema.Code, parts ...string) {
	t.Helper()
	if schema.CodeOf(err) != code {
		t.Errorf("have %v (%s), want %s", err, schema.CodeOf(err), code)
		return
	}
	for _, p := range parts {
		if !strings.Contains(schema.SafeText(err), p) {
			t.Errorf("%q lacks %q", schema.SafeText(err), p)
		}
	}
}
