package core

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/core/api"
	"berth/core/store"
	"berth/schema"
)

// step is a request with what is to come of it.
type step struct {
	request string // group and name
	params  string
	status  int
	want    string // in the answer, several separated by " & "
	not     string // not in it
}

func (d *desk) steps(list ...step) {
	d.t.Helper()
	for _, s := range list {
		group, name, _ := strings.Cut(s.request, "/")
		status, body := d.call(group, name, s.params)
		if status != s.status {
			d.t.Errorf("%s %s: status %d, want %d: %s", s.request, s.params, status, s.status, body)
		}
		for want := range strings.SplitSeq(s.want, " & ") {
			if !strings.Contains(body, want) {
				d.t.Errorf("%s %s: the answer lacks %s: %s", s.request, s.params, want, body)
			}
		}
		if s.not != "" && strings.Contains(body, s.not) {
			d.t.Errorf("%s %s: the answer has %s: %s", s.request, s.params, s.not, body)
		}
	}
}

// id is the id of what was created.
func (d *desk) id(group, request, params string) string {
	d.t.Helper()
	var made struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
	}
	d.must(group, request, params, &made)
	if !schema.IsID(made.ID.OID) {
		d.t.Fatalf("%s answers no id: %v", request, made)
	}
	return made.ID.OID
}

func TestAccountsMadeByHand(t *testing.T) {
	d := newDesk(t)
	_ = d.stop()
	d.cfg.Accounts.Git = []Account{{Provider: "git.example", Username: "file", Token: "from the file"}}
	d.start()
	git := d.id("write", "CreateGitProviderAccount", `{"account":{"domain":"git.example","username":"ada","token":"hush hush","https":false}}`)
	registry := d.id("write", "CreateDockerRegistryAccount", `{"account":{"domain":"ghcr.io","username":"ada","token":"keep quiet"}}`)
	d.steps(
		step{"write/CreateGitProviderAccount", `{"account":{"domain":"git.example","username":"ada"}}`, 409, "already", ""},
		step{"write/CreateGitProviderAccount", `{"account":{"username":"ada"}}`, 422, "domain is empty", ""},
		step{"write/CreateImageRegistryAccount", `{"account":{"domain":"x"}}`, 422, "username is empty", ""},
		step{"write/CreateImageRegistryAccount", `{}`, 422, "account", ""},
		step{"read/ListGitProviderAccounts", `{}`, 200, `"domain":"git.example","https":false,"username":"ada","token":"•••"`, "hush"},
		step{"read/ListGitProviderAccounts", `{"domain":"other.example"}`, 200, `[]`, ""},
		step{"read/GetGitProviderAccount", `{"id":"` + git + `"}`, 200, `"username":"ada"`, "hush"},
		step{"read/GetGitProviderAccount", `{"id":"` + registry + `"}`, 404, "no account", ""},
		step{"write/UpdateGitProviderAccount", `{"id":"` + git + `","account":{"https":true,"token":"•••"}}`, 200, `"https":true`, ""},
		step{"read/ListDockerRegistryAccounts", `{"username":"ada"}`, 200, `"domain":"ghcr.io"`, "quiet"},
		step{"read/ListGitProvidersFromConfig", `{}`, 200, `{"domain":"git.example","https":true,"accounts":[{"username":"file"}]}`, "from the file"},
		step{"read/ListGitProvidersFromConfig", `{"target":{"type":"Server","id":"nobody"}}`, 404, "nobody", ""},
		step{"read/ListImageRegistriesFromConfig", `{}`, 200, `[]`, ""},
		step{"read/ListSecrets", `{}`, 200, `[]`, ""},
	)
	_ = d.stop()
	d.start()
	d.steps(
		step{"write/DeleteGitProviderAccount", `{"id":"` + git + `"}`, 200, `"username":"ada"`, ""},
		step{"write/DeleteGitProviderAccount", `{"id":"` + git + `"}`, 404, "no account", ""},
		step{"write/DeleteDockerRegistryAccount", `{"id":"` + registry + `"}`, 200, `"domain":"ghcr.io"`, ""},
	)
}

func TestTokensAreSealedAndThoseMadeByHandComeFirst(t *testing.T) {
	b := bustest.New(t)
	if err := bus.Migrate(t.Context(), b.Core, bus.MigrateOptions{}); err != nil {
		t.Fatal(err)
	}
	sealer, err := store.OpenSealer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := &core{conn: b.Core, sealer: sealer, cfg: config(t, t.TempDir())}
	c.cfg.Accounts.Git = []Account{{Provider: "git.example", Username: "ada", Token: "of the file"}}
	if err := c.openAccounts(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := "hush hush"
	made, err := accounts{c}.Save(t.Context(), api.GitAccounts, api.Account{Domain: "git.example", Username: "ada"}, &token)
	if err != nil {
		t.Fatal(err)
	}
	made.HTTP = true
	if _, err := (accounts{c}).Save(t.Context(), api.GitAccounts, made, nil); err != nil {
		t.Fatal(err)
	}
	got, http, ok := syncWorld{c}.GitToken("git.example", "ada")
	if got != "hush hush" || !http || !ok {
		t.Errorf("the token is %q, http %v, found %v", got, http, ok)
	}
	if have := c.logins(api.RegistryAccounts); len(have) > 0 {
		t.Errorf("registries have %v", have)
	}
	for _, d := range c.accounts.List("") {
		if strings.Contains(d.Value.Token, "hush") {
			t.Errorf("stored in clear: %v", d.Value)
		}
	}
}

func TestTags(t *testing.T) {
	d := newDesk(t)
	d.must("write", "CreateStack", `{"name":"web"}`, nil)
	d.must("write", "ApplyResources", `{"files":[{"name":"a.toml","text":"[[repo]]\nname='infra'\ntags=['edge']\n"}]}`, nil)
	d.steps(
		step{"write/UpdateResourceMeta", `{"target":{"type":"Stack","id":"web"},"tags":["prod","edge"]}`, 200, `{}`, ""},
		step{"read/ListTags", `{}`, 200, `"name":"edge","owner":"","color":"Slate" & "name":"prod"`, ""},
		step{"read/GetTag", `{"tag":"prod"}`, 200, `"owner":"`, `"owner":""`},
		step{"write/CreateTag", `{"name":"prod"}`, 409, "already", ""},
		step{"write/CreateTag", `{"name":"idle","color":"DarkTeal"}`, 200, `"color":"DarkTeal"`, ""},
		step{"write/CreateTag", `{"name":"x","color":"Mauve"}`, 422, "color", ""},
		step{"write/CreateTag", `{"name":"0123456789abcdef01234567"}`, 422, "id", ""},
		step{"write/CreateTag", `{"name":" "}`, 422, "empty", ""},
		step{"write/UpdateTagColor", `{"tag":"edge","color":"Red"}`, 200, `"color":"Red"`, ""},
		step{"read/ListStacks", `{"query":{"tags":"prod, edge"}}`, 200, `"name":"web"`, ""},
		step{"read/ListStacks", `{"query":{"tags":["idle"]}}`, 200, `[]`, ""},
		step{"read/ListStacks", `{"query":{"tags":["idle","prod"],"tag_behavior":"Any"}}`, 200, `"name":"web"`, ""},
		step{"read/ListStacks", `{"query":{"tags":["prdo"]}}`, 404, `there is no tag \"prdo\": did you mean prod?`, ""},
		step{"read/ListStacks", `{"query":{"tag_behavior":"Some"}}`, 422, "tag_behavior", ""},
	)
	var before, after struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
	}
	d.must("read", "GetTag", `{"tag":"edge"}`, &before)
	d.must("write", "RenameTag", `{"id":"`+before.ID.OID+`","name":"border"}`, &after)
	if after != before {
		t.Errorf("a renamed tag has the id %v, before %v", after, before)
	}
	d.steps(
		step{"write/RenameTag", `{"id":"border","name":"prod"}`, 409, "already", ""},
		step{"read/ExportAllResourcesToToml", `{}`, 200, "border", "edge"},
		step{"read/ListStacks", `{"query":{"tags":["` + before.ID.OID + `"]}}`, 200, `"name":"web"`, ""},
		step{"write/UpdateResourceMeta", `{"target":{"type":"Repo","id":"infra"},"tags":["edge"]}`, 200, `{}`, ""},
		step{"read/ListFullRepos", `{}`, 200, `"name":"infra"`, before.ID.OID},
		step{"write/DeleteTag", `{"id":"border"}`, 200, `"name":"border"`, ""},
		step{"read/ListStacks", `{"query":{"tags":["border"]}}`, 404, "border", ""},
		step{"read/ListStacks", `{}`, 200, `"name":"web"`, before.ID.OID},
		step{"write/DeleteTag", `{"id":"border"}`, 404, "border", ""},
		// Tags and what they are on are no updates, as clients know it.
		step{"read/ListUpdates", `{}`, 200, `"operation":"CreateStack"`, "Tag"},
		step{"read/ListUpdates", `{}`, 200, `"operation":"CreateStack"`, "Meta"},
		step{"read/ListUpdates", `{}`, 200, `"operation":"CreateStack"`, "UpdateStack"},
	)
}

func TestListsAreFilteredSortedAndCut(t *testing.T) {
	d := newDesk(t)
	for _, r := range []string{
		`CreateServer {"name":"atlas","config":{"region":"south"}}`, `CreateServer {"name":"brook","config":{"region":"north"}}`,
		`CreateRepo {"name":"one","config":{"repo":"ada/one","server":"atlas","branch":"zoo"}}`,
		`CreateRepo {"name":"two","config":{"repo":"ada/two","server":"brook","branch":"ape"}}`,
		`CreateStack {"name":"web","config":{"linked_repo":"one","server":"atlas","extra_args":["--quiet-pull","--no-start"]}}`,
		`CreateStack {"name":"db","config":{"repo":"ada/db","server":"brook","extra_args":["--quiet-pull"]}}`,
		`CreateDeployment {"name":"proxy","config":{"server":"atlas","image":{"type":"Image","params":{"image":"nginx"}}}}`,
		`CreateAlerter {"name":"chat","config":{"enabled":true,"endpoint":{"type":"Slack","params":{"url":"https://x.example"}}}}`,
		`CreateAlerter {"name":"post","config":{"enabled":false}}`,
		`CreateProcedure {"name":"nightly","config":{"schedule":"Every day at 03:00"}}`, `CreateProcedure {"name":"never"}`,
		`CreateBuilder {"name":"mill","config":{"type":"Server","params":{"server_ids":["atlas"]}}}`,
		`CreateBuild {"name":"image","config":{"builder":"mill","repo":"ada/one"}}`,
	} {
		name, params, _ := strings.Cut(r, " ")
		d.must("write", name, params, nil)
	}
	bustest.Eventually(t, 20*time.Second, "the schedule has a next time", func() bool {
		_, body := d.call("read", "ListProcedures", `{"query":{"names":["nightly"]}}`)
		return !strings.Contains(body, `"next_scheduled_run":null`)
	})
	order := func(x, y string) string { return `"name":"` + x + `"` + "|" + `"name":"` + y + `"` }
	for _, c := range []struct{ request, params, order string }{
		{"ListServers", `{"sort_by":"Region"}`, order("brook", "atlas")},
		{"ListServers", `{"sort_by":"Region","sort_desc":true}`, order("atlas", "brook")},
		{"ListRepos", `{"sort_by":"Branch"}`, order("two", "one")},
		{"ListStacks", `{"sort_by":"Host"}`, order("web", "db")},
		{"ListStacks", `{"sort_by":"Source","sort_desc":true}`, order("web", "db")},
		{"ListProcedures", `{"sort_by":"NextRun"}`, order("nightly", "never")},
		{"ListAlerters", `{"sort_by":"Enabled","sort_desc":true}`, order("post", "chat")},
		{"ListFullStacks", `{"sort_desc":true}`, order("db", "web")},
	} {
		_, body := d.call("read", c.request, c.params)
		first, second, _ := strings.Cut(c.order, "|")
		if i, j := strings.Index(body, first), strings.Index(body, second); i < 0 || j < i {
			t.Errorf("%s %s is not sorted: %s", c.request, c.params, body)
		}
	}
	d.steps(
		step{"read/ListStacks", `{"sort_by":"Weight"}`, 422, "Host, Name, Source, State", ""},
		step{"read/ListStacks", `{"limit":-1}`, 422, "negative", ""},
		step{"read/ListStacks", `{"page":4611686018427387904,"limit":4}`, 200, `[]`, ""},
		step{"read/ListStacks", `{"limit":4611686018427387904}`, 200, `"name":"db"`, ""},
		step{"read/ListStacks", `{"query":{"specific":{"linked_repos":["one"]}}}`, 200, `"name":"web"`, `"name":"db"`},
		step{"read/ListStacks", `{"query":{"specific":{"repos":["ada/db"]}}}`, 200, `"name":"db"`, `"name":"web"`},
		step{"read/ListStacks", `{"query":{"specific":{"server_ids":["nobody"]}}}`, 404, "nobody", ""},
		step{"read/ListStacks", `{"query":{"specific":{"update_available":true}}}`, 200, `[]`, ""},
		step{"read/ListFullStacks", `{"query":{"specific":{"update_available":true}}}`, 200, `"name":"web"`, ""},
		step{"read/ListStacks", `{"query":{"names":["db"],"templates":"Only"}}`, 200, `[]`, ""},
		step{"read/ListStacks", `{"query":{"templates":"Sometimes"}}`, 422, "Exclude", ""},
		step{"read/ListProcedures", `{"query":{"specific":{"scheduled":true}}}`, 200, `"name":"nightly"`, `"name":"never"`},
		step{"read/ListAlerters", `{"query":{"specific":{"enabled":false}}}`, 200, `"name":"post"`, `"name":"chat"`},
		step{"read/ListAlerters", `{"query":{"specific":{"types":["Slack"]}}}`, 200, `"name":"chat"`, `"name":"post"`},
		step{"read/ListBuilds", `{"query":{"specific":{"builder_ids":["mill"]}}}`, 200, `"name":"image"`, ""},
		step{"read/ListBuilds", `{"query":{"specific":{"built_since":1}}}`, 200, `[]`, ""},
		step{"read/ListCommonStackExtraArgs", `{}`, 200, `["--no-start","--quiet-pull"]`, ""},
		step{"read/ListCommonStackExtraArgs", `{"query":{"names":["db"]}}`, 200, `["--quiet-pull"]`, ""},
		step{"read/ListCommonBuildExtraArgs", `{}`, 200, `[]`, ""},
		step{"read/GetBuildMonthlyStats", `{}`, 200, `"total_time":0,"total_count":0,"days":[{"time":0,"count":0,"ts":`, ""},
		step{"read/GetActionsSummary", `{}`, 200, `"total":0`, ""},
		step{"read/GetAlertersSummary", `{}`, 200, `{"total":2}`, ""},
		step{"read/GetProceduresSummary", `{}`, 200, `"total":2,"unknown":2`, ""},
		step{"write/UpdateResourceMeta", `{"target":{"type":"Procedure","id":"never"},"template":true}`, 200, `{}`, ""},
		step{"read/GetProceduresSummary", `{}`, 200, `"total":2,"unknown":1`, ""},
	)
}

// updates lists what ListUpdates answers to a filter.
func (d *desk) updates(query string) (list []struct {
	ID        string `json:"id"`
	Operation string `json:"operation"`
	Username  string `json:"username"`
	Target    struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	} `json:"target"`
},
) {
	d.t.Helper()
	var page struct {
		Updates json.RawMessage `json:"updates"`
	}
	d.must("read", "ListUpdates", `{"query":`+query+`}`, &page)
	if err := json.Unmarshal(page.Updates, &list); err != nil {
		d.t.Fatal(err)
	}
	return list
}

func TestChangesAreUpdates(t *testing.T) {
	d := newDesk(t)
	d.must("write", "CreateStack", `{"name":"web","config":{"file_contents":"services: {}","webhook_secret":"hush hush"}}`, nil)
	d.must("write", "UpdateStack", `{"id":"web","config":{"branch":"next"}}`, nil)
	d.must("write", "UpdateStack", `{"id":"web","config":{"branch":"next"}}`, nil) // changes nothing
	var renamed struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
	}
	d.must("write", "RenameStack", `{"id":"web","name":"site"}`, &renamed)
	d.must("write", "CopyStack", `{"id":"site","name":"twin"}`, nil)
	d.must("write", "CreateVariable", `{"name":"TOKEN","value":"tell nobody","is_secret":true}`, nil)
	d.must("write", "UpdateVariableValue", `{"name":"TOKEN","value":"tell no one"}`, nil)
	d.must("write", "CreateImageRegistryAccount", `{"account":{"domain":"ghcr.io","username":"ada"}}`, nil)
	d.must("write", "DeleteStack", `{"id":"site"}`, nil)
	d.call("write", "CreateStack", `{"name":"twin"}`) // refused
	var have []string
	for _, u := range d.updates(`{}`) {
		have = append(have, u.Operation)
		if u.Username != "mira" {
			t.Errorf("%s is by %q", u.Operation, u.Username)
		}
	}
	want := "DeleteStack CreateDockerRegistryAccount UpdateVariableValue CreateVariable CreateStack RenameStack UpdateStack CreateStack"
	if got := strings.Join(have, " "); got != want {
		t.Errorf("the updates are %s,\nwant %s", got, want)
	}
	changed := d.updates(`{"target.type":"Stack","operation":"UpdateStack"}`)
	if len(changed) != 1 {
		t.Fatalf("of UpdateStack there are %d", len(changed))
	}
	d.steps(
		step{"read/GetUpdate", `{"id":"` + changed[0].ID + `"}`, 200, `"prev_toml":"[[stack]] & "current_toml":"[[stack]] & branch = \"next\" & "status":"Complete"`, "hush"},
		step{"read/GetUpdate", `{"id":"` + renamed.ID.OID + `"}`, 200, `"operation":"RenameStack" & web → site`, ""},
		step{"read/GetUpdate", `{"id":"` + d.updates(`{"operation":"DeleteStack"}`)[0].ID + `"}`, 200, `"stage":"Deleted Toml"`, "hush"},
		step{"read/GetUpdate", `{"id":"` + d.updates(`{"operation":"CreateVariable"}`)[0].ID + `"}`, 200, `"type":"System"`, "tell"},
		step{"read/GetUpdate", `{"id":"` + d.updates(`{"operation":"UpdateVariableValue"}`)[0].ID + `"}`, 200, `a secret changed`, "tell"},
		step{"read/GetUpdate", `{"id":"0123456789abcdef01234567"}`, 404, "no", ""},
		step{"read/GetUpdate", `{"id":"no/key *"}`, 404, "no", ""},
		step{"read/ListUpdates", `{"query":{"$or":[{"operation":"RenameStack"},{"operation":{"$in":["UpdateStack"]}}],"success":{"$ne":false},"start_ts":{"$gt":0}}}`, 200, "RenameStack & UpdateStack", "CreateStack"},
		step{"read/ListUpdates", `{"page":4611686018427387904}`, 200, `{"updates":[],"next_page":null}`, ""},
	)
}
