package resource

import (
	"encoding/json"
	"strings"
	"testing"

	"berth/schema"
)

// nested are resources with secrets in unions and in lists within them.
const nested = `
[[alerter]]
name = "ops"
config.endpoint = { type = "Slack", params = { url = "https://canary-slack" } }
[[builder]]
name = "cloud"
[builder.config]
type = "Aws"
params.git_providers = [{ domain = "git.example", accounts = [{ username = "a", token = "canary-git-a" }, { username = "b", token = "canary-git-b" }] }]
params.image_registries = [{ accounts = [{ username = "c", token = "canary-registry" }] }]
`

// TestNestedSecrets: sealed at rest, masked when shown and exported, put back by
// the mask, kept when something else changes.
func TestNestedSecrets(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.apply(t, nested)
	for _, d := range w.raw.List("") {
		if strings.Contains(string(d.Value), "canary") {
			t.Error("stored in clear:", string(d.Value))
		}
	}
	for _, k := range w.Kinds() {
		list, err := k.List(ctx)
		if err != nil || strings.Contains(string(jsonOf(list)), "canary") {
			t.Error(k.Name(), "shows a secret", err)
		}
	}
	alerter := must[schema.Resource[schema.AlerterConfig]](t)
	builder := must[schema.Resource[schema.BuilderConfig]](t)
	if a := alerter(w.alerters.Get(ctx, "ops")); a.Config.Endpoint.Slack.URL != "https://canary-slack" {
		t.Error(a.Config.Endpoint.Slack)
	}
	text := must[string](t)(w.Export(ctx, ExportOptions{}))
	if strings.Contains(text, "canary") || strings.Count(text, Mask) != 4 {
		t.Error(text)
	}
	changed := strings.Replace(strings.Replace(text, `"git.example"`, `"git2.example"`, 1), `name = "ops"`, "name = \"ops\"\ndescription = \"x\"", 1)
	p := w.plan(t, changed)
	if strings.Contains(string(jsonOf(p)), "canary") || p.Count(OpUpdate) != 2 {
		t.Error(p)
	}
	w.apply(t, changed)

	ok := must[json.RawMessage](t)
	shown := ok(w.alerters.Show(ctx, "ops"))
	var doc struct {
		Config json.RawMessage `json:"config"`
	}
	if err := json.Unmarshal(shown, &doc); err != nil {
		t.Fatal(err)
	}
	ok(w.alerters.Update(ctx, "ops", []byte(`{"enabled": true}`)))
	ok(w.alerters.Update(ctx, "ops", doc.Config)) // as a form sends all of it back
	if a := alerter(w.alerters.Get(ctx, "ops")); a.Config.Endpoint.Slack.URL != "https://canary-slack" || a.Description != "x" {
		t.Errorf("%+v", a)
	}
	b := builder(w.builders.Get(ctx, "cloud")).Config.AWS
	if g := b.GitProviders[0]; g.Domain != "git2.example" || g.Accounts[0].Token != "canary-git-a" || g.Accounts[1].Token != "canary-git-b" || b.ImageRegistries[0].Accounts[0].Token != "canary-registry" {
		t.Errorf("%+v", b)
	}
	other := strings.Replace(text, `endpoint.type = "Slack"`, `endpoint.type = "Ntfy"`, 1)
	q, err := w.Plan(ctx, []File{{"x.toml", other}})
	if err != nil || q.Err() == nil || !strings.Contains(q.Err().Error(), "is the mask of a secret") {
		t.Error("a mask is taken for a secret of another type:", q.Err(), err)
	}
}
