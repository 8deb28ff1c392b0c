package page

import (
	"net/url"
	"slices"
	"strconv"

	"berth/schema"
	"berth/ui/part"
)

// VariablesView is the list of variables.
type VariablesView struct {
	List  []schema.Resource[schema.VariableConfig]
	Error string
	Name  string // of the one that was tried
}

// Variables is the list of variables.
func Variables(v VariablesView) View {
	return View{Title: "Variables", Key: "variables", Crumbs: []Crumb{{Label: "Variables"}}, Body: variables(v), Live: []Section{{"variables", variablesTable(v)}}}
}

// WebhooksView is the addresses for git hosts, and what came in.
type WebhooksView struct {
	Base       string // address people use, without a path
	Hooks      []Hook
	Deliveries []schema.Delivery
	Runs       map[string]uint64 // number by id
}

// Hook is an address a git host can be given.
type Hook struct {
	Target          schema.Target
	Path, Branch    string
	Action          string
	Enabled, Secret bool
}

// unsealed reports whether an address that is on lacks a secret.
func (v WebhooksView) unsealed() bool {
	return slices.ContainsFunc(v.Hooks, func(h Hook) bool { return h.Enabled && !h.Secret })
}

// Webhooks is that page.
func Webhooks(v WebhooksView) View {
	return View{Title: "Webhooks", Key: "webhooks", Crumbs: []Crumb{{Label: "Webhooks"}}, Body: webhooks(v), Live: []Section{{"deliveries", deliveries(v)}}}
}

// ApplyView is a text with what applying it does.
type ApplyView struct {
	Text       string
	Plan       *PlanView
	Applied    bool
	Error      string
	Kind, Name string // when it is one resource's settings
}

// PlanView is what applying a text does.
type PlanView struct {
	Items  []PlanItem
	Issues []Issue
}

// PlanItem is one resource of a plan.
type PlanItem struct {
	Kind, Name, Change string
	Fields             []FieldChange
}

// FieldChange is one setting that changes.
type FieldChange struct{ Field, Old, New string }

// Issue is a mistake in a text, or a warning.
type Issue struct {
	Line    int
	Key     string
	Text    string
	Warning bool
}

// Apply is the page to declare things as TOML.
func Apply(v ApplyView) View {
	return View{Title: "Apply TOML", Key: "apply", Crumbs: []Crumb{{Label: "Apply TOML"}}, Body: apply(v)}
}

// Broken reports whether a mistake keeps the plan from being applied.
func (p *PlanView) Broken() bool {
	for _, i := range p.Issues {
		if !i.Warning {
			return true
		}
	}
	return false
}

func (p *PlanView) count(change string) int {
	n := 0
	for _, i := range p.Items {
		if i.Change == change {
			n++
		}
	}
	return n
}

// counts says how many resources are new, change and stay.
func (v ApplyView) counts() string {
	created, updated := " to create, ", " to update, "
	if v.Applied {
		created, updated = " created, ", " updated, "
	}
	return part.Int(v.Plan.count("create")) + created + part.Int(v.Plan.count("update")) + updated + part.Int(v.Plan.count("unchanged")) + " unchanged"
}

// GateView is the sign-in, its second step, or the first start.
type GateView struct {
	Theme, Next, Token, Username, Error string
	Expired                             bool
	Ways                                Ways
	Passkey                             string // what the browser needs to sign, as JSON
	Codes                               bool   // a code ends the sign-in
}

// Ways are how one can sign in.
type Ways struct {
	Password     bool
	Providers    []Provider
	AutoRedirect bool // straight to OIDC
}

// Provider is where one can sign in besides here.
type Provider struct{ Word, Name string } // oidc, OpenID Connect

// Leave is the address at which a sign-in at a provider begins.
func (v GateView) Leave(word string) string {
	back := "/login/back"
	if v.Next != "" && v.Next != "/" {
		back += "?" + url.Values{"next": {v.Next}}.Encode()
	}
	return "/auth/" + word + "/login?" + url.Values{"redirect": {back}}.Encode()
}

// More is the navigation as a page, for narrow screens.
func More(s Shell) View {
	return View{Title: "More", Key: "more", Crumbs: []Crumb{{Label: "More"}}, Body: more(s)}
}

// Ask is the page of a question, for browsers without JavaScript.
func Ask(c Confirm) View {
	return View{Title: c.Title, Crumbs: []Crumb{{Label: c.Title}}, Body: ask(c)}
}

// AskSheet is the question alone.
func AskSheet(c Confirm) View { return View{Body: Sheet(c)} }

// Trouble is the page of an error.
func Trouble(v ProblemView) View {
	return View{Title: v.Title, Crumbs: []Crumb{{Label: v.Title}}, Body: Problem(v)}
}

func millis(us int64) string {
	switch {
	case us <= 0:
		return ""
	case us < 10_000:
		return strconv.FormatFloat(float64(us)/1000, 'f', 1, 64) + " ms"
	}
	return strconv.FormatInt(us/1000, 10) + " ms"
}

// example is what an empty text field hints at.
func example() string {
	return `[[repo]]
name = "homelab"
[repo.config]
server = "nexus"
git_provider = "git.example.org"
repo = "ops/homelab"

[[stack]]
name = "dashy"
[stack.config]
server = "nexus"
linked_repo = "homelab"
run_directory = "dashy"

[[procedure]]
name = "deploy-homelab"
[[procedure.config.stage]]
name = "pull"
executions = [{ execution.type = "PullRepo", execution.params.repo = "homelab" }]
[[procedure.config.stage]]
name = "deploy"
executions = [{ execution.type = "DeployStack", execution.params.stack = "dashy" }]
`
}
