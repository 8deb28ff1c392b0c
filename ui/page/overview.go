package page

import (
	"sort"
	"time"

	"berth/schema"
	"berth/ui/part"
)

// OverviewView is all that the overview shows.
type OverviewView struct {
	Servers    []schema.ServerView
	Stacks     []schema.StackView
	Procedures []schema.ProcedureView
	Repos      []schema.RepoView
	Runs       []schema.Run // of the timeline's window, newest first
	Deliveries []schema.Delivery
	Now        time.Time
}

// Window is how much of the past the overview's timeline shows.
const Window = 3 * time.Hour

// Overview is the first page.
func Overview(v OverviewView) View {
	SortStacks(v.Stacks)
	return View{
		Title: "Overview", Key: "overview", Crumbs: []Crumb{{Label: "Overview"}}, Body: overview(v),
		Live: []Section{
			{"ov-head", overviewHead(v)},
			{"ov-servers", serverStrip(v)},
			{"timeline", timeline(v)},
			{"ov-stacks", stackPanel(v)},
			{"attention", attention(v)},
			{"ov-procs", procedureList(v)},
		},
	}
}

// SortStacks puts first what needs attention, then sorts by name.
func SortStacks(list []schema.StackView) {
	sort.SliceStable(list, func(i, j int) bool {
		a, b := part.StackMark(list[i]).State.Rank(), part.StackMark(list[j]).State.Rank()
		if a != b {
			return a < b
		}
		return list[i].Resource.Name < list[j].Resource.Name
	})
}

// firstStep is a step of the list that a fresh installation shows.
type firstStep struct {
	Done                    bool
	Title, Text, Href, Call string
}

// firstSteps are what is left to do until the first deploy; nil when all is done.
func firstSteps(v OverviewView) []firstStep {
	joined := false
	for _, s := range v.Servers {
		joined = joined || s.Joined
	}
	deployed := false
	for _, s := range v.Stacks {
		deployed = deployed || s.Deployed != nil || s.LastRun != nil
	}
	hooked := false
	for _, d := range v.Deliveries {
		hooked = hooked || d.Verdict != schema.VerdictRefused
	}
	steps := []firstStep{
		{joined, "Join a server", "One command on the host starts its agent. The host dials Berth: nothing has to be opened.", "/servers/join", "Join a server"},
		{len(v.Stacks) > 0, "Declare a stack", "Paste TOML, also files made for Komodo: the plan is shown before anything changes.", "/apply", "Paste TOML"},
		{deployed, "Deploy it", "Its page has a Deploy button, and the run shows what happens while it happens.", "/stacks", "Stacks"},
		{hooked, "Let a push do it", "Give your git host the webhook's address.", "/webhooks", "Webhooks"},
	}
	if joined && deployed {
		return nil
	}
	return steps
}

type concern struct {
	State             part.State
	Title, Meta, Href string
	At                int64
}

// concerns lists what needs attention, worst first, newest first.
func concerns(v OverviewView) []concern {
	var out []concern
	for _, s := range v.Servers {
		if c, ok := serverConcern(s); ok {
			out = append(out, c)
		}
	}
	for _, s := range v.Stacks {
		if c, ok := stackConcern(s); ok {
			out = append(out, c)
		}
	}
	for _, p := range v.Procedures {
		if r := p.LastRun; r != nil && r.State == schema.StateFailed {
			out = append(out, concern{part.Bad, p.Resource.Name + ": last run failed", "procedure, run #" + part.Int(r.Number), runHref(r), r.Ended})
		}
	}
	for _, r := range v.Repos {
		if r.State == "Failed" {
			out = append(out, concern{part.Bad, r.Resource.Name + ": last pull failed", "repo on " + r.Server.Name, where("repo", r.Resource.Name), r.PulledAt})
		}
	}
	for _, d := range v.Deliveries {
		if d.Verdict == schema.VerdictRefused && v.Now.UnixMilli()-d.Received < Window.Milliseconds() {
			out = append(out, concern{part.Warn, "Webhook refused: " + d.Reason, "from " + d.From, "/webhooks#d-" + d.ID, d.Received})
			break // one is enough to look
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		if a, b := out[i].State.Rank(), out[j].State.Rank(); a != b {
			return a < b
		}
		return out[i].At > out[j].At
	})
	return out
}

func serverConcern(s schema.ServerView) (concern, bool) {
	m := part.ServerMark(s)
	if m.State != part.Bad && m.State != part.Warn {
		return concern{}, false
	}
	meta := "server"
	if s.Waiting > 0 {
		meta += ", " + part.Count(s.Waiting, "command") + " waiting"
	}
	return concern{m.State, s.Resource.Name + " is " + m.Word, meta, where("server", s.Resource.Name), s.Since}, true
}

func stackConcern(s schema.StackView) (concern, bool) {
	m := part.StackMark(s)
	if m.State != part.Bad && m.State != part.Warn {
		return concern{}, false
	}
	c := concern{State: m.State, Title: s.Resource.Name + ": " + m.Word, Meta: "stack on " + s.Server.Name, Href: where("stack", s.Resource.Name)}
	if r := s.LastRun; r != nil {
		c.At = max(r.Ended, r.Queued)
		if r.State == schema.StateFailed {
			c.Meta += ", run #" + part.Int(r.Number)
			c.Href = runHref(r)
		}
	}
	return c, true
}

type countFilter struct {
	State part.State
	Label string
	N     int
}

func stackCounts(list []schema.StackView) []countFilter {
	all := []countFilter{{part.Bad, "failed", 0}, {part.Warn, "degraded", 0}, {part.Live, "deploying", 0}, {part.Unknown, "unknown", 0}, {part.OK, "running", 0}, {part.Idle, "stopped", 0}}
	for _, s := range list {
		st := part.StackMark(s).State
		for i := range all {
			if all[i].State == st {
				all[i].N++
			}
		}
	}
	out := all[:0]
	for _, c := range all {
		if c.N > 0 {
			out = append(out, c)
		}
	}
	return out
}

type bar struct {
	Href, Title string
	State       part.State
	X, W        float64
}

type lane struct {
	Name string
	Bars []bar
}

// laneOf returns the timeline's lane of an action.
func laneOf(r *schema.Run) int {
	switch {
	case r.Target.Kind == "procedure":
		return 0
	case r.Action == "DeployStack" || r.Action == "DeployStackIfChanged" || r.Action == "BatchDeployStack" || r.Action == "BatchDeployStackIfChanged":
		return 1
	case r.Target.Kind == "repo":
		return 2
	}
	return 3
}

func lanes(v OverviewView) []lane {
	out := []lane{{Name: "Procedures"}, {Name: "Deploys"}, {Name: "Repos"}, {Name: "Other"}}
	from := v.Now.Add(-Window).UnixMilli()
	for i := len(v.Runs) - 1; i >= 0; i-- {
		r := &v.Runs[i]
		start, end := r.Started, r.Ended
		if start == 0 {
			start = r.Queued
		}
		if end == 0 {
			end = v.Now.UnixMilli()
		}
		if end < from {
			continue
		}
		total := float64(Window.Milliseconds())
		b := bar{Href: runHref(r), State: part.RunMark(r.State).State, X: max(0, float64(start-from)/total*100)}
		b.W = max(0.45, float64(end-max(start, from))/total*100)
		b.X = min(b.X, 100-b.W)
		b.Title = title(r) + " #" + part.Int(r.Number) + ", " + part.RunMark(r.State).Word + ", " + part.Clock(r.Took(v.Now)) + ", by " + by(r)
		out[laneOf(r)].Bars = append(out[laneOf(r)].Bars, b)
	}
	if len(out[3].Bars) == 0 {
		out = out[:3]
	}
	return out
}

type tick struct {
	X      float64
	Label  string
	Anchor string
}

func timeTicks(now time.Time) []tick {
	var out []tick
	for t := now.Add(-Window).Truncate(30 * time.Minute).Add(30 * time.Minute); t.Before(now); t = t.Add(30 * time.Minute) {
		x := float64(Window-now.Sub(t)) / float64(Window) * 100
		if x >= 3 && x <= 92 {
			out = append(out, tick{x, t.Format("15:04"), "middle"})
		}
	}
	return append(out, tick{100, "now", "end"})
}

// containers returns how many containers run, and how many there are.
func containers(list []schema.ServerView) (running, all int) {
	for _, s := range list {
		if s.Status == nil {
			continue
		}
		for _, c := range s.Status.Containers {
			all++
			if s.Online && c.State == "running" {
				running++
			}
		}
	}
	return running, all
}

// cellPips returns a mark for every container of a server, worst first.
func cellPips(s schema.ServerView) []part.State {
	var out []part.State
	if s.Status != nil {
		for _, c := range s.Status.Containers {
			out = append(out, part.ContainerMark(c).State)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Rank() < out[j].Rank() })
	return out[:min(len(out), 24)]
}

func servicePips(s schema.StackView) []part.State {
	out := make([]part.State, 0, len(s.Services))
	for _, x := range s.Services {
		out = append(out, part.ServiceMark(x.State).State)
	}
	return out
}

func servicesLabel(s schema.StackView) string {
	up := 0
	for _, x := range s.Services {
		if part.ServiceMark(x.State).State == part.OK {
			up++
		}
	}
	return part.Int(up) + " of " + part.Count(len(s.Services), "service") + " up"
}
