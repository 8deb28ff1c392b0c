package core

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"berth/schema"
)

// execute starts something and returns the run at its end.
func (d *desk) execute(request, params string) schema.Run {
	d.t.Helper()
	var u struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
	}
	d.must("execute", request, params, &u)
	return d.ended(u.ID.OID)
}

// children are the runs that a run started.
func (d *desk) children(run string) []schema.Run {
	d.t.Helper()
	var list []schema.Run
	d.must("read", "ListRuns", fmt.Sprintf(`{"parent":%q,"limit":1000}`, run), &list)
	return list
}

// procedure creates one of a single stage.
func (d *desk) procedure(name string, executions ...string) {
	d.t.Helper()
	d.must("write", "CreateProcedure", fmt.Sprintf(`{"name":%q,"config":{"stage":[{"name":"one","execution":[%s]}]}}`, name, strings.Join(executions, ",")), nil)
}

// Row 3: what matches nothing is a warning that says so, and what a pattern matches
// can be asked before.
func TestRow03NothingMatchesIsAWarning(t *testing.T) {
	d := newDesk(t)
	d.must("write", "CreateServer", `{"name":"atlas"}`, nil)
	d.must("write", "CreateStack", `{"name":"web","config":{"server_id":"atlas","file_contents":"services: {a: {image: x}}"}}`, nil)
	for pattern, tags := range map[string]string{"nothing-*": "[]", `\^w.b.\`: "[]", "": "[]", "web, other": `["prod"]`} {
		params := fmt.Sprintf(`{"pattern":%q,"tags":%s}`, pattern, tags)
		d.procedure("p"+fmt.Sprint(len(pattern)), `{"execution":{"type":"BatchDeployStackIfChanged","params":`+params+`}}`)
		r := d.execute("RunProcedure", fmt.Sprintf(`{"procedure":"p%d"}`, len(pattern)))
		if r.State != schema.StateWarning || !strings.Contains(r.Note, "1 matched nothing") {
			t.Errorf("%q: %s: %s %+v", pattern, r.State, r.Note, r.Problem)
		}
		for _, c := range d.children(r.ID) {
			if c.State != schema.StateWarning || c.Decision == nil || c.Decision.What != "nothing" || !strings.Contains(c.Decision.Reason, pattern) {
				t.Errorf("%q: its batch: %s %+v", pattern, c.State, c.Decision)
			}
		}
	}
	for pattern, want := range map[string]int{"w*": 1, "nothing-*": 0, `\^we\`: 1} {
		var match []json.RawMessage
		d.must("read", "MatchResources", fmt.Sprintf(`{"kind":"stack","pattern":%q}`, pattern), &match)
		if len(match) != want {
			t.Errorf("%q matches %s, want %d", pattern, match, want)
		}
	}
}

// Row 4: an agent that is not there is a failure, never "unchanged".
func TestRow04AbsentAgentIsAFailure(t *testing.T) {
	d := newDesk(t)
	d.must("write", "CreateServer", `{"name":"atlas"}`, nil)
	d.must("write", "CreateStack", `{"name":"web","config":{"server_id":"atlas","file_contents":"services: {a: {image: x}}"}}`, nil)
	if r := d.execute("DeployStackIfChanged", `{"stack":"web"}`); r.State != schema.StateFailed || r.Decision != nil || !strings.Contains(r.Problem.Text, "atlas") {
		t.Errorf("%s %+v %+v", r.State, r.Decision, r.Problem)
	}
}

// Row 11: fifty targets, five at once; one that fails stops none of the others, and
// the summary names it.
func TestRow11FiftyTargetsFiveAtOnce(t *testing.T) {
	const targets, most, odd = 50, 5, "t-17"
	d := newDesk(t)
	d.action("fails", map[string]any{"file_contents": `throw new Error("the odd one")`})
	for i := range targets {
		name := fmt.Sprintf("t-%02d", i)
		what := `{"execution":{"type":"Sleep","params":{"duration_ms":20}}}`
		if name == odd {
			what = `{"execution":{"type":"RunAction","params":{"action":"fails"}}}`
		}
		d.procedure(name, what)
	}
	d.procedure("all", fmt.Sprintf(`{"concurrency":%d,"execution":{"type":"BatchRunProcedure","params":{"pattern":"t-*"}}}`, most))
	r := d.execute("RunProcedure", `{"procedure":"all"}`)
	if r.State != schema.StateFailed || r.Problem == nil || !strings.Contains(r.Problem.Text, odd) || !strings.Contains(r.Problem.Text, "the odd one") {
		t.Errorf("the summary: %s %+v", r.State, r.Problem)
	}
	batches := d.children(r.ID)
	if len(batches) != 1 {
		t.Fatalf("%d runs below the procedure's", len(batches))
	}
	if text := batches[0].Problem.Text; !strings.Contains(text, odd) || !strings.Contains(text, "1 of 50") {
		t.Errorf("the batch says %q", text)
	}
	type edge struct {
		at   int64
		step int
	}
	var edges []edge
	list := d.children(batches[0].ID)
	for _, c := range list {
		want := schema.StateSucceeded
		if c.Target.Name == odd {
			want = schema.StateFailed
		}
		if c.State != want {
			t.Errorf("%s: %s", c.Target.Name, c.State)
		}
		edges = append(edges, edge{c.Queued, 1}, edge{c.Ended, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.step, b.step)) })
	now, peak := 0, 0
	for _, e := range edges {
		now += e.step
		peak = max(peak, now)
	}
	if len(list) != targets || peak > most || peak < 2 {
		t.Errorf("%d runs, %d at once, want %d and at most %d", len(list), peak, targets, most)
	}
}
