package page

import (
	"sort"

	"berth/schema"
	"berth/ui/part"
)

// Servers is the list of servers.
func Servers(list []schema.ServerView) View {
	return View{Title: "Servers", Key: "servers", Crumbs: []Crumb{{Label: "Servers"}}, Body: servers(list), Live: []Section{{"servers", serversTable(list)}}}
}

// ServerPageView is one server.
type ServerPageView struct {
	Server schema.ServerView
	Stacks []schema.StackView // on it
	Runs   []schema.Run
	Tab    string
	Config ConfigView
}

// Server is the page of a server.
func Server(v ServerPageView) View {
	name := v.Server.Resource.Name
	out := View{Title: name, Key: "servers", Crumbs: []Crumb{{"Servers", "/servers"}, {Label: name}}, Body: server(v), Live: []Section{{"server-head", serverHead(v)}, {"server-facts", serverFacts(v)}}}
	if v.Tab == "" || v.Tab == "overview" {
		out.Live = append(out.Live, Section{"server-main", serverMain(v)})
	}
	return out
}

// JoinView is the dialog that lets a server in.
type JoinView struct {
	Name    string
	Command string // once a token was made
	Expires int64
	Error   string
	Live    bool // whether the page sees the server come
}

// Join is the page of that dialog.
func Join(v JoinView) View {
	out := View{Title: "Join a server", Key: "servers", Crumbs: []Crumb{{"Servers", "/servers"}, {Label: "Join a server"}}, Body: joinPage(v)}
	return out
}

// JoinSheet is the dialog alone.
func JoinSheet(v JoinView) View { return View{Body: joinSheet(v)} }

// containerMark is what is known of a container: nothing when its server is away.
func containerMark(s schema.ServerView, c schema.Container) part.Mark {
	if !s.Online {
		return part.Mark{State: part.Unknown, Word: "last known: " + c.State}
	}
	return part.ContainerMark(c)
}

func engine(s schema.ServerView) string {
	if s.Status == nil {
		return "–"
	}
	if s.Status.Engine.Version == "" {
		return "no answer"
	}
	return s.Status.Engine.Version
}

func sorted(list []schema.Container) []schema.Container {
	out := append([]schema.Container(nil), list...)
	sort.SliceStable(out, func(i, j int) bool {
		a, b := part.ContainerMark(out[i]).State.Rank(), part.ContainerMark(out[j]).State.Rank()
		if a != b {
			return a < b
		}
		return out[i].Name < out[j].Name
	})
	return out
}

// stackName returns the name of the stack a container belongs to, or its
// compose project.
func stackName(v ServerPageView, c schema.Container) string {
	for _, s := range v.Stacks {
		if s.Resource.ID == c.Stack {
			return s.Resource.Name
		}
	}
	return c.Project
}

func runningOf(s schema.ServerView) int {
	n, _ := containers([]schema.ServerView{s})
	return n
}

func containerCount(s schema.ServerView) int {
	if s.Status == nil {
		return 0
	}
	return len(s.Status.Containers)
}

func serverTabs() []tab {
	return []tab{{"overview", "Overview", ""}, {"config", "Settings", ""}, {"toml", "TOML", ""}}
}

func tabKey(t string) string {
	if t == "" {
		return "overview"
	}
	return t
}
