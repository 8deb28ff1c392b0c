package periphery_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/bus/bustest"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

const image = "berthtest/app:1"

// stack is a stack on the machine's engine, deployed by an agent over the bus.
type stack struct {
	*core
	a      *agent
	engine *rig.Engine
	req    schema.StackUpReq
	n      int // deploys so far
}

// newStack has images berthtest/app:1 and :2, and settings without a source.
func newStack(t testing.TB) *stack {
	t.Helper()
	if t, ok := t.(*testing.T); ok {
		t.Parallel() // most of the time is the engine's
	}
	e := dockertest.Engine(t)
	for _, tag := range []string{"1", "2"} {
		dockertest.BuildImage(t, e, "berthtest/app", tag, rig.Behaviour{})
	}
	c := newCore(t)
	s := &stack{core: c, engine: e, a: c.newAgent()}
	cfg := schema.DefaultStack()
	cfg.AutoPull, cfg.CheckHealth = false, false
	s.req = schema.StackUpReq{ID: "aaaaaaaaaaaaaaaaaaaaaaaa", Name: dockertest.Project(t, e), Config: cfg}
	return s
}

// dir is the folder of the stack's own files.
func (s *stack) dir(elem ...string) string {
	return s.a.path(append([]string{"stacks", s.req.Name}, elem...)...)
}

// onHost makes it a stack of files on the server.
func (s *stack) onHost(files map[string]string) {
	s.t.Helper()
	s.req.Config.FilesOnHost = true
	for name, text := range files {
		write(s.t, s.dir(name), text)
	}
}

// send deploys and returns the id of the command.
func (s *stack) send() string {
	s.n++
	id := "up" + string(rune('a'+s.n/26)) + string(rune('a'+s.n%26))
	s.queue(id, "stack-"+s.req.ID, "stack.up", s.req)
	return id
}

// try deploys and returns what became of it; id is the command's.
func (s *stack) try() (id string, resp schema.StackUpResp, problem *schema.Problem) {
	s.t.Helper()
	id = s.send()
	res := s.wait(id)
	if res.Problem == nil {
		if err := json.Unmarshal(res.Value, &resp); err != nil {
			s.t.Fatal(err)
		}
	}
	return id, resp, res.Problem
}

// up deploys; it must succeed. The next deploy compares with it.
func (s *stack) up() schema.StackUpResp {
	s.t.Helper()
	id, resp, problem := s.try()
	if problem != nil {
		s.t.Fatalf("%s\n%s", problem.Text, s.text(id))
	}
	if d := resp.Deployed; d != nil {
		d.Number, d.Server = uint64(s.n), serverID
		s.req.Last = d
	}
	return resp
}

// fails deploys; it must not succeed, and say why.
func (s *stack) fails(code schema.Code, words ...string) {
	s.t.Helper()
	id, _, problem := s.try()
	if problem == nil {
		s.t.Fatalf("it succeeded, want %s\n%s", code, s.text(id))
	}
	if problem.Code != code {
		s.t.Errorf("code %s, want %s: %s", problem.Code, code, problem.Text)
	}
	for _, w := range words {
		if !strings.Contains(problem.Text, w) {
			s.t.Errorf("%q is not in %q", w, problem.Text)
		}
	}
}

// containers returns the states of the project's containers by service.
func (s *stack) containers(project string) map[string]string {
	s.t.Helper()
	list, err := s.engine.Containers(s.t.Context(), project)
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range list {
		out[c.Service] = c.State
	}
	return out
}

func (s *stack) has(want map[string]string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.containers(s.req.Name)); diff != "" {
		s.t.Errorf("containers (-want +got):\n%s", diff)
	}
}

// log returns what a service's container printed.
func (s *stack) log(service string) string {
	s.t.Helper()
	var text string
	bustest.Eventually(s.t, 10*time.Second, "the container's first words", func() bool {
		lines, err := s.engine.Tail(s.t.Context(), s.req.Name+"-"+service+"-1", 50)
		text = strings.Join(lines, "\n")
		return err == nil && strings.Contains(text, "serving on port")
	})
	return text
}

// shows is a compose file of one service that prints variables.
func shows(vars ...string) string {
	text := "services:\n  web:\n    image: " + image + "\n    command: [ -show, \"" + strings.Join(vars, ",") + "\" ]\n    environment:\n"
	for _, v := range vars {
		text += "      " + v + ": ${" + v + ":-unset}\n"
	}
	return text
}

func TestHooks(t *testing.T) {
	s := newStack(t)
	s.onHost(map[string]string{"compose.yaml": shows("A")})
	mark := filepath.Join(t.TempDir(), "mark")
	say := func(what string) schema.SystemCommand {
		return schema.SystemCommand{Path: "scripts", Command: schema.FileText("echo " + what + " $(docker ps -q --filter label=com.docker.compose.project=" + s.req.Name + " 2>/dev/null | wc -l) >> " + mark + "\n# done\ntrue")}
	}
	s.req.Config.PreDeploy, s.req.Config.PostDeploy = say("pre"), say("post")
	s.fails(schema.Invalid, "pre_deploy", "scripts")
	if len(s.containers(s.req.Name)) != 0 {
		t.Error("deployed although pre_deploy failed")
	}
	write(t, s.dir("scripts", "x"), "")
	s.up()
	if got := read(t, mark); !strings.HasPrefix(got, "pre 0\npost ") {
		t.Error(got)
	}
	s.req.Config.PostDeploy.Command = "echo said; exit 4"
	s.fails(schema.Failed, "post_deploy", "exit status 4", "said")
	s.req.Config.PreDeploy.Command = "exit 5"
	s.req.Config.DestroyBeforeDeploy = true
	s.fails(schema.Failed, "pre_deploy", "exit status 5")
	s.has(map[string]string{"web": "running"}) // not taken down
	// A file that the project needs and pre_deploy makes.
	s.req.Config.PreDeploy = schema.SystemCommand{Command: schema.FileText("echo A=made > made.env; echo made >> " + mark)}
	s.req.Config.PostDeploy.Command = ""
	s.req.Config.AdditionalEnvFiles = []schema.EnvFile{{Path: "made.env"}}
	s.up()
	if got := s.log("web"); !strings.Contains(got, "A=made") || strings.Count(read(t, mark), "made\n") != 1 {
		t.Errorf("%s, %s", got, read(t, mark))
	}
}

func TestShapeOfTheDeploy(t *testing.T) {
	s := newStack(t)
	s.req.Config.CheckHealth = true
	two := "services: { web: { image: " + image + " }, db: { image: " + image + " }, once: { image: " + image + ", command: [ -exit, '1' ] } }\n"
	s.onHost(map[string]string{"compose.yaml": two})
	s.fails(schema.Failed, "once", "exited with code 1")
	s.req.Config.IgnoreServices = schema.StrList{"once"}
	s.up()
	s.req.Config.IgnoreServices = nil
	s.req.Config.CheckHealth = false
	s.up()
	s.req.Services = []string{"web"}
	s.req.Last.Dirty = "run #3 did not finish"
	resp := s.up()
	if len(resp.Deployed.Services) != 3 || resp.Deployed.Dirty == "" || resp.Deployed.Inputs["db"] == nil {
		t.Errorf("a deploy of some services: %+v", resp.Deployed)
	}
	s.req.Services = nil
	s.req.Config.IgnoreServices = schema.StrList{"once"}

	before := s.ids()
	s.req.Config.ExtraArgs = schema.StrList{"--force-recreate"}
	if resp = s.up(); len(resp.Recreated) != 3 || resp.Deployed.Dirty != "" {
		t.Errorf("%v", resp.Recreated)
	}
	s.req.Config.ExtraArgs = schema.StrList{"--attach", "web"}
	s.fails(schema.Invalid, "extra_args", "--attach")
	s.req.Config.ExtraArgs = nil
	s.req.Config.DestroyBeforeDeploy = true
	s.up()
	for name, id := range s.ids() {
		if before[name] == id {
			t.Errorf("%s was not destroyed", name)
		}
	}
	s.req.Config.DestroyBeforeDeploy = false

	old := s.req.Name
	s.req.Config.ProjectName = old + "-renamed"
	t.Cleanup(func() { dockertest.Wipe(t, s.engine, old+"-renamed") })
	s.req.Last.Server = "ffffffffffffffffffffffff" // on another server the name may be somebody else's
	s.up()
	if len(s.containers(old)) != 3 {
		t.Error("the project of another server's stack was taken down here")
	}
	s.req.Last.Project = old
	s.up()
	if len(s.containers(old)) != 0 || len(s.containers(old+"-renamed")) != 3 {
		t.Error("the old project is still there")
	}
}

func (s *stack) ids() map[string]string {
	s.t.Helper()
	list, err := s.engine.Containers(s.t.Context(), s.req.Name)
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range list {
		out[c.Name] = c.ID
	}
	return out
}

func TestComposeWrapper(t *testing.T) {
	s := newStack(t)
	s.a.useKey()
	s.onHost(map[string]string{"compose.yaml": shows("DB_USER", "DB_PASS")})
	s.a.copy("secrets/testdata/app.sops.env", s.dir("enc", "app.env"))
	s.req.Config.ComposeCmdWrapper = "nice -n 5 [[COMPOSE_COMMAND]]"
	s.fails(schema.Unsupported, "compose_cmd_wrapper")
	s.vars["FILE"] = schema.VariableValue{Value: "enc/app.env"}
	s.req.Config.ComposeCmdWrapper = "sops exec-env [[FILE]] '[[COMPOSE_COMMAND]]'"
	s.up()
	if got := s.log("web"); !strings.Contains(got, "DB_USER=app\nDB_PASS=p@ss word$with\"quotes'and=eq\n") {
		t.Error(got)
	}
}

func TestUnknownVariables(t *testing.T) {
	s := newStack(t)
	s.onHost(map[string]string{"compose.yaml": shows("A")})
	s.vars["KNOWN"] = schema.VariableValue{Value: "yes"}
	s.req.Config.Environment = "A=[[NOPE]] [[KNOWN]]\n"
	want := []string{"`[[NOPE]]` in environment: no variable of that name; it is left as it stands"}
	resp := s.up()
	if d := cmp.Diff(want, resp.Warnings); d != "" {
		t.Error(d)
	}
	if got := s.log("web"); !strings.Contains(got, "A=[[NOPE]] yes\n") {
		t.Error(got)
	}
}

// What compose quotes of a value in part is a secret's part, which is not told.
func TestSecretThatIsNotRight(t *testing.T) {
	s := newStack(t)
	const piece = "kanaria"
	s.vars["PORTS"] = schema.VariableValue{Value: "80:" + piece + ":tcp", Secret: true}
	s.req.Config.FileContents = `services: { web: { image: "berthtest/app:1", ports: [ "[[PORTS]]" ] } }`
	id, _, problem := s.try()
	if problem == nil || problem.Code != schema.Invalid || !strings.Contains(problem.Text, "services.web.ports[0]") || !strings.Contains(problem.Text, "[[PORTS]]") {
		t.Errorf("%+v", problem)
	}
	s.req.Config.FileContents, s.req.Config.Environment = `services: { web: { image: "berthtest/app:1", ports: [ "${MAPPING}" ] } }`, "MAPPING=[[PORTS]]"
	id2, _, problem2 := s.try()
	if problem2 == nil || !strings.Contains(problem2.Text, "services.web.ports[0]") {
		t.Errorf("%+v", problem2)
	}
	if all := s.text(id) + s.text(id2) + problem.Text + problem2.Text; strings.Contains(all, piece) {
		t.Errorf("a piece of the secret is told: %s", all)
	}
}

func TestStackVerbs(t *testing.T) {
	s := newStack(t)
	s.onHost(map[string]string{"compose.yaml": shows("A")})
	s.up()
	for i, step := range []struct{ verb, state string }{{"stop", "exited"}, {"start", "running"}, {"pause", "paused"}, {"unpause", "running"}, {"restart", "running"}, {"down", ""}} {
		id := "do" + string(rune('a'+i))
		zero := 0
		s.queue(id, "", "stack.do", schema.StackDoReq{ID: s.req.ID, Name: s.req.Name, Project: s.req.Name, Verb: step.verb, StopTime: &zero})
		var resp schema.StackDoResp
		res := s.wait(id)
		bustest.Eventually(t, 20*time.Second, step.verb, func() bool { return s.containers(s.req.Name)["web"] == step.state })
		if res.Problem != nil || json.Unmarshal(res.Value, &resp) != nil || !slices.Equal(resp.Changed, []string{s.req.Name + "-web-1"}) {
			t.Errorf("%s: %+v, %+v; %v", step.verb, res.Problem, resp, s.containers(s.req.Name))
		}
	}
}
