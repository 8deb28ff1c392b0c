package resource

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestPropertyExport: decode(export(x)) = x for generated resources of all kinds.
func TestPropertyExport(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := fill(t, rt)
		text, err := d.Export(t.Context(), ExportOptions{Secrets: true})
		if err != nil {
			rt.Fatal(err)
		}
		files := filesOf([]string{text})
		p, err := d.PlanScope(t.Context(), files, Scope{})
		if err != nil || p.Err() != nil || !p.Empty() {
			rt.Fatalf("loaded back it differs: %v\n%v\n%s\n%s", err, p.Err(), p, text)
		}
		masked, err := d.Export(t.Context(), ExportOptions{})
		if err != nil {
			rt.Fatal(err)
		}
		p, err = d.PlanScope(t.Context(), filesOf([]string{masked}), Scope{})
		if err != nil || p.Err() != nil || !p.Empty() {
			rt.Fatalf("loaded back with masks it differs: %v\n%v\n%s\n%s", err, p.Err(), p, masked)
		}
		other := newDesk()
		p, err = other.PlanScope(t.Context(), files, Scope{})
		if err == nil {
			err = other.Apply(t.Context(), p)
		}
		if err != nil {
			rt.Fatal(err)
		}
		moved, err := other.Export(t.Context(), ExportOptions{Secrets: true})
		if diff := cmp.Diff(text, moved); diff != "" || err != nil {
			rt.Fatal("another core has something else:", diff, err)
		}
	})
}

// TestPropertyPlan: plan(apply(plan)) is empty, and the order of files makes no
// difference.
func TestPropertyPlan(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text, err := fill(t, rt).Export(t.Context(), ExportOptions{Secrets: true})
		if err != nil {
			rt.Fatal(err)
		}
		d := fill(t, rt) // has other things of the same names
		var files []File
		for i, part := range strings.Split(text, "\n##\n\n") {
			files = append(files, File{Name: fmt.Sprintf("%d.toml", i), Text: part})
		}
		s := Scope{Delete: true}
		p, err := d.PlanScope(t.Context(), files, s)
		if err != nil {
			rt.Fatal(err)
		}
		shuffled, err := d.PlanScope(t.Context(), rapid.Permutation(files).Draw(rt, "order"), s)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(facts(p), facts(shuffled)); diff != "" {
			rt.Fatal("the order of the files makes a difference:", diff)
		}
		if p.Err() != nil { // such as nothing declared
			return
		}
		for i := range shuffled.Changes {
			if err := d.ApplyChange(t.Context(), shuffled, i); err != nil {
				rt.Fatal(err)
			}
		}
		again, err := d.PlanScope(t.Context(), files, s)
		if err != nil || again.Err() != nil || !again.Empty() {
			rt.Fatalf("the second plan is not empty: %v %v\n%s", err, again.Err(), again)
		}
	})
}

// facts are what a plan does, whatever the order.
func facts(p Plan) []string {
	var out []string
	for _, c := range p.Changes {
		out = append(out, fmt.Sprintf("%s %s %s %v %s", c.Op, c.Kind, c.Name, c.Fields, c.Reason))
	}
	for _, i := range p.Issues {
		out = append(out, i.String())
	}
	slices.Sort(out)
	return out
}
