package periphery_test

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/periphery"
	"berth/schema"
)

// adopted plays the part of core's history.
type adopted struct {
	mu   sync.Mutex
	list []schema.AdoptReq
	err  error
}

func (s *stack) adopts() *adopted {
	s.t.Helper()
	h := &adopted{}
	err := bus.Serve(s.bus.Core, schema.AskAdopt, func(_ context.Context, agent string, req schema.AdoptReq) (schema.AdoptResp, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if agent != serverID {
			s.t.Errorf("asked by %s", agent)
		}
		h.list = append(h.list, req)
		return schema.AdoptResp{Number: 17}, h.err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

func (h *adopted) one(t testing.TB) schema.AdoptReq {
	t.Helper()
	bustest.Eventually(t, 30*time.Second, "a deploy without core is reported", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.list) > 0
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.list[0]
}

// local is what became of a deploy without core.
type local struct {
	schema.Result
	why, text string
}

// alone deploys without core, as `berth periphery up` does.
func (s *stack) alone(req periphery.LocalReq) (local, error) {
	s.t.Helper()
	var b strings.Builder
	res, why, err := periphery.Up(s.t.Context(), s.a.cfg, req, func(e schema.Entry) { b.WriteString(e.Phase + " " + e.Text + "\n") })
	return local{res, why, b.String()}, err
}

const localSecret = "geheim-4711-kanarie"

// local is a stack with a secret variable, deployed once.
func newLocal(t *testing.T) *stack {
	t.Helper()
	s := newStack(t)
	s.vars["PASS"] = schema.VariableValue{Value: localSecret, Secret: true}
	s.req.Config.FileContents = "services:\n  web:\n    image: " + image + "\n    environment:\n      APP_TEXT: ${TEXT}\n"
	s.req.Config.Environment = "TEXT=[[PASS]]"
	s.up()
	return s
}

func TestRow10DeployWithoutCore(t *testing.T) {
	s := newLocal(t)
	for _, f := range files(t, s.a.path("deployed")) {
		if text := read(t, f); strings.Contains(text, localSecret) || !strings.Contains(text, "[[PASS]]") {
			t.Errorf("%s holds the secret in the clear, or no placeholder:\n%s", f, text)
		}
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", f, info.Mode(), err)
		}
	}
	if info, err := os.Stat(s.a.path("agent.sock")); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("socket: %v %v", info, err)
	}
	s.down()
	bustest.Eventually(t, 20*time.Second, "the agent has noticed that core is away, and deploys", func() bool {
		l, err := s.alone(periphery.LocalReq{Stack: s.req.Name})
		if err != nil || l.Problem != nil {
			t.Fatalf("%v %+v\n%s", err, l.Problem, l.text)
		}
		if strings.Contains(l.text, localSecret) || !strings.Contains(l.text, "config") {
			t.Errorf("output:\n%s", l.text)
		}
		return l.why == "while core was away"
	})
	if got := s.containers(s.req.Name); got["web"] != "running" {
		t.Errorf("containers %v", got)
	}
	s.core.up()
	h := s.adopts()
	var req schema.AdoptReq
	bustest.Eventually(t, 60*time.Second, "the deploy is reported", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		i := slices.IndexFunc(h.list, func(r schema.AdoptReq) bool { return r.Why != "" })
		if i >= 0 {
			req = h.list[i]
		}
		return i >= 0
	})
	var resp schema.StackUpResp
	if err := json.Unmarshal(req.Result.Value, &resp); err != nil {
		t.Fatal(err)
	}
	if req.Stack != s.req.ID || req.By == "" || req.Host == "" || req.Started == 0 || req.Ended < req.Started || resp.Deployed == nil || len(req.Result.Phases) == 0 {
		t.Errorf("%+v", req)
	}
	n := 0
	err := s.bus.Core.Output(t.Context(), req.Run, schema.LocalCommand(req.Run), 0, func(_ uint64, agent string, out schema.Output) error {
		n += len(out.Entries)
		return nil
	})
	if err != nil || n == 0 {
		t.Errorf("%d entries of output (%v)", n, err)
	}
	// What core says later is the next deploy's: nothing changed since.
	s.req.IfChanged, s.req.Last = true, resp.Deployed
	s.req.Last.Server = serverID
	if resp := s.up(); resp.Decision.What != "unchanged" {
		t.Errorf("%+v", resp.Decision)
	}
}

func TestRow10DeployWhileNoAgentRuns(t *testing.T) {
	s := newLocal(t)
	s.a.end()
	s.down()
	l, err := s.alone(periphery.LocalReq{Stack: s.req.Name})
	if err != nil || l.Problem != nil || l.why != "while the agent was not running" {
		t.Fatalf("%v %+v %q\n%s", err, l.Problem, l.why, l.text)
	}
	s.core.up()
	h := s.adopts()
	s.a.start()
	if req := h.one(t); req.Why != l.why {
		t.Errorf("%+v", req)
	}
}

func TestRow10NamesWhatIsMissing(t *testing.T) {
	s := newLocal(t)
	if _, err := s.alone(periphery.LocalReq{Stack: "nonsense"}); schema.CodeOf(err) != schema.NotFound || !strings.Contains(schema.SafeText(err), "known here: "+s.req.Name) {
		t.Error(err)
	}
	// The key with which the values were kept is gone.
	if err := os.Remove(s.a.path("age.key")); err != nil {
		t.Fatal(err)
	}
	l, err := s.alone(periphery.LocalReq{Stack: s.req.Name})
	if err != nil || l.Problem == nil || !strings.Contains(l.Problem.Text, "PASS") {
		t.Errorf("%v %+v\n%s", err, l.Problem, l.text)
	}
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil || len(list) == 0 {
		t.Fatalf("%s: %v, %d files", dir, err, len(list))
	}
	var out []string
	for _, f := range list {
		out = append(out, dir+"/"+f.Name())
	}
	return out
}

// Row 34: the agent makes its own age identity and shows whom to encrypt for; one
// that others can read is refused with the command that mends it.
func TestRow34AgentMakesItsOwnIdentity(t *testing.T) {
	s := newStack(t)
	own := s.a.path("age.key")
	if info, err := os.Stat(own); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	list, err := periphery.Recipients(s.a.cfg)
	if err != nil || len(list) != 1 || !strings.HasPrefix(list[0], "age1") {
		t.Fatalf("%v %v", list, err)
	}
	bustest.Eventually(t, 20*time.Second, "the status names the recipient", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.ContainsFunc(s.statuses, func(st schema.AgentStatus) bool { return slices.Equal(st.Recipients, list) })
	})
	before := read(t, own)
	s.a.end()
	s.a.start()
	if read(t, own) != before {
		t.Error("the identity was made anew")
	}
}

func TestRow34KeyThatOthersCanRead(t *testing.T) {
	s := newStack(t)
	s.onHost(map[string]string{"compose.yaml": shows("DB_USER")})
	s.a.copy("secrets/testdata/app.sops.env", s.dir(".sops.env"))
	key := s.a.cfg.AgeKeys[0]
	s.a.useKey()
	if err := os.Chmod(key, 0o640); err != nil {
		t.Fatal(err)
	}
	_, _, problem := s.try()
	want := "refuse age key " + key + ": its mode 0640 lets other users at it: run: chmod 600 " + key
	if problem == nil || problem.Code != schema.Denied || problem.Text != want {
		t.Errorf("%+v\nwant %s", problem, want)
	}
	if _, err := periphery.Recipients(s.a.cfg); schema.SafeText(err) != want {
		t.Error(err)
	}
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	s.up()
}

// Row 35: a file that this server cannot decrypt is named, with what to do, before
// anything else is done.
func TestRow35FileForOthers(t *testing.T) {
	s := newStack(t)
	s.onHost(map[string]string{"compose.yaml": shows("DB_USER")})
	s.a.copy("secrets/testdata/app.sops.env", s.dir(".sops.env"))
	list, err := periphery.Recipients(s.a.cfg)
	if err != nil {
		t.Fatal(err)
	}
	id, _, problem := s.try()
	want := "add recipient " + list[0] + " of server \"here\" to .sops.yaml and run: sops updatekeys .sops.env"
	if problem == nil || problem.Code != schema.Denied || !strings.HasPrefix(problem.Text, ".sops.env cannot be decrypted on server \"here\": it is encrypted for age1") || !strings.HasSuffix(problem.Text, want) {
		t.Errorf("%+v\nwant %s", problem, want)
	}
	if phases := s.wait(id).Phases; len(phases) != 1 || phases[0].Name != "secrets" {
		t.Errorf("%+v", phases)
	}
}
