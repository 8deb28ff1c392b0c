package table

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBorders(t *testing.T) {
	tab := Table{Header: []string{"Server", "State"}, Rows: [][]string{{"nexus", "ok"}, {"ätna", "not-ok"}}}
	for b, want := range map[Borders]string{
		Plain:      "Server  State\nnexus   ok\nätna    not-ok\n",
		Horizontal: " Server   State\n─────────────────\n nexus    ok\n─────────────────\n ätna     not-ok\n",
		Vertical:   " Server │ State\n nexus  │ ok\n ätna   │ not-ok\n",
		Inside:     " Server │ State\n────────┼────────\n nexus  │ ok\n────────┼────────\n ätna   │ not-ok\n",
		Outside:    "┌─────────────────┐\n│ Server   State  │\n│ nexus    ok     │\n│ ätna     not-ok │\n└─────────────────┘\n",
		All:        "┌────────┬────────┐\n│ Server │ State  │\n├────────┼────────┤\n│ nexus  │ ok     │\n├────────┼────────┤\n│ ätna   │ not-ok │\n└────────┴────────┘\n",
	} {
		var out strings.Builder
		if err := tab.Write(&out, Look{Borders: b}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, out.String()); d != "" {
			t.Errorf("%s: %s", b, d)
		}
	}
}

func TestColours(t *testing.T) {
	tab := Table{Header: []string{"A", "State"}, Rows: [][]string{{"x", "ok"}, {"y", "down"}}, Tones: [][]Tone{{Normal, OfState("Ok")}, {Normal, OfState("down")}}}
	var out strings.Builder
	if err := tab.Write(&out, Look{Colour: true}); err != nil {
		t.Fatal(err)
	}
	want := "\x1b[1mA\x1b[0m  \x1b[1mState\x1b[0m\nx  \x1b[32;1mok\x1b[0m\ny  \x1b[34;1mdown\x1b[0m\n"
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

func TestStates(t *testing.T) {
	for state, want := range map[string]string{"NotOk": "not-ok", "not_deployed": "not-deployed", "running": "running", "": ""} {
		if got := Kebab(state); got != want {
			t.Errorf("%q: %q, want %q", state, got, want)
		}
	}
	for state, want := range map[string]Tone{"Ok": Good, "NotOk": Bad, "not_deployed": Off, "Pulling": Busy, "paused": Busy, "": Unknown} {
		if got := OfState(state); got != want {
			t.Errorf("%q: %q, want %q", state, got, want)
		}
	}
	if b, ok := ParseBorders("horizontal"); !ok || b != Horizontal {
		t.Error(b, ok)
	}
	if _, ok := ParseBorders("dotted"); ok {
		t.Error("dotted borders")
	}
}
