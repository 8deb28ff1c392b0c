package compose_test

import (
	"fmt"
	"testing"

	"github.com/moby/moby/client"

	"berth/periphery/compose"
)

// TestRow01KeptContainers replaces a container that is kept, and brings it back,
// lets it go, or finds it after whoever did it was killed.
func TestRow01KeptContainers(t *testing.T) {
	file := func(text string) map[string]string {
		return map[string]string{"compose.yaml": fmt.Sprintf("services: { web: { image: 'berthtest/app:1', environment: { APP_TEXT: %s } }, db: { image: 'berthtest/app:1' } }\n", text)}
	}
	s := newStack(t, file("one"))
	s.up()
	first := s.ids()["web-1"]
	replace := func(text string) (compose.Result, string) {
		t.Helper()
		s.write(file(text))
		kept := s.ids()["web-1"]
		p, err := s.d.Load(t.Context(), s.spec)
		if err != nil {
			t.Fatal(err)
		}
		p.Keep(kept)
		r, err := s.d.Up(t.Context(), p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if list, err := s.d.Replaced(t.Context(), []string{kept}); err != nil || len(list) != 1 {
			t.Fatalf("kept is %v, %v", list, err)
		}
		if next, err := s.d.Successor(t.Context(), kept); err != nil || next.ID == kept || next.State != "running" {
			t.Fatalf("its successor is %+v, %v", next, err)
		}
		return r, kept
	}
	is := func(what, id string) {
		t.Helper()
		if got := s.ids(); len(got) != 2 || got["web-1"] != id {
			t.Errorf("%s: containers are %v, want web-1 to be %s", what, got, id)
		}
		if c, err := s.engine.Inspect(t.Context(), id); err != nil || c.State != "running" {
			t.Errorf("%s: web-1 is %s, %v", what, c.State, err)
		}
	}
	r, kept := replace("two")
	if len(r.Recreated) != 1 || len(r.Removed) != 0 || len(r.Services) != 2 {
		t.Errorf("the result is %+v", r)
	}
	if said, err := s.d.Restore(t.Context(), []string{kept}); err != nil || len(said) != 1 {
		t.Errorf("%v, %v", said, err)
	}
	is("restored", first)
	if said, err := s.d.Restore(t.Context(), []string{first}); err != nil || len(said) != 0 {
		t.Errorf("restored what was not replaced: %v, %v", said, err)
	}

	_, kept = replace("three")
	next, err := s.d.Successor(t.Context(), kept)
	if err == nil {
		err = s.d.Discard(t.Context(), []string{kept})
	}
	if err != nil {
		t.Fatal(err)
	}
	is("discarded", next.ID)

	_, kept = replace("four") // and whoever did it was killed
	s.expect("the next deploy")
	if _, err := s.engine.Inspect(t.Context(), kept); err == nil {
		t.Error("the next deploy left the container before")
	}
	_, kept = replace("five")
	if said, err := s.d.Settle(t.Context(), s.spec.Project, kept); err != nil || len(said) != 1 {
		t.Errorf("%v, %v", said, err)
	}
	is("mine", kept)
	_, kept = replace("six")
	if next, err = s.d.Successor(t.Context(), kept); err == nil {
		_, err = s.engine.API().ContainerStop(t.Context(), next.ID, client.ContainerStopOptions{})
	}
	if err == nil {
		_, err = s.d.Settle(t.Context(), s.spec.Project, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	is("the new one had ended", kept)
}
