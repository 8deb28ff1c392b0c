package page

import (
	"net/url"
	"strings"
	"time"

	"berth/schema"
	"berth/ui/part"
)

// RunsView is the history.
type RunsView struct {
	Runs  []schema.Run
	Query RunQuery
	Older uint64 // number to go on from; 0 when there are no more
}

// RunQuery is the filter of the history as its address holds it.
type RunQuery struct {
	State, Kind, Cause, Text string
	Before                   uint64
	All                      bool // children too
}

// With returns the address of the history with one value of the filter changed.
func (q RunQuery) With(key, value string) string {
	v := url.Values{}
	for k, s := range map[string]string{"state": q.State, "kind": q.Kind, "cause": q.Cause, "q": q.Text} {
		if k == key {
			s = value
		}
		if s != "" {
			v.Set(k, s)
		}
	}
	if q.All != (key == "all") {
		v.Set("all", "1")
	}
	if key == "before" {
		v.Set("before", value)
	}
	if len(v) == 0 {
		return "/runs"
	}
	return "/runs?" + v.Encode()
}

// Runs is the history.
func Runs(v RunsView) View {
	return View{Title: "Runs", Key: "runs", Crumbs: []Crumb{{Label: "Runs"}}, Body: runs(v), Live: []Section{{"runs", runsTable(v.Runs)}}}
}

// RunView is one run with its family.
type RunView struct {
	Run      *schema.Run
	Parents  []*schema.Run          // nearest first
	Children map[string]*schema.Run // by id
	Lane     string                 // name of the step whose output is shown; "" is chosen by us
	Auto     bool                   // nobody chose the lane: the output follows what goes on
	LogRun   *schema.Run            // whose output is shown
	Log      *part.Log
	Phases   map[string][]schema.Phase // by step, of steps that go on
	Now      time.Time
}

// Run is the page of a run.
func Run(v RunView) View {
	t := title(v.Run) + " #" + part.Int(v.Run.Number)
	return View{
		Title: t, Key: "runs", Crumbs: []Crumb{{"Runs", "/runs"}, {Label: v.Run.Target.Name + " #" + part.Int(v.Run.Number)}}, Body: run(v),
		Live: []Section{{"run-head", runHead(v)}, {"run-stages", runStages(v)}, {"run-gantt", runGantt(v)}, {"run-why", runWhy(v)}},
	}
}

// RunLog is the output panel alone.
func RunLog(v RunView) View { return View{Body: runLog(v)} }

// approvals are the steps that wait for somebody.
func (v RunView) approvals() []schema.Step {
	var out []schema.Step
	for _, s := range v.Run.Steps {
		if s.Kind == schema.StepApproval && !s.State.Terminal() && !v.Run.State.Terminal() {
			out = append(out, s)
		}
	}
	return out
}

// kindFilter are the kinds that the history can be narrowed to.
func kindFilter() [][2]string {
	out := [][2]string{{"", "Any kind"}}
	for _, kind := range []string{"procedure", "stack", "deployment", "build", "repo", "action", "resource_sync"} {
		out = append(out, [2]string{kind, WordsOf(kind).Many})
	}
	return out
}

// lanes returns the steps of a stage, which have bars.
func (v RunView) lanes(stage string) []laneView {
	var out []laneView
	for _, s := range v.Run.Steps {
		if s.Stage == stage {
			out = append(out, v.lane(s))
		}
	}
	return out
}

type laneView struct {
	Step    schema.Step
	Child   *schema.Run
	Mark    part.Mark
	Name    string
	Sub     string
	Href    string
	Current bool
	Queued  int64
	Started int64
	Ended   int64
	Phases  []schema.Phase
}

func (v RunView) lane(s schema.Step) laneView {
	l := laneView{Step: s, Mark: part.RunMark(s.State), Name: stepLabel(s), Sub: s.Server.Name, Queued: s.Queued, Started: s.Started, Ended: s.Ended, Phases: s.Phases}
	if len(l.Phases) == 0 {
		l.Phases = v.Phases[s.Name]
	}
	if s.Kind != schema.StepChild {
		return l
	}
	if s.Target.Name != "" {
		l.Name = s.Target.Name
	}
	l.Href = runHref(v.Run) + "?" + url.Values{"lane": {s.Name}}.Encode()
	l.Current = v.Lane == s.Name
	if c := v.Children[s.Child]; c != nil {
		l.Child = c
		l.Mark, l.Queued, l.Started, l.Ended = part.RunMark(c.State), c.Queued, c.Started, c.Ended
		if l.Sub = c.Server.Name; l.Sub == "" {
			l.Sub = strings.ToLower(ActionLabel(c.Action))
		}
	}
	return l
}

// scale is the time axis of a run.
type scale struct {
	from, max int64 // unix ms, ms
	step      time.Duration
}

func (v RunView) scale() scale {
	r := v.Run
	s := scale{from: r.Started}
	if s.from == 0 {
		s.from = r.Queued
	}
	for _, st := range r.Steps {
		if st.Started > 0 {
			s.from = min(s.from, st.Started)
		}
	}
	end := r.Ended
	if end == 0 {
		end = v.Now.UnixMilli()
	}
	s.max = max(1000, end-s.from)
	if !r.State.Terminal() {
		s.max = max(10_000, s.max*13/10)
	}
	for _, ms := range []int64{200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1800_000, 3600_000, 6 * 3600_000} {
		s.step = time.Duration(ms) * time.Millisecond
		if s.max/ms <= 5 {
			break
		}
	}
	return s
}

// x returns where a time lies, in percent.
func (s scale) x(at int64) float64 {
	return min(100, max(0, float64(at-s.from)/float64(s.max)*100))
}

// w returns how wide a span is, in percent; a short one stays visible.
func (s scale) w(from, to int64) float64 {
	w := float64(max(0, to-from)) / float64(s.max) * 100
	return min(max(0.6, w), 100-min(s.x(from), 99.4))
}

func (s scale) ticks() []tick {
	var out []tick
	for at := time.Duration(0); at.Milliseconds() < s.max; at += s.step {
		x := float64(at.Milliseconds()) / float64(s.max) * 100
		if x > 95 {
			break
		}
		anchor := "middle"
		if at == 0 {
			anchor = "start"
		}
		out = append(out, tick{x, part.Axis(at, s.step), anchor})
	}
	return out
}

func (v RunView) until(ended int64) int64 {
	if ended > 0 {
		return ended
	}
	return v.Now.UnixMilli()
}

// stageView is a stage with what the strip shows of it.
type stageView struct {
	schema.Stage
	Mark part.Mark
	Pips []part.State
	Text string
}

func (v RunView) stages() []stageView {
	var out []stageView
	for _, s := range v.Run.Stages {
		sv := stageView{Stage: s, Mark: part.RunMark(s.State)}
		if s.State == "" || s.State == schema.StateQueued {
			sv.Mark = part.Mark{State: part.Idle, Word: "waiting"}
		}
		done := 0
		for _, l := range v.lanes(s.Name) {
			sv.Pips = append(sv.Pips, l.Mark.State)
			if l.Ended > 0 {
				done++
			}
		}
		for len(sv.Pips) < min(s.Total, 24) {
			sv.Pips = append(sv.Pips, part.Idle)
		}
		switch {
		case s.Ended > 0:
			sv.Text = part.Clock(time.Duration(s.Ended-s.Started) * time.Millisecond)
		case s.Started > 0:
			sv.Text = part.Int(done) + " of " + part.Int(max(s.Total, len(sv.Pips)))
		case s.Note != "":
			sv.Text = s.Note
		default:
			sv.Text = part.Count(s.Total, "action")
		}
		out = append(out, sv)
	}
	return out
}

// groups returns the names of the stages that have bars; "" for steps outside.
func (v RunView) groups() []string {
	var out []string
	for _, s := range v.Run.Steps {
		if s.Stage == "" {
			out = append(out, "")
			break
		}
	}
	for _, s := range v.Run.Stages {
		out = append(out, s.Name)
	}
	return out
}

func (v RunView) stage(name string) schema.Stage {
	for _, s := range v.Run.Stages {
		if s.Name == name {
			return s
		}
	}
	return schema.Stage{}
}

// verdicts lists the targets of a run with what was decided for each.
func (v RunView) verdicts() []*schema.Run {
	var out []*schema.Run
	for _, s := range v.Run.Steps {
		if c := v.Children[s.Child]; c != nil && (c.Decision != nil || c.Problem != nil || c.Note != "") {
			out = append(out, c)
		}
	}
	return out
}

// problemTitle heads what a run says about how it ended.
func problemTitle(r *schema.Run) string {
	if r.State == schema.StateCanceled || r.State == schema.StateSuperseded {
		return "Why it ended"
	}
	return "What went wrong"
}

func decisionWord(what string) string {
	switch what {
	case "deploy":
		return "Deploy:"
	case "restart":
		return "Restart:"
	case "unchanged":
		return "Unchanged:"
	case "skip":
		return "Skipped:"
	case "nothing":
		return "Nothing to do:"
	case "roll back":
		return "Rolled back:"
	case "":
		return ""
	}
	return strings.ToUpper(what[:1]) + what[1:] + ":"
}

func decisionState(r *schema.Run) part.State {
	if r.State.Terminal() && r.Decision != nil && r.State.Good() && (r.Decision.What == "unchanged" || r.Decision.What == "skip") {
		return part.Idle
	}
	return part.RunMark(r.State).State
}

func reason(r *schema.Run) string {
	switch {
	case r.Problem != nil:
		return r.Problem.Text
	case r.Decision != nil:
		return decisionWord(r.Decision.What) + " " + r.Decision.Reason
	}
	return r.Note
}

// logFrom is when the clock of the shown output starts, unix ms.
func logFrom(v RunView) int64 {
	if v.LogRun.Started > 0 {
		return v.LogRun.Started
	}
	return v.LogRun.Queued
}

func outputURL(v RunView) string {
	return "/runs/" + v.LogRun.ID + "/output?" + url.Values{"after": {part.Int(v.Log.Seq)}}.Encode()
}

func laneClass(l laneView) string {
	c := "gl " + string(l.Mark.State)
	if l.Href == "" {
		c += " plain"
	}
	return c
}

func laneTook(v RunView, l laneView) string {
	switch {
	case l.Started > 0:
		return part.Clock(time.Duration(max(0, v.until(l.Ended)-l.Started)) * time.Millisecond)
	case l.Mark.Word == "waiting":
		return "waiting"
	}
	return ""
}

// phaseX places a phase, timed by the agent's clock, on core's: the first one
// begins when the step began.
func phaseX(sc scale, l laneView, p schema.Phase) float64 {
	return sc.x(l.Started + max(0, p.Started-l.Phases[0].Started))
}

func phaseW(v RunView, sc scale, l laneView, p schema.Phase) float64 {
	from := l.Started + max(0, p.Started-l.Phases[0].Started)
	if p.State == schema.PhaseRunning {
		return sc.w(from, v.until(l.Ended))
	}
	return sc.w(from, from+p.Took)
}

func phaseTook(p schema.Phase) string {
	switch p.State {
	case schema.PhaseSkipped, schema.PhaseRunning:
		return string(p.State)
	case schema.PhaseDone, schema.PhaseFailed:
	}
	return part.Clock(time.Duration(p.Took) * time.Millisecond)
}

func pressed(yes bool) string {
	if yes {
		return "true"
	}
	return "false"
}
