package execution

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"berth/schema"
)

// Adopter records runs that are over: a *run.Engine.
type Adopter interface {
	Adopt(ctx context.Context, rec schema.Run) (*schema.Run, error)
}

// Adopt records a deploy that was made on a server without core as a run of
// DeployStack, and what it left behind, so that the next deploy knows. server is
// who says so. Errors: Denied for a stack of another server, NotFound for one that
// is gone, Invalid for what no agent would say; then nothing is recorded.
func Adopt(ctx context.Context, runs Adopter, stacks Stacks, server schema.Target, req schema.AdoptReq) (schema.AdoptResp, error) {
	st, err := stacks.Stack(ctx, req.Stack)
	if err != nil {
		return schema.AdoptResp{}, err
	}
	if st.Config.ServerID != server.ID || st.ID != req.Stack {
		return schema.AdoptResp{}, schema.Errorf(schema.Denied, "stack %q is not on server %q: its deploy there is not taken into the history", st.Name, server.Name)
	}
	var resp schema.StackUpResp
	if len(req.Result.Value) > 0 {
		if err := json.Unmarshal(req.Result.Value, &resp); err != nil {
			return schema.AdoptResp{}, schema.Wrap(schema.Invalid, err, "read what the deploy on server %q left behind", server.Name)
		}
	}
	if !schema.IsID(req.Run) {
		return schema.AdoptResp{}, schema.Errorf(schema.Invalid, "%.40q is no id of a run", req.Run)
	}
	rec, err := runs.Adopt(ctx, hostRun(st, server, req, resp))
	if err != nil {
		return schema.AdoptResp{}, err
	}
	last, err := stacks.Deployed(ctx, st.ID)
	if err != nil {
		return schema.AdoptResp{}, err
	}
	if dep := hostDeployed(rec, server, last, resp); dep != nil {
		if err := stacks.SaveDeployed(ctx, st.ID, dep); err != nil {
			return schema.AdoptResp{}, fmt.Errorf("record deploy of stack %q: %w", st.Name, err)
		}
	}
	return schema.AdoptResp{Number: rec.Number}, nil
}

// hostRun is the record of a deploy on a server.
func hostRun(st schema.Resource[schema.StackConfig], server schema.Target, req schema.AdoptReq, resp schema.StackUpResp) schema.Run {
	now := time.Now().UnixMilli() // the server's clock may be ahead
	ended := min(req.Ended, now)
	started := min(req.Started, ended)
	params, _ := json.Marshal(DeployParams{Stack: st.ID, Services: req.Services}) // strings
	note := "deployed on the server by " + req.By
	if req.Why != "" {
		note += ", " + req.Why
	}
	res, state := req.Result, schema.StateSucceeded
	if res.Problem != nil {
		if state = schema.StateFailed; res.Problem.Code == schema.Canceled {
			state = schema.StateCanceled
		}
	}
	r := schema.Run{
		ID: req.Run, Root: req.Run, Action: "DeployStack", Target: st.Target("stack"), Server: server, Params: params,
		Actor: schema.Actor{Kind: "host", ID: server.ID, Name: req.By + " on " + req.Host},
		Cause: schema.Cause{Kind: schema.CauseHost, By: req.By + " on " + req.Host},
		State: state, Note: note, Problem: res.Problem, Commit: resp.Commit.Commit, Message: resp.Commit.Message,
		Queued: started, Started: started, Ended: ended,
		Steps: []schema.Step{{
			Name: "deploy", Kind: schema.StepJob, Server: server, Verb: schema.StackUp.Name, Command: schema.LocalCommand(req.Run), Key: "stack-" + st.ID,
			Target: st.Target("stack"), State: state, Queued: started, Started: started, Ended: ended, Answered: true,
			Phases: res.Phases, Lines: res.Lines, Cut: res.Cut, Problem: res.Problem, Value: res.Value,
		}},
	}
	if resp.Decision.What != "" {
		dec := resp.Decision
		dec.Reason = note + ": " + dec.Reason
		r.Decision = &dec
	}
	return r
}

// hostDeployed is what is deployed after a deploy on the server; nil when core
// knows better, or the same. What failed there spoils what was deployed before.
func hostDeployed(rec *schema.Run, server schema.Target, last *schema.Deployed, resp schema.StackUpResp) *schema.Deployed {
	if last != nil && (last.Run == rec.ID || last.At > rec.Ended) {
		return nil
	}
	if rec.Problem != nil {
		if last == nil || last.Dirty != "" {
			return nil
		}
		spoiled := *last
		spoiled.Dirty = fmt.Sprintf("run #%d did not finish: %s", rec.Number, rec.Problem.Text)
		return &spoiled
	}
	if resp.Deployed == nil {
		return nil
	}
	dep := *resp.Deployed
	dep.Run, dep.Number, dep.Server, dep.At = rec.ID, rec.Number, server.ID, rec.Ended
	dep.Earlier = slices.Clone(earlier(last, &dep))
	return &dep
}
