package main

import (
	"bytes"
	"strings"
	"testing"

	"berth/core/api"
	"berth/schema"
)

// Of a run that has ended, core sends the output first and the run last.
func TestFollowHeadsTheOutputOfAnEndedRun(t *testing.T) {
	var out bytes.Buffer
	f := newFollow(&program{world: world{out: &out, env: func(string) string { return "" }}})
	for _, i := range []api.StreamItem{
		{Output: &schema.Output{Run: "r", Step: "deploy", Command: "c", Entries: []schema.Entry{{Kind: schema.EntryLine, Text: "one"}}}},
		{Output: &schema.Output{Run: "r", Step: "deploy", Command: "c", First: 1, Entries: []schema.Entry{{Kind: schema.EntryLine, Text: "two"}}}},
		{Run: &schema.Run{ID: "r", Number: 7, Action: "DeployStack", Target: schema.Target{Kind: "stack", Name: "blog"}, State: schema.StateSucceeded, Steps: []schema.Step{{Name: "deploy", Command: "c", State: schema.StateSucceeded}}}},
	} {
		if err := f.item(i); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "▸ #7 DeployStack blog") || !strings.HasPrefix(lines[1], "  blog ") || !strings.HasSuffix(lines[2], "│ two") || !strings.HasPrefix(lines[3], "✓ #7") {
		t.Errorf("%q", lines)
	}
}

// Progress is one line that the next thing said replaces; a program that reads gets none.
func TestFollowShowsProgressToPeople(t *testing.T) {
	for _, live := range []bool{false, true} {
		var out bytes.Buffer
		f := newFollow(&program{world: world{out: &out, env: func(string) string { return "" }}})
		f.live = live
		f.names["c"] = "blog"
		at := func(ms, done int64) schema.Entry {
			return schema.Entry{Kind: schema.EntryProgress, ID: "layer", Text: "Pulling", At: 1000 + ms, Current: done, Total: 200}
		}
		f.output(schema.Output{Command: "c", Entries: []schema.Entry{at(0, 20), at(50, 40), at(150, 100), {Kind: schema.EntryLine, Text: "pulled", At: 2000}}})
		text := out.String()
		if got, want := strings.Count(text, "layer Pulling"), map[bool]int{true: 2}[live]; got != want {
			t.Errorf("live %t: progress %d times, want %d: %q", live, got, want, text)
		}
		if live && (!strings.Contains(text, "10 %") || !strings.Contains(text, "50 %\r\x1b[K  blog ")) {
			t.Errorf("%q", text)
		}
	}
}
