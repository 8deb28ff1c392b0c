package execution

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"berth/schema"
)

// history is a list of runs and one stack.
type history struct {
	stack    schema.Resource[schema.StackConfig]
	deployed *schema.Deployed
	runs     []schema.Run
}

func (h *history) Adopt(_ context.Context, rec schema.Run) (*schema.Run, error) {
	for i := range h.runs {
		if h.runs[i].ID == rec.ID {
			return &h.runs[i], nil
		}
	}
	rec.Number = uint64(len(h.runs) + 1)
	h.runs = append(h.runs, rec)
	return &rec, nil
}

func (h *history) Stack(_ context.Context, id string) (schema.Resource[schema.StackConfig], error) {
	if id != h.stack.ID && id != h.stack.Name {
		return schema.Resource[schema.StackConfig]{}, schema.Errorf(schema.NotFound, "there is no stack %q", id)
	}
	return h.stack, nil
}

func (h *history) AllStacks(context.Context) ([]schema.Resource[schema.StackConfig], error) {
	return []schema.Resource[schema.StackConfig]{h.stack}, nil
}

func (h *history) Deployed(context.Context, string) (*schema.Deployed, error) { return h.deployed, nil }

func (h *history) SaveDeployed(_ context.Context, _ string, d *schema.Deployed) error {
	h.deployed = d
	return nil
}

func TestRow10DeployOnTheServerIsAdopted(t *testing.T) {
	nexus, other := schema.Target{Kind: "server", ID: schema.NewID(), Name: "nexus"}, schema.Target{Kind: "server", ID: schema.NewID(), Name: "other"}
	h := &history{stack: schema.Resource[schema.StackConfig]{ID: schema.NewID(), Name: "web"}}
	h.stack.Config.ServerID = nexus.ID
	value, err := json.Marshal(schema.StackUpResp{
		Decision: schema.Decision{What: "deploy", Reason: "asked for"}, Commit: schema.CommitInfo{Commit: "c1", Message: "one"},
		Deployed: &schema.Deployed{Commit: "c1", Run: "forged", Number: 999, Server: other.ID, Digest: "d"},
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixMilli()
	req := schema.AdoptReq{
		Run: schema.NewID(), Stack: h.stack.ID, By: "root", Host: "nexus", Why: "while core was away", Started: now - 2000, Ended: now + 1<<30,
		Result: schema.Result{Value: value, Phases: []schema.Phase{{Name: "up", State: schema.PhaseDone}}},
	}
	for what, bad := range map[string]func(*schema.AdoptReq){
		"by name": func(r *schema.AdoptReq) { r.Stack = "web" }, "gone": func(r *schema.AdoptReq) { r.Stack = schema.NewID() },
		"id": func(r *schema.AdoptReq) { r.Run = "a.b" }, "value": func(r *schema.AdoptReq) { r.Result.Value = []byte("[]") },
	} {
		r := req
		bad(&r)
		if _, err := Adopt(t.Context(), h, h, nexus, r); err == nil || len(h.runs) != 0 {
			t.Errorf("%s: %v, %d runs", what, err, len(h.runs))
		}
	}
	if _, err := Adopt(t.Context(), h, h, other, req); schema.CodeOf(err) != schema.Denied || len(h.runs) != 0 || h.deployed != nil {
		t.Errorf("another server's agent speaks for the stack: %v", err)
	}
	for range 2 {
		if resp, err := Adopt(t.Context(), h, h, nexus, req); err != nil || resp.Number != 1 || len(h.runs) != 1 {
			t.Fatalf("%v %v", resp, err)
		}
	}
	r := h.runs[0]
	if r.Actor.Name != "root on nexus" || r.Note != "deployed on the server by root, while core was away" || r.Commit != "c1" || r.Ended < r.Started || r.Ended > time.Now().UnixMilli() ||
		!strings.HasSuffix(r.Decision.Reason, "asked for") || len(r.Steps) != 1 || len(r.Steps[0].Phases) != 1 {
		t.Errorf("%+v", r)
	}
	if d := h.deployed; d == nil || d.Run != req.Run || d.Number != 1 || d.Server != nexus.ID || d.Commit != "c1" {
		t.Errorf("%+v", d)
	}

	// One that failed spoils what was deployed; one that is older than what core knows changes nothing.
	failed := req
	failed.Run, failed.Result.Value, failed.Result.Problem = schema.NewID(), nil, &schema.Problem{Code: schema.Failed, Text: "no space left"}
	h.deployed.At--
	if _, err := Adopt(t.Context(), h, h, nexus, failed); err != nil || !strings.Contains(h.deployed.Dirty, "run #2 did not finish: no space left") || h.runs[1].State != schema.StateFailed {
		t.Errorf("%v %+v", err, h.deployed)
	}
	newer := &schema.Deployed{Run: "core's", At: now + 1<<40}
	h.deployed = newer
	req.Run = schema.NewID()
	if _, err := Adopt(t.Context(), h, h, nexus, req); err != nil || h.deployed != newer {
		t.Errorf("%v %+v", err, h.deployed)
	}
}
