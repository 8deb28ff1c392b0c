package page

import (
	"net/url"
	"strings"

	"github.com/a-h/templ"

	"berth/schema"
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
