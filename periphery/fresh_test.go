package periphery_test

import (
	"slices"
	"strings"
	"testing"

	"berth/schema"
)

// lastSeen is what core was made to see before the result that came last; nil when
// nothing was shown for it.
func (c *core) lastSeen() *schema.AgentStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.seen, func(s seen) bool { return s.results == len(c.results)-1 })
	if i < 0 {
		return nil
	}
	return &c.seen[i].AgentStatus
}

func stateOf(st *schema.AgentStatus, name string) string {
	if st == nil {
		return "nothing was shown"
	}
	for _, c := range st.Containers {
		if c.Name == name {
			return c.State
		}
	}
	return "gone"
}

// Core has seen what a command did before it hears that the command is over.
func TestWhatWasDoneIsSeenFirst(t *testing.T) {
	y := newYard(t)
	y.make(thing{name: "web", stopped: true})
	for _, step := range []struct{ verb, want string }{
		{"start", "running"}, {"pause", "paused"}, {"unpause", "running"}, {"stop", "exited"}, {"stop", "nothing was shown"}, {"destroy", "gone"},
	} {
		y.done("container.do", schema.ContainerDoReq{Container: "web", Verb: step.verb})
		if got := stateOf(y.lastSeen(), "web"); got != step.want {
			t.Errorf("%s: %s, want %s", step.verb, got, step.want)
		}
	}
	if _, problem := y.do("container.do", schema.ContainerDoReq{Container: "web", Verb: "stop"}); problem == nil || y.lastSeen() != nil {
		t.Errorf("nothing was touched: %+v, and shown was %v", problem, y.lastSeen())
	}
}

func TestDeployIsSeenFirst(t *testing.T) {
	s := newStack(t)
	s.onHost(map[string]string{"compose.yaml": shows("A")})
	s.req.Config.Environment = "A=1\n"
	s.up()
	if got := stateOf(s.lastSeen(), s.req.Name+"-web-1"); got != "running" {
		t.Errorf("after a deploy: %s", got)
	}
	s.req.IfChanged = true
	if resp := s.up(); resp.Decision.What != "unchanged" || s.lastSeen() != nil {
		t.Errorf("%s, and shown was %v: nothing was touched", resp.Decision.What, s.lastSeen())
	}
}

// An inspection does not tell the secrets that a deploy put into a container.
func TestInspectionMasks(t *testing.T) {
	s := newStack(t)
	s.vars["PASSWORD"] = schema.VariableValue{Value: "correct-horse-battery", Secret: true}
	s.vars["PLACE"] = schema.VariableValue{Value: "Heidelberg"}
	s.onHost(map[string]string{"compose.yaml": `services: { web: { image: "` + image + `", labels: { conf: "${URL}" }, environment: [URL, PLACE, OWN=plain] } }`})
	s.req.Config.Environment = "URL=postgres://app:[[PASSWORD]]@db/app\nPLACE=[[PLACE]]\n"
	s.up()
	y := &yard{core: s.core}
	look := func() string {
		t.Helper()
		_, text := answers(y, schema.InspectContainer, schema.NamedReq{Name: s.req.Name + "-web-1"})
		return text
	}
	shown := `postgres://app:\u003cPASSWORD\u003e@db/app`
	for range 2 { // an agent that is started anew knows it still
		text := look()
		if strings.Contains(text, "horse") || !strings.Contains(text, `"URL=`+shown+`"`) || !strings.Contains(text, `"conf":"`+shown+`"`) || !strings.Contains(text, `"PLACE=Heidelberg"`) || !strings.Contains(text, `"OWN=plain"`) {
			t.Error(text)
		}
		s.a.end()
		if strings.Contains(read(t, s.a.path("concealed.json")), "horse") {
			t.Error("what is kept tells the secret")
		}
		s.a.start()
		s.listens()
	}
	s.vars["PASSWORD"] = schema.VariableValue{Value: "another-secret", Secret: true}
	s.up()
	if text := look(); strings.Contains(text, "another-secret") || !strings.Contains(text, shown) {
		t.Error(text)
	}
	if n := strings.Count(read(t, s.a.path("concealed.json")), `":{"`); n != 1 {
		t.Errorf("%d containers are known, of which one is there", n)
	}
}
