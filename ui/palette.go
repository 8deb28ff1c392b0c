package ui

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"berth/ui/page"
	"berth/ui/part"
)

// palette answers what is typed into the command palette.
func (s *Server) palette(w http.ResponseWriter, r *http.Request) error {
	all, err := s.world(r.Context())
	if err != nil {
		return err
	}
	s.write(w, r, http.StatusOK, page.PaletteItems(paletteGroups(all, r.URL.Query().Get("q"))))
	return nil
}

// groups gathers what matches some words, all of it without any.
type groups struct {
	words []string
	list  []page.PaletteGroup
}

// add appends a group of at most limit items: what begins with the first word,
// before what merely contains it.
func (g *groups) add(name string, limit int, items []page.PaletteItem) {
	out := page.PaletteGroup{Name: name}
	if len(g.words) > 0 {
		slices.SortStableFunc(items, func(a, b page.PaletteItem) int { return begins(b.Label, g.words) - begins(a.Label, g.words) })
	}
	for _, it := range items {
		if len(out.Items) < limit && matches(it.Label+" "+it.Sub, g.words) {
			out.Items = append(out.Items, it)
		}
	}
	if len(out.Items) > 0 {
		g.list = append(g.list, out)
	}
}

func paletteGroups(w world, q string) []page.PaletteGroup {
	g := &groups{words: strings.Fields(strings.ToLower(q))}
	if len(g.words) > 0 {
		g.add("Actions", 6, paletteActions(w))
	} else {
		g.add("Go to", 8, palettePages())
	}
	paletteResources(g, w)
	if len(g.words) > 0 {
		g.add("Go to", 4, palettePages())
	}
	return g.list
}

func palettePages() []page.PaletteItem {
	pages := []page.PaletteItem{
		{Icon: "layout-dashboard", Label: "Overview", Href: "/", Keys: "g o"},
		{Icon: "activity", Label: "Runs", Href: "/runs", Keys: "g r"},
		{Icon: "layers", Label: "Stacks", Href: "/stacks", Keys: "g s"},
		{Icon: "server", Label: "Servers", Href: "/servers", Keys: "g v"},
		{Icon: "workflow", Label: "Procedures", Href: "/procedures", Keys: "g p"},
		{Icon: "webhook", Label: "Webhooks", Href: "/webhooks", Keys: "g w"},
		{Icon: "git-branch", Label: "Repos", Href: "/repos"},
		{Icon: "bell", Label: "Alerts", Href: "/alerts", Keys: "g a"},
		{Icon: "calendar-clock", Label: "Schedules", Href: "/schedules"},
		{Icon: "file-code", Label: "Apply TOML", Href: "/apply"},
		{Icon: "download", Label: "Export all as TOML", Href: "/export.toml"},
		{Icon: "plug", Label: "Join a server", Href: "/servers/join"},
	}
	for _, k := range page.Kinds() {
		switch k.Kind {
		case "server", "stack", "repo", "procedure":
		default:
			pages = append(pages, page.PaletteItem{Icon: k.Icon, Label: k.Many, Href: k.Path})
		}
		if k.Kind != "variable" {
			pages = append(pages, page.PaletteItem{Icon: "plus", Label: "New " + k.One, Href: "/new/" + k.Kind})
		}
	}
	return pages
}

func paletteResources(g *groups, w world) {
	var stacks, procedures, repos, servers []page.PaletteItem
	for _, v := range w.stacks {
		stacks = append(stacks, page.PaletteItem{Icon: "layers", Label: v.Resource.Name, Sub: part.StackMark(v).Word + " on " + v.Server.Name, Href: "/stacks/" + url.PathEscape(v.Resource.Name)})
	}
	for _, v := range w.procedures {
		procedures = append(procedures, page.PaletteItem{Icon: "workflow", Label: v.Resource.Name, Sub: "procedure", Href: "/procedures/" + url.PathEscape(v.Resource.Name)})
	}
	for _, v := range w.repos {
		repos = append(repos, page.PaletteItem{Icon: "git-branch", Label: v.Resource.Name, Sub: "repo on " + v.Server.Name, Href: "/repos/" + url.PathEscape(v.Resource.Name)})
	}
	for _, v := range w.servers {
		servers = append(servers, page.PaletteItem{Icon: "server", Label: v.Resource.Name, Sub: part.ServerMark(v).Word, Href: "/servers/" + url.PathEscape(v.Resource.Name)})
	}
	g.add("Stacks", 6, stacks)
	g.add("Procedures", 4, procedures)
	g.add("Servers", 4, servers)
	g.add("Repos", 4, repos)
	for _, k := range page.Kinds() {
		var items []page.PaletteItem
		for _, r := range w.others[k.Kind] {
			items = append(items, page.PaletteItem{Icon: k.Icon, Label: r.Name, Sub: k.One, Href: page.Where(k.Kind, r.Name)})
		}
		if len(g.words) > 0 || k.Kind == "resource_sync" {
			g.add(k.Many, 4, items)
		}
	}
}

func paletteActions(w world) []page.PaletteItem {
	var out []page.PaletteItem
	for _, a := range page.Actions() {
		add := func(name, sub string) {
			out = append(out, page.PaletteItem{Icon: a.Icon, Label: a.Label + " " + name, Sub: sub, Href: "/do/" + a.Name + "?" + url.Values{"target": {name}}.Encode()})
		}
		switch a.Kind {
		case "stack":
			for _, v := range w.stacks {
				add(v.Resource.Name, "stack on "+v.Server.Name)
			}
		case "repo":
			for _, v := range w.repos {
				add(v.Resource.Name, "repo on "+v.Server.Name)
			}
		case "procedure":
			for _, v := range w.procedures {
				add(v.Resource.Name, "procedure")
			}
		default:
			for _, r := range w.others[a.Kind] {
				add(r.Name, page.WordsOf(a.Kind).One)
			}
		}
	}
	return out
}

// begins counts for how many of the words some word of the label begins so; the
// first word, the verb, at its very start outweighs them.
func begins(label string, words []string) (n int) {
	label = strings.ToLower(label)
	if strings.HasPrefix(label, words[0]) {
		n = 100
	}
	for _, w := range words {
		if strings.Contains(" "+label, " "+w) {
			n++
		}
	}
	return n
}

func matches(s string, words []string) bool {
	s = strings.ToLower(s)
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}
