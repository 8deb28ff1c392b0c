package periphery

import (
	"fmt"
	"testing"

	"berth/bus/bustest"
	"berth/mask"
	"berth/schema"
)

// Of progress only the newest of each id is sent, and it does not use up what
// lines may take.
func TestProgressIsCoalesced(t *testing.T) {
	const agent, run = "0123456789abcdef01234567", "abcdefabcdefabcdefabcdef"
	b := bustest.New(t)
	o := newOutput(t.Context(), b.Agent(t, agent), mask.NewMasker(), schema.Command{ID: "c1", Run: run, Step: "s"})
	o.max.lines = 50
	const n = 20_000
	for i := 1; i <= n; i++ {
		o.add(schema.Entry{Kind: schema.EntryProgress, ID: fmt.Sprint("layer ", i%4), Current: int64(i), Total: n})
	}
	for i := range 40 {
		o.add(schema.Entry{Kind: schema.EntryLine, Text: fmt.Sprint("line ", i)})
	}
	lines, cut := o.finish(t.Context(), nil)
	o.add(schema.Entry{Kind: schema.EntryLine, Text: "too late"})
	last, seen := map[string]int64{}, 0
	err := b.Core.Output(t.Context(), run, "c1", 0, func(_ uint64, _ string, out schema.Output) error {
		for _, e := range out.Entries {
			if seen++; e.Kind == schema.EntryProgress {
				last[e.ID] = max(last[e.ID], e.Current)
			}
		}
		return nil
	})
	if err != nil || seen != lines || cut != 0 || seen > 1000 || len(last) != 4 {
		t.Errorf("%d entries of %d, %d cut, %v, %v", seen, lines, cut, last, err)
	}
	for i := range 4 {
		if got := last[fmt.Sprint("layer ", (n-i)%4)]; got != int64(n-i) {
			t.Errorf("the newest of %d is %d, want %d", (n-i)%4, got, n-i)
		}
	}
}
