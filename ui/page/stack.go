package page

import (
	"berth/schema"
	"berth/ui/part"
)

// StacksView is the list of stacks.
type StacksView struct {
	Stacks []schema.StackView
	All    int
	Joined bool       // some server has an agent
	State  part.State // filter
}

// Stacks is the list of stacks.
func Stacks(v StacksView) View {
	SortStacks(v.Stacks)
	return View{Title: "Stacks", Key: "stacks", Crumbs: []Crumb{{Label: "Stacks"}}, Body: stacks(v), Live: []Section{{"stacks", stacksTable(v)}}}
}

// StackPageView is one stack.
type StackPageView struct {
	Stack  schema.StackView
	Runs   []schema.Run
	Tab    string
	Config ConfigView
}

// Stack is the page of a stack.
func Stack(v StackPageView) View {
	name := v.Stack.Resource.Name
	out := View{Title: name, Key: "stacks", Crumbs: []Crumb{{"Stacks", "/stacks"}, {Label: name}}, Body: stack(v), Live: []Section{{"stack-head", stackHead(v)}, {"stack-facts", stackFacts(v)}}}
	switch v.Tab {
	case "", "services":
		out.Live = append(out.Live, Section{"stack-main", stackServices(v)})
	case "runs":
		out.Live = append(out.Live, Section{"stack-main", runsPanel(v.Runs)})
	}
	return out
}

type tab struct{ Key, Label, Count string }

func stackTabs(v StackPageView) []tab {
	return []tab{{"services", "Services", part.Int(len(v.Stack.Services))}, {"runs", "Runs", ""}, {"config", "Settings", ""}, {"toml", "TOML", ""}}
}

// sourceText says where a stack's files come from.
func sourceText(c schema.StackConfig) string {
	switch c.Source() {
	case schema.SourceHost:
		return "files on the server"
	case schema.SourceLinked:
		return c.LinkedRepo
	case schema.SourceRepo:
		return c.Repo
	case schema.SourceInline:
	}
	return "defined here"
}

// behind reports that a newer commit is known than the deployed one.
func behind(s schema.StackView) bool {
	return s.Deployed != nil && s.Deployed.Commit != "" && s.Latest.Commit != "" && s.Latest.Commit != s.Deployed.Commit
}

func up(s schema.StackView) (n int) {
	for _, x := range s.Services {
		if part.ServiceMark(x.State).State == part.OK {
			n++
		}
	}
	return n
}

// containerOf returns the first container of a service.
func containerOf(s schema.ServiceView) schema.Container {
	if len(s.Containers) > 0 {
		return s.Containers[0]
	}
	return schema.Container{}
}

func lastDecision(v StackPageView) *schema.Run {
	for i := range v.Runs {
		if v.Runs[i].Decision != nil {
			return &v.Runs[i]
		}
	}
	if r := v.Stack.LastRun; r != nil && r.Decision != nil {
		return r
	}
	return nil
}
