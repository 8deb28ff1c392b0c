package periphery_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/bus/bustest"
	"berth/schema"
)

func TestOutputIsMasked(t *testing.T) {
	const secret = "kanarienvogel-17"
	s := newSite(t)
	s.vars["TOKEN_X"] = schema.VariableValue{Value: secret, Secret: true}
	s.vars["PLAIN"] = schema.VariableValue{Value: "in the clear, [[TOKEN_X]]"}
	s.pull("c1", "", `echo "[[PLAIN]]"; echo [[TOKEN_X]] >&2; echo `+`[[TOKEN_X]] | base64; printf kanarien; sleep 0.2; echo vogel-17; exit 3`)
	res := s.wait("c1")
	if res.Problem == nil || res.Problem.Code != schema.Failed || !strings.Contains(res.Problem.Text, "exit status 3") {
		t.Errorf("%+v", res.Problem)
	}
	text := s.text("c1")
	for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret + "\n"))[:18]} {
		if strings.Contains(text, form) || strings.Contains(res.Problem.Text, form) {
			t.Errorf("%s is in the output:\n%s\n%s", form, text, res.Problem.Text)
		}
	}
	if !strings.Contains(text, "in the clear, <TOKEN_X>") || strings.Count(text, "<TOKEN_X>") < 4 {
		t.Error(text)
	}
	if i := slices.Index(s.asked[0].Variables, "PLAIN"); i < 0 || len(s.asked) != 1 {
		t.Errorf("asked %+v", s.asked)
	}
}

func TestOutputInPhases(t *testing.T) {
	s := newSite(t)
	s.pull("c1", "", "echo out; echo err >&2")
	res := s.wait("c1")
	var got []string
	for _, e := range s.output("c1") {
		if e.Kind == schema.EntryPhase {
			got = append(got, e.Phase+" "+string(e.State))
		}
		if e.Text == "err" && (!e.Err || e.Phase != "on_pull") || e.At == 0 {
			t.Errorf("%+v", e)
		}
	}
	if want := []string{"source running", "source done", "on_pull running", "on_pull done"}; !slices.Equal(got, want) {
		t.Errorf("phases %q", got)
	}
	if len(res.Phases) != 2 || res.Phases[0].Name != "source" || res.Phases[0].State != schema.PhaseDone || !strings.HasSuffix(res.Phases[0].Note, " one") {
		t.Errorf("%+v", res.Phases)
	}
	if res.Lines != len(s.output("c1")) || res.Cut != 0 {
		t.Errorf("%d lines, %d cut", res.Lines, res.Cut)
	}
}

func TestOutputIsCut(t *testing.T) {
	s := newSite(t)
	s.pull("c1", "", "seq 1 100200; head -c 40000 /dev/zero | tr '\\0' x")
	res := s.wait("c1")
	bustest.Eventually(t, 30*time.Second, "the end of the output", func() bool { return strings.Contains(s.text("c1"), "dropped in all") })
	out := s.output("c1")
	cut := slices.IndexFunc(out, func(e schema.Entry) bool { return e.Kind == schema.EntryCut })
	if cut < 0 || !strings.Contains(out[cut].Text, "limit of 100000 lines") || len(out[cut+1:]) > 4 {
		t.Fatalf("cut at %d of %d", cut, len(out))
	}
	if n := len(out); res.Cut < 200 || res.Lines != n || out[n-1].Kind != schema.EntryCut || out[n-2].Phase != "on_pull" || out[n-2].State != schema.PhaseDone {
		t.Errorf("cut %d, lines %d of %d, %+v", res.Cut, res.Lines, n, out[n-3:])
	}
}

// A command whose output nobody takes goes on; what was dropped is marked.
func TestOutputWhileCoreIsAway(t *testing.T) {
	s := newSite(t)
	s.pull("c1", "", "echo ran >> "+s.mark+"; while [ ! -e "+s.mark+".go ]; do sleep 0.05; done; "+
		"for i in $(seq 1 900); do head -c 15000 /dev/zero | tr '\\0' x; echo; done; echo ran >> "+s.mark+"; while [ ! -e "+s.mark+".on ]; do sleep 0.05; done; echo the last line")
	s.waitMark(1)
	s.down()
	write(t, s.mark+".go", "")
	s.waitMark(2)
	s.up()
	said := func() (text strings.Builder) {
		next := 0
		err := s.bus.Core.Output(t.Context(), runID, "c1", 0, func(_ uint64, _ string, chunk schema.Output) error {
			if chunk.First < next {
				t.Errorf("chunk begins at %d, after %d", chunk.First, next)
			}
			next = chunk.First + len(chunk.Entries)
			for _, e := range chunk.Entries {
				text.WriteString(string(e.Kind) + " " + e.Text[:min(len(e.Text), 60)] + "\n")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	var text strings.Builder
	bustest.Eventually(t, 30*time.Second, "output to flow again", func() bool { text = said(); return strings.Count(text.String(), "xxxx\n") > 500 })
	write(t, s.mark+".on", "")
	res := s.wait("c1")
	if res.Problem != nil {
		t.Fatal(res.Problem)
	}
	bustest.Eventually(t, 30*time.Second, "the last line", func() bool { text = said(); return strings.Contains(text.String(), "the last line") })
	if res.Cut == 0 || !strings.Contains(text.String(), "cut output is missing here: ") {
		t.Errorf("%d were dropped, and the output does not say so", res.Cut)
	}
}
