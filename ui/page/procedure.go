package page

import (
	"encoding/json"
	"sort"
	"strings"

	"berth/schema"
	"berth/ui/part"
)

// Procedures is the list of procedures.
func Procedures(list []schema.ProcedureView) View {
	return View{Title: "Procedures", Key: "procedures", Crumbs: []Crumb{{Label: "Procedures"}}, Body: procedures(list), Live: []Section{{"procedures", proceduresTable(list)}}}
}

// ProcedurePageView is one procedure.
type ProcedurePageView struct {
	Procedure schema.ProcedureView
	Schedule  *schema.ScheduleView // nil for none
	Matches   map[At]Match         // of its batches
	Runs      []schema.Run
	Tab       string
	Config    ConfigView
}

// At is the place of an execution: its stage and its number in it, from 0.
type At struct{ Stage, Execution int }

// Match is what a batch would work on now, or why that cannot be said.
type Match struct {
	Targets []schema.Target
	Problem string
}

// Batch is what a batch works on.
type Batch struct {
	Kind    string   `json:"-"`
	Pattern string   `json:"pattern"`
	Tags    []string `json:"tags"`
}

// BatchOf returns what a batch works on; ok is false for other executions.
func BatchOf(e schema.Execution) (b Batch, ok bool) {
	t, known := schema.ExecutionByType(e.Type)
	if !known || !strings.HasPrefix(e.Type, "Batch") || json.Unmarshal(e.Params, &b) != nil {
		return b, false
	}
	b.Kind = strings.ToLower(t.Group)
	return b, true
}

// stageBounds says what bounds a stage has.
func stageBounds(s schema.ProcedureStage) string {
	var out []string
	if s.Concurrency > 0 {
		out = append(out, part.Int(s.Concurrency)+" at once")
	}
	if s.Timeout > 0 {
		out = append(out, "at most "+s.Timeout.String())
	}
	if s.ContinueOnFailure {
		out = append(out, "goes on after a failure")
	}
	return strings.Join(out, ", ")
}

// Procedure is the page of a procedure.
func Procedure(v ProcedurePageView) View {
	name := v.Procedure.Resource.Name
	out := View{Title: name, Key: "procedures", Crumbs: []Crumb{{"Procedures", "/procedures"}, {Label: name}}, Body: procedure(v), Live: []Section{{"procedure-head", procedureHead(v)}}}
	if tabKey(v.Tab) == "overview" {
		out.Live = append(out.Live, Section{"procedure-stages", procedureStages(v)}, Section{"procedure-runs", procedureRuns(v)})
	}
	return out
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
	for _, first := range []string{"stack", "deployment", "build", "repo", "procedure", "action", "sync", "alerter", "pattern", "message", "duration_ms"} {
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
	case strings.Contains(e.Type, "Build"):
		return "hammer" // icon
	case strings.Contains(e.Type, "Sync"):
		return "folder-sync" // icon
	case strings.Contains(e.Type, "Action"):
		return "square-code" // icon
	case strings.Contains(e.Type, "Alert"):
		return "bell-ring" // icon
	case strings.Contains(e.Type, "Stack"):
		return "layers" // icon
	}
	return "play" // icon
}
