package page

import (
	"encoding/json"
	"net/url"
	"sort"
	"strings"

	"github.com/a-h/templ"

	"berth/schema"
	"berth/ui/part"
)

// Repos is the list of repos.
func Repos(list []schema.RepoView) View {
	return View{Title: "Repos", Key: "repos", Crumbs: []Crumb{{Label: "Repos"}}, Body: repos(list), Live: []Section{{"repos", reposTable(list)}}}
}

// RepoPageView is one repo.
type RepoPageView struct {
	Repo   schema.RepoView
	Stacks []schema.StackView // that take their files from it
	Runs   []schema.Run
	Tab    string
	Config ConfigView
}

// Repo is the page of a repo.
func Repo(v RepoPageView) View {
	name := v.Repo.Resource.Name
	out := View{Title: name, Key: "repos", Crumbs: []Crumb{{"Repos", "/repos"}, {Label: name}}, Body: repo(v), Live: []Section{{"repo-head", repoHead(v)}, {"repo-facts", repoFacts(v)}}}
	if tabKey(v.Tab) == "overview" {
		out.Live = append(out.Live, Section{"repo-main", repoMain(v)})
	}
	return out
}

// Procedures is the list of procedures.
func Procedures(list []schema.ProcedureView) View {
	return View{Title: "Procedures", Key: "procedures", Crumbs: []Crumb{{Label: "Procedures"}}, Body: procedures(list), Live: []Section{{"procedures", proceduresTable(list)}}}
}

// ProcedurePageView is one procedure.
type ProcedurePageView struct {
	Procedure schema.ProcedureView
	Runs      []schema.Run
	Tab       string
	Config    ConfigView
}

// Procedure is the page of a procedure.
func Procedure(v ProcedurePageView) View {
	name := v.Procedure.Resource.Name
	out := View{Title: name, Key: "procedures", Crumbs: []Crumb{{"Procedures", "/procedures"}, {Label: name}}, Body: procedure(v), Live: []Section{{"procedure-head", procedureHead(v)}}}
	if tabKey(v.Tab) == "overview" {
		out.Live = append(out.Live, Section{"procedure-runs", procedureRuns(v)})
	}
	return out
}

func plainTabs() []tab {
	return []tab{{"overview", "Overview", ""}, {"config", "Settings", ""}, {"toml", "TOML", ""}}
}

func joinHref(name string) templ.SafeURL {
	return templ.URL("/servers/join?" + url.Values{"name": {name}}.Encode())
}

// remote returns where a repo is cloned from.
func remote(c schema.RepoConfig) string {
	if strings.Contains(c.Repo, "://") {
		return c.Repo
	}
	return c.GitProvider + "/" + c.Repo
}

// executionText says what an execution of a procedure does: "Deploy shop".
func executionText(e schema.Execution) string {
	if t := executionTarget(e); t != "" {
		return ActionLabel(e.Type) + " " + t
	}
	return ActionLabel(e.Type)
}

// executionTarget returns the first param of an execution that names something.
func executionTarget(e schema.Execution) string {
	text, err := json.Marshal(e.Params)
	if err != nil {
		return ""
	}
	var params map[string]any
	if json.Unmarshal(text, &params) != nil {
		return ""
	}
	keys := make([]string, 0, len(params))
	for k := range params {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, first := range []string{"stack", "repo", "procedure", "pattern", "duration_ms"} {
		if s, ok := params[first].(string); ok && s != "" {
			return s
		}
		if n, ok := params[first].(float64); ok {
			return part.Int(int(n)) + " ms"
		}
	}
	for _, k := range keys {
		if s, ok := params[k].(string); ok && s != "" {
			return s
		}
	}
	return ""
}

func executionIcon(e schema.Execution) string {
	switch {
	case strings.Contains(e.Type, "Deploy"):
		return "rocket" // icon
	case strings.Contains(e.Type, "Repo"):
		return "git-branch" // icon
	case strings.Contains(e.Type, "Procedure"):
		return "workflow" // icon
	case e.Type == "Sleep":
		return "timer" // icon
	case strings.Contains(e.Type, "Stack"):
		return "layers" // icon
	}
	return "play" // icon
}
