package part_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
	"berth/ui/part"
)

func TestANSI(t *testing.T) {
	for in, want := range map[string]string{
		"plain <b>":                             "plain &lt;b&gt;",
		"\x1b[32mok\x1b[0m rest":                `<span class="f2">ok</span> rest`,
		"\x1b[1;31mbad\x1b[39m still bold":      `<span class="a1 f1">bad</span><span class="a1"> still bold</span>`,
		"\x1b[38;5;208mx\x1b[m":                 "x",
		"\x1b[48;2;1;2;3;4mu":                   `<span class="a4">u</span>`,
		"\x1b]8;;https://evil\x1b\\link\x1b[K":  "link",
		"10%\r50%\r100%":                        "100%",
		"cut off \x1b[":                         "cut off ",
		"\x1b[31m<script>\x1b[0m\x07\x00":       `<span class="f1">&lt;script&gt;</span>`,
		"\x1b[91mbright\x1b[22m":                `<span class="f1">bright</span>`,
		`quote " and ' and &`:                   "quote &#34; and &#39; and &amp;",
		"\x1b[2J\x1b[H\x1b[?25lcleared\x1b[1A.": "cleared.",
	} {
		if got := part.ANSIHTML(in); got != want {
			t.Errorf("%q\n got %s\nwant %s", in, got, want)
		}
	}
}

func FuzzANSI(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m<b>")
	f.Fuzz(func(t *testing.T, in string) {
		out := part.ANSIHTML(in)
		out = strings.NewReplacer(`</span>`, "").Replace(out)
		for {
			i := strings.Index(out, `<span class="`)
			if i < 0 {
				break
			}
			j := strings.Index(out[i:], `">`)
			out = out[:i] + out[i+j+2:]
		}
		if strings.ContainsAny(out, `<>"`) {
			t.Errorf("%q leaves markup: %q", in, out)
		}
	})
}

func lines(first, n int) schema.Output {
	o := schema.Output{Run: "r", Step: "up", First: first}
	for i := range n {
		o.Entries = append(o.Entries, schema.Entry{Kind: schema.EntryLine, Text: fmt.Sprint(first + i)})
	}
	return o
}

func TestLogDropsWhatItHas(t *testing.T) {
	l := part.NewLog(100)
	l.Add(1, lines(0, 3))
	l.Add(1, lines(0, 3))
	l.Add(2, lines(2, 3))
	l.Add(3, schema.Output{Step: "other", Entries: []schema.Entry{{Kind: schema.EntryLine, Text: "x"}}})
	var got []string
	for _, r := range l.Done().Rows {
		got = append(got, r.HTML)
	}
	if d := cmp.Diff([]string{"0", "1", "2", "3", "4", "x"}, got); d != "" {
		t.Error(d)
	}
	if l.NextJSON() != `{"other":1,"up":5}` || l.Seq != 3 {
		t.Errorf("next %s, seq %d", l.NextJSON(), l.Seq)
	}
}

func TestLogKeepsTheNewest(t *testing.T) {
	l := part.NewLog(10)
	for i := range 100 {
		l.Add(uint64(i), lines(i*7, 7))
	}
	l.Done()
	if len(l.Rows) != 10 || l.Rows[9].HTML != "699" || l.Skipped != 690 {
		t.Errorf("%d rows, last %q, skipped %d", len(l.Rows), l.Rows[len(l.Rows)-1].HTML, l.Skipped)
	}
}

func TestLogProgressChangesInPlace(t *testing.T) {
	l := part.NewLog(100)
	add := func(step string, e schema.Entry) {
		l.Add(0, schema.Output{Step: step, First: l.Next[step], Entries: []schema.Entry{e}})
	}
	add("a", schema.Entry{Kind: schema.EntryPhase, At: 5, Phase: "pull", State: schema.PhaseRunning})
	add("a", schema.Entry{Kind: schema.EntryProgress, ID: "l1", Text: "Downloading", Current: 1_000_000, Total: 4_000_000})
	add("b", schema.Entry{Kind: schema.EntryProgress, ID: "l1", Text: "Waiting"})
	add("a", schema.Entry{Kind: schema.EntryProgress, ID: "l1", Text: "Downloading", Current: 3_000_000, Total: 4_000_000})
	add("a", schema.Entry{Kind: schema.EntryPhase, At: 9, Phase: "pull", State: schema.PhaseDone})
	l.Done()
	if len(l.Rows) != 3 {
		t.Fatalf("%d rows: %+v", len(l.Rows), l.Rows)
	}
	if r := l.Rows[0]; r.Mark != part.OK || r.At != 5 {
		t.Errorf("phase: %+v", r)
	}
	if r := l.Rows[1]; r.Percent != 75 || !strings.Contains(r.HTML, "3.0 MB of 4.0 MB") {
		t.Errorf("progress: %+v", r)
	}
}

func TestChunkJSONIsSafe(t *testing.T) {
	text, err := part.ChunkJSON(schema.Output{Step: "up", First: 4, Entries: []schema.Entry{
		{Kind: schema.EntryLine, Service: "<svc>", Text: "<img src=x>"},
		{Kind: schema.EntryState, ID: "<id>", Text: "<t>"},
		{Kind: schema.EntryPhase, Phase: "<p>", Text: "<n>"},
		{Kind: schema.EntryProgress, ID: "<l>", Text: "<x>"},
		{Kind: "new", Text: "<k>"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var c part.Chunk
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	for _, r := range c.Rows {
		for _, s := range []string{"<img", "<id", "<t>", "<p>", "<n>", "<l>", "<x>", "<k>"} {
			if strings.Contains(r.HTML, s) {
				t.Errorf("%s has %q", r.HTML, s)
			}
		}
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		part.Clock(400 * time.Millisecond): "0.4 s", part.Clock(65 * time.Second): "1:05", part.Clock(3725 * time.Second): "1:02:05",
		part.Dur(59 * time.Second): "59 s", part.Dur(3 * time.Hour): "3 h", part.Dur(50 * time.Hour): "2 d",
		part.Count(1, "reply"): "1 reply", part.Count(2, "reply"): "2 replies", part.Count(0, "stack"): "0 stacks",
		part.ImageRegistry("ghcr.io/a/b:1") + "|" + part.ImageName("ghcr.io/a/b:1") + "|" + part.ImageTag("ghcr.io/a/b:1"):                                                               "ghcr.io/a/|b|:1",
		part.ImageName("localhost:5000/x@sha256:0123456789abcdef") + part.ImageTag("localhost:5000/x@sha256:0123456789abcdef"):                                                           "x@sha256:0123456",
		part.Ports([]schema.Port{{Private: 80, Public: 8080, Proto: "tcp"}, {IP: "::", Private: 80, Public: 8080, Proto: "tcp"}, {Private: 53, Public: 53, Proto: "udp"}, {Private: 9}}): "8080→80 53/udp",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestStackMark(t *testing.T) {
	run := func(s schema.RunState) *schema.Run { return &schema.Run{Action: "DestroyStack", State: s} }
	for want, v := range map[part.Mark]schema.StackView{
		{State: part.OK, Word: "running"}:          {State: schema.StackRunning, LastRun: run(schema.StateSucceeded)},
		{State: part.Bad, Word: "last run failed"}: {State: schema.StackRunning, LastRun: run(schema.StateFailed)},
		{State: part.Live, Word: "destroying"}:     {State: schema.StackRunning, LastRun: run(schema.StateRunning)},
		{State: part.Warn, Word: "degraded"}:       {State: schema.StackUnhealthy},
		{State: part.Unknown, Word: "unknown"}:     {},
	} {
		if got := part.StackMark(v); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}
