package resource

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestCreateUpdateDelete(t *testing.T) {
	w := newWorld(t)
	ctx, ok := t.Context(), must[json.RawMessage](t)
	ok(w.servers.Create(ctx, "edge-01", []byte(`{"enabled": true}`)))
	ok(w.stacks.Create(ctx, "My Web", []byte(`{"server": "edge-01", "links": "a, b", "webhook_secret": "hush"}`)))

	s := must[schema.Resource[schema.StackConfig]](t)(w.stacks.Get(ctx, "my_web"))
	server := must[schema.Target](t)(w.servers.Find("edge-01"))
	if s.Config.ServerID != server.ID || s.Config.WebhookSecret != "hush" || !s.Config.AutoPull || s.Rev == 0 || s.Created == 0 {
		t.Errorf("%+v", s)
	}
	byID := must[schema.Resource[schema.StackConfig]](t)(w.stacks.Get(ctx, s.ID))
	if diff := cmp.Diff(s, byID); diff != "" {
		t.Error(diff)
	}

	ok(w.stacks.Update(ctx, s.ID, []byte(`{"branch": "dev", "webhook_secret": "•••", "links": ["c"]}`)))
	s = must[schema.Resource[schema.StackConfig]](t)(w.stacks.Get(ctx, "My Web"))
	if s.Config.Branch != "dev" || s.Config.WebhookSecret != "hush" || len(s.Config.Links) != 1 || s.Config.ServerID != server.ID {
		t.Errorf("%+v", s.Config)
	}
	shown := string(ok(w.stacks.Show(ctx, "my_web")))
	if strings.Contains(shown, "hush") || !strings.Contains(shown, Mask) {
		t.Error("a secret is shown or not masked:", shown)
	}
	for _, d := range w.raw.List("") {
		if strings.Contains(string(d.Value), "hush") {
			t.Error("a secret is stored in clear:", string(d.Value))
		}
	}

	want(t, w.servers.Delete(ctx, "edge-01"), schema.Conflict, `server "edge-01" is used by stack "my_web"`)
	ok(w.servers.Rename(ctx, "edge-01", "edge-1"))
	if _, err := w.servers.Find("edge-1"); err != nil {
		t.Error(err)
	}
	if err := w.stacks.Delete(ctx, "my_web"); err != nil {
		t.Error(err)
	}
	if err := w.servers.Delete(ctx, server.ID); err != nil {
		t.Error(err)
	}
	if n := w.raw.Len(); n != 0 {
		t.Errorf("%d documents are left", n)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	ctx, ok := t.Context(), must[json.RawMessage](t)
	ok(w.stacks.Create(ctx, "web", nil))
	ok(w.procedures.Create(ctx, "p", nil))
	for name, c := range map[string]struct {
		do    func() error
		code  schema.Code
		parts []string
	}{
		"name taken": {func() error { _, err := w.stacks.Create(ctx, "WEB", nil); return err }, schema.Conflict, []string{`stack "web"`}},
		"no name":    {func() error { _, err := w.stacks.Create(ctx, " ", nil); return err }, schema.Invalid, nil},
		"name is an id": {
			func() error { _, err := w.stacks.Rename(ctx, "web", schema.NewID()); return err }, schema.Invalid, []string{"form of an id"},
		},
		"unknown key": {
			func() error { _, err := w.stacks.Update(ctx, "web", []byte(`{"sever": "x"}`)); return err },
			schema.Invalid,
			[]string{"sever: unknown key: did you mean server?"},
		},
		"wrong type":        {func() error { _, err := w.stacks.Update(ctx, "web", []byte(`{"branch": 1}`)); return err }, schema.Invalid, []string{"branch"}},
		"not JSON":          {func() error { _, err := w.stacks.Update(ctx, "web", []byte(`{`)); return err }, schema.Invalid, nil},
		"unknown reference": {func() error { _, err := w.stacks.Update(ctx, "web", []byte(`{"server": "x"}`)); return err }, schema.Invalid, []string{`server_id: there is no server "x"`}},
		"unknown stack in a stage": {
			func() error {
				_, err := w.procedures.Update(ctx, "p", []byte(`{"stages":[{"name":"a","executions":[{"execution":{"type":"DeployStack","params":{"stack":"wbe"}}}]}]}`))
				return err
			}, schema.Invalid, []string{`stages[0].executions[0].execution.params.stack: there is no stack "wbe"`},
		},
		"itself": {
			func() error {
				_, err := w.procedures.Update(ctx, "p", []byte(`{"stages":[{"name":"a","executions":[{"execution":{"type":"RunProcedure","params":{"procedure":"p"}}}]}]}`))
				return err
			}, schema.Invalid, []string{"cannot run itself"},
		},
		"not there":  {func() error { _, err := w.stacks.Show(ctx, "wep"); return err }, schema.NotFound, []string{`did you mean "web"`}},
		"empty tag":  {func() error { _, err := w.stacks.Describe(ctx, "web", Meta{Tags: &[]string{""}}); return err }, schema.Invalid, nil},
		"no kind":    {func() error { _, err := w.Kind("stakc"); return err }, schema.NotFound, []string{"stack"}},
		"a bad name": {func() error { _, err := w.variables.Create(ctx, "A B", nil); return err }, schema.Invalid, nil},
	} {
		t.Run(name, func(t *testing.T) { want(t, c.do(), c.code, c.parts...) })
	}
}

func TestMatchAndMeta(t *testing.T) {
	w := newWorld(t)
	ctx, ok := t.Context(), must[json.RawMessage](t)
	for _, n := range []string{"web-2", "web-1", "db"} {
		ok(w.stacks.Create(ctx, n, nil))
	}
	text, yes, list := "what it is", true, []string{"prod", "prod", "x"}
	ok(w.stacks.Describe(ctx, "web-1", Meta{Description: &text, Template: &yes, Tags: &list}))
	ok(w.stacks.Copy(ctx, "web-1", "web-3"))
	names := func(pattern string, tags ...string) string {
		var out []string
		for _, x := range must[[]schema.Target](t)(w.stacks.Match(pattern, tags)) {
			out = append(out, x.Name)
		}
		return strings.Join(out, " ")
	}
	if have := names("web-*"); have != "web-1 web-2 web-3" {
		t.Error(have)
	}
	if have := names("*", "prod"); have != "web-1 web-3" {
		t.Error(have)
	}
	_, err := w.stacks.Match(`\`, nil)
	want(t, err, schema.Invalid)
	r := must[schema.Resource[schema.StackConfig]](t)(w.stacks.Get(ctx, "web-3"))
	if r.Template || r.Description != text || !cmp.Equal(r.Tags, []string{"prod", "x"}) {
		t.Errorf("%+v", r)
	}
}

func TestWatch(t *testing.T) {
	w := newWorld(t)
	seen := make(chan schema.Change, 10)
	stop := w.Watch(func(c schema.Change) { seen <- c })
	defer stop()
	must[json.RawMessage](t)(w.servers.Create(t.Context(), "s", nil))
	id := must[schema.Target](t)(w.servers.Find("s")).ID
	if c := <-seen; c != (schema.Change{Topic: "server", ID: id}) {
		t.Error(c)
	}
}

func TestSecretFollowsItsSwitch(t *testing.T) {
	w := newWorld(t)
	ctx, ok := t.Context(), must[json.RawMessage](t)
	stored := func() string { return string(w.raw.List("")[0].Value) }
	ok(w.variables.Create(ctx, "TOKEN", []byte(`{"value": "canary"}`)))
	if !strings.Contains(stored(), "canary") {
		t.Error("a value that is no secret is sealed")
	}
	ok(w.variables.Update(ctx, "TOKEN", []byte(`{"is_secret": true}`)))
	if strings.Contains(stored(), "canary") || strings.Contains(string(ok(w.variables.Show(ctx, "TOKEN"))), "canary") {
		t.Error("a secret is in clear")
	}
	if v := must[schema.Resource[schema.VariableConfig]](t)(w.variables.Get(ctx, "TOKEN")); v.Config.Value != "canary" {
		t.Errorf("%+v", v)
	}
}

func TestSecretIsNotShownAgain(t *testing.T) {
	w := newWorld(t)
	ctx, ok := t.Context(), must[json.RawMessage](t)
	ok(w.variables.Create(ctx, "TOKEN", []byte(`{"value": "canary", "is_secret": true}`)))
	for _, patch := range []string{`{"is_secret": false}`, `{"is_secret": false, "value": "` + Mask + `"}`} {
		if _, err := w.variables.Update(ctx, "TOKEN", []byte(patch)); schema.CodeOf(err) != schema.Invalid || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", patch, err)
		}
	}
	plan := must[Plan](t)(w.Plan(ctx, []File{{Name: "a.toml", Text: "[[variable]]\nname = 'TOKEN'\nvalue = '" + Mask + "'\n"}}))
	if err := plan.Err(); schema.CodeOf(err) != schema.Invalid || strings.Contains(fmt.Sprint(plan), "canary") {
		t.Errorf("a file without the value: %v", err)
	}
	ok(w.variables.Update(ctx, "TOKEN", []byte(`{"is_secret": false, "value": "plain"}`)))
	if got := string(ok(w.variables.Show(ctx, "TOKEN"))); !strings.Contains(got, "plain") {
		t.Errorf("with its value: %s", got)
	}
}

func TestPut(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	put := must[schema.Resource[schema.RepoConfig]](t)
	config := schema.DefaultRepo()
	config.WebhookSecret = "hush"
	r := put(w.repos.Put(ctx, schema.Resource[schema.RepoConfig]{Name: "a b", Config: config}))
	if r.ID == "" || r.Rev == 0 || r.Name != "a_b" {
		t.Errorf("%+v", r)
	}
	m := put(w.repos.Masked("a_b"))
	m.Config.Branch = "dev"
	put(w.repos.Put(ctx, m))
	have := put(w.repos.Get(ctx, r.ID))
	if have.Config.WebhookSecret != "hush" || have.Config.Branch != "dev" {
		t.Errorf("%+v", have.Config)
	}
	_, err := w.repos.Put(ctx, r) // its revision is old
	want(t, err, schema.Conflict, `save repo "a_b"`)
}
