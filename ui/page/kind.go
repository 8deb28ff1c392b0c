package page

import (
	"net/url"

	"berth/schema"
	"berth/ui/part"
)

// KindWords is what pages call a kind of resource.
type KindWords struct {
	Kind  string // "resource_sync"
	Path  string // "/syncs"
	One   string // "sync"
	Many  string // "Syncs"
	Icon  string
	About string // what it is, for its empty list
}

// Kinds are the kinds of resources in the order of the navigation.
func Kinds() []KindWords {
	return []KindWords{
		{Kind: "server", Path: "/servers", One: "server", Many: "Servers", Icon: "server", About: "A machine whose agent has joined. Everything that runs, runs on one."},
		{Kind: "stack", Path: "/stacks", One: "stack", Many: "Stacks", Icon: "layers", About: "A Compose project that is deployed from git, from files on the server, or from text."},
		{Kind: "deployment", Path: "/deployments", One: "deployment", Many: "Deployments", Icon: "container", About: "A single container: an image, or what a build made, on one server."},
		{Kind: "build", Path: "/builds", One: "build", Many: "Builds", Icon: "hammer", About: "An image that is made from a Dockerfile and pushed to a registry, with a version of its own."},
		{Kind: "repo", Path: "/repos", One: "repo", Many: "Repos", Icon: "git-branch", About: "A clone on a server that several stacks can take their files from."},
		{Kind: "procedure", Path: "/procedures", One: "procedure", Many: "Procedures", Icon: "workflow", About: "Stages of executions that run one after the other, by a push, a schedule or a click."},
		{Kind: "action", Path: "/actions", One: "action", Many: "Actions", Icon: "square-code", About: "A script in TypeScript that asks the API, by a push, a schedule or a click."},
		{Kind: "resource_sync", Path: "/syncs", One: "sync", Many: "Syncs", Icon: "folder-sync", About: "Resources as TOML in git: what is declared there is what there is here."},
		{Kind: "builder", Path: "/builders", One: "builder", Many: "Builders", Icon: "factory", About: "Where builds run: one or more servers."},
		{Kind: "alerter", Path: "/alerters", One: "alerter", Many: "Alerters", Icon: "bell-ring", About: "Where alerts are sent: Slack, Discord, ntfy, Pushover, an address of your own, or anything that shoutrrr knows."},
		{Kind: "variable", Path: "/variables", One: "variable", Many: "Variables", Icon: "key-round", About: "A value that texts of other resources name as [[NAME]]."},
		{Kind: "user_group", Path: "/groups", One: "group", Many: "Groups", Icon: "users", About: "Users with what they may do."},
		{Kind: "swarm", Path: "/swarms", One: "swarm", Many: "Swarms", Icon: "boxes", About: "A Docker Swarm. It is kept as it is declared; this version does nothing with it."},
	}
}

// WordsOf returns the words of a kind; its own name for one that is not known.
func WordsOf(kind string) KindWords {
	for _, k := range Kinds() {
		if k.Kind == kind {
			return k
		}
	}
	return KindWords{Kind: kind, Path: "/", One: kind, Many: kind, Icon: "box"}
}

// Home is the address of a kind's list.
func Home(kind string) string { return WordsOf(kind).Path }

// Where is the address of a resource's page.
func Where(kind, name string) string { return where(kind, name) }

func where(kind, name string) string {
	home := Home(kind)
	if home == "/" {
		return home
	}
	return home + "/" + url.PathEscape(name)
}

func kindIcon(kind string) string { return WordsOf(kind).Icon }

// ThingView is a resource of a kind that has no page of its own making: its
// settings, its last runs, and what a kind adds.
type ThingView struct {
	Kind        string
	ID, Name    string
	Description string
	Tags        []string
	Mark        part.Mark
	Facts       []Fact
	Runs        []schema.Run
	Tab         string
	Config      ConfigView
	NoRuns      bool // nothing of the kind ever runs
}

// tabs are those of the page: what never runs has its settings only.
func (v ThingView) tabs() []tab {
	if v.NoRuns {
		return plainTabs()[1:]
	}
	return plainTabs()
}

func (v ThingView) target() schema.Target {
	return schema.Target{Kind: v.Kind, ID: v.ID, Name: v.Name}
}

// thing frames the page of a resource: main is what its first tab shows, which
// is drawn again with every change.
func thing(v ThingView, main Section) View {
	w := WordsOf(v.Kind)
	out := View{
		Title: v.Name, Key: w.Path[1:], Crumbs: []Crumb{{w.Many, w.Path}, {Label: v.Name}}, Body: thingPage(v, main),
		Live: []Section{{"thing-head", thingHead(v)}, {"thing-facts", thingFacts(v)}},
	}
	if tabKey(v.Tab) == "overview" {
		if main.Body != nil {
			out.Live = append(out.Live, main)
		}
		out.Live = append(out.Live, Section{"thing-runs", thingRuns(v)})
	}
	return out
}

// Thing is the page of a resource of which there is nothing special to show.
func Thing(v ThingView) View { return thing(v, Section{}) }

// ThingsView is the list of a kind.
type ThingsView struct {
	Kind string
	Cols []string // beside name, state and last run
	Rows []ThingRow
}

// ThingRow is a resource in a list.
type ThingRow struct {
	ID, Name string
	Tags     []string
	Mark     part.Mark
	Cells    []string
	LastRun  *schema.Run
	NoRuns   bool
}

// Things is the list of a kind.
func Things(v ThingsView) View {
	w := WordsOf(v.Kind)
	return View{Title: w.Many, Key: w.Path[1:], Crumbs: []Crumb{{Label: w.Many}}, Body: things(v), Live: []Section{{"things", thingsTable(v)}}}
}

// NewView is the question for the name of a new resource.
type NewView struct{ Kind, Name, Error string }

// New is the page on which a resource is made.
func New(v NewView) View {
	w := WordsOf(v.Kind)
	return View{Title: "New " + w.One, Key: w.Path[1:], Crumbs: []Crumb{{w.Many, w.Path}, {Label: "New"}}, Body: newPage(v)}
}

// NewSheet is the same in the dialog.
func NewSheet(v NewView) View { return View{Body: newForm(v)} }
