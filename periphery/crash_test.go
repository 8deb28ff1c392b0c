package periphery_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"berth/bus/bustest"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

// crash kills the agent while a deploy waits for a health check that never comes,
// with all containers made, and returns the command's id.
func (s *stack) crash(when func() bool) string {
	s.t.Helper()
	s.a.end()
	kill := s.a.process()
	id := s.send()
	bustest.Eventually(s.t, 30*time.Second, "the right moment to kill the agent", when)
	kill()
	return id
}

func (s *stack) spooled() bool {
	files, err := os.ReadDir(s.a.path("spool"))
	return err == nil && len(files) > 0 && strings.HasSuffix(files[0].Name(), ".json")
}

func slowHealth(t testing.TB, s *stack) {
	dockertest.BuildImage(t, s.engine, "berthtest/slow", "1", rig.Behaviour{Args: []string{"-sleep", "6s"}, Health: true})
}

// Killed while the new containers come up, the agent finds all of the deploy in
// place and says what it left behind, as if it had not been away.
func TestKilledButDone(t *testing.T) {
	s := newStack(t)
	slowHealth(t, s)
	s.req.Config.CheckHealth = true
	s.onHost(map[string]string{"compose.yaml": "services: { web: { image: 'berthtest/slow:1', healthcheck: { retries: 20 } }, db: { image: 'berthtest/app:1' } }\n"})
	id := s.crash(func() bool {
		c := s.containers(s.req.Name)
		return s.spooled() && c["web"] == "running" && c["db"] == "running"
	})
	before := s.ids()
	s.a.start()
	res := s.wait(id)
	if res.Problem != nil {
		t.Fatal(res.Problem.Text)
	}
	var resp schema.StackUpResp
	if err := json.Unmarshal(res.Value, &resp); err != nil {
		t.Fatal(err)
	}
	d := resp.Deployed
	if d == nil || len(d.Services) != 2 || len(resp.Recreated) != 2 || d.Digest == "" || len(resp.Warnings) != 1 || s.spooled() {
		t.Fatalf("%+v", resp)
	}
	d.Server, d.Number = serverID, 1
	s.req.Last, s.req.IfChanged = d, true
	if next := s.up(); next.Decision.What != "unchanged" {
		t.Errorf("the next deploy: %+v", next.Decision)
	}
	for name, now := range s.ids() {
		if before[name] != now {
			t.Errorf("%s is another container", name)
		}
	}
}

// Killed half way, it says so and what it found, and leaves what is there alone.
func TestKilledHalfWay(t *testing.T) {
	s := newStack(t)
	slowHealth(t, s)
	s.req.Config.CheckHealth = true
	s.onHost(map[string]string{"compose.yaml": "services:\n  web: { image: 'berthtest/slow:1', healthcheck: { retries: 20 } }\n  late: { image: 'berthtest/app:1', depends_on: { web: { condition: service_healthy } } }\n"})
	id := s.crash(func() bool { return s.containers(s.req.Name)["web"] == "running" })
	s.a.start()
	res := s.wait(id)
	if res.Problem == nil || res.Problem.Code != schema.Interrupted || !strings.Contains(res.Problem.Text, "late was created but not started") {
		t.Fatalf("%+v", res.Problem)
	}
	s.req.Resume = true
	s.up()
	s.has(map[string]string{"web": "running", "late": "running"})
}

// Killed before anything was touched, or where reality cannot tell, it does not
// guess.
func TestKilledBeforeOrUnknown(t *testing.T) {
	s := newStack(t)
	mark := t.TempDir() + "/mark"
	s.onHost(map[string]string{"compose.yaml": "services: { web: { image: 'berthtest/app:1' } }\n"})
	s.req.Config.PreDeploy.Command = schema.FileText("echo ran >> " + mark + "; sleep 300")
	id := s.crash(func() bool { return read(t, mark) != "" })
	s.a.start()
	if res := s.wait(id); res.Problem == nil || res.Problem.Code != schema.Interrupted || !strings.Contains(res.Problem.Text, "no container had been touched yet") {
		t.Errorf("%+v", res.Problem)
	}
	s.req.Config.PreDeploy.Command = ""
	s.req.Config.PostDeploy.Command = schema.FileText("echo ran >> " + mark + "; sleep 300")
	id = s.crash(func() bool { return strings.Count(read(t, mark), "\n") == 2 })
	s.a.start()
	if res := s.wait(id); res.Problem == nil || res.Problem.Code != schema.Interrupted || !strings.Contains(res.Problem.Text, "whether post_deploy ran is not known") {
		t.Errorf("%+v", res.Problem)
	}
	if got := read(t, mark); got != "ran\nran\n" {
		t.Errorf("commands ran again: %q", got)
	}
}
