package core

import (
	"context"
	"encoding/json"
	"time"

	"berth/core/execution"
	"berth/core/run"
	"berth/schema"
)

// actions is the list of everything that can be run: an API request, a CLI verb,
// a button and a procedure's execution each. A new one is a function in execution
// and a line here.
func actions(d *execution.Deps) []run.Action {
	deploy := func(name, doc string, body run.Body) run.Action {
		return run.Action{
			Name: name, Kind: "stack", Param: "stack", Doc: doc, Params: execution.DeployParams{}, Body: body,
			Queue: queued("stack"), Supersede: true, Covers: execution.CoversDeploy,
		}
	}
	stack := func(name, verb, doc string) run.Action {
		return run.Action{
			Name: name, Kind: "stack", Param: "stack", Doc: doc, Params: execution.StackDoParams{}, Body: d.StackVerb(verb), Queue: queued("stack"),
		}
	}
	repo := func(name, doc string, body run.Body) run.Action {
		return run.Action{
			Name: name, Kind: "repo", Param: "repo", Doc: doc, Params: execution.RepoParams{}, Body: body, Queue: queued("repo"), Supersede: true,
		}
	}
	batch := func(name, kind, of, doc string) run.Action {
		return run.Action{Name: name, Doc: doc, Params: execution.BatchParams{}, Body: d.Batch(kind, kind, of)}
	}
	return []run.Action{
		deploy("DeployStack", "Deploy a stack; only what changed is recreated.", d.DeployStack),
		deploy("DeployStackIfChanged", "Deploy a stack if anything that feeds the deploy changed since the last good one.", d.DeployStackIfChanged),
		stack("PullStack", "pull", "Pull the images of a stack."),
		stack("StartStack", "start", "Start the containers of a stack."),
		stack("StopStack", "stop", "Stop the containers of a stack."),
		stack("RestartStack", "restart", "Restart the containers of a stack."),
		stack("PauseStack", "pause", "Pause the containers of a stack."),
		stack("UnpauseStack", "unpause", "Unpause the containers of a stack."),
		stack("DestroyStack", "down", "Remove the containers and networks of a stack; volumes stay."),
		batch("BatchDeployStack", "stack", "DeployStack", "Deploy every stack that matches a pattern."),
		batch("BatchDeployStackIfChanged", "stack", "DeployStackIfChanged", "Deploy every stack that matches a pattern and changed."),
		batch("BatchPullStack", "stack", "PullStack", "Pull the images of every stack that matches a pattern."),
		batch("BatchDestroyStack", "stack", "DestroyStack", "Remove the containers of every stack that matches a pattern."),
		repo("PullRepo", "Bring a repo's clone to its branch's newest commit.", d.SyncRepo(false)),
		repo("CloneRepo", "Clone a repo afresh.", d.SyncRepo(true)),
		batch("BatchPullRepo", "repo", "PullRepo", "Pull every repo that matches a pattern."),
		batch("BatchCloneRepo", "repo", "CloneRepo", "Clone every repo that matches a pattern afresh."),
		{
			Name: "RunProcedure", Kind: "procedure", Param: "procedure", Doc: "Run the stages of a procedure.",
			Params: execution.ProcedureParams{}, Body: d.RunProcedure, Queue: queued("procedure"), Supersede: true,
		},
		batch("BatchRunProcedure", "procedure", "RunProcedure", "Run every procedure that matches a pattern."),
		{Name: "CancelProcedure", Kind: "procedure", Param: "procedure", Doc: "End the runs of a procedure that go on.", Params: cancelParams{}, Body: d.CancelProcedure},
		{Name: "Sleep", Doc: "Wait.", Params: sleepParams{}, Body: sleep},
	}
}

// queued puts the runs of one target into one queue.
func queued(kind string) func(schema.Target) string {
	return func(t schema.Target) string { return kind + ":" + t.ID }
}

type cancelParams struct {
	Procedure string `json:"procedure" doc:"Name or id of the procedure."`
	UpdateID  string `json:"update_id,omitempty" doc:"Only this run; all that go on when empty."`
}

type sleepParams struct {
	Duration int64 `json:"duration_ms" doc:"How long, in milliseconds."`
}

func sleep(ctx context.Context, r *run.Run) (run.Outcome, error) {
	var p sleepParams
	if err := json.Unmarshal(r.Record().Params, &p); err != nil {
		return run.Outcome{}, schema.Wrap(schema.Invalid, err, "Sleep: %v", err)
	}
	return run.Outcome{}, r.Sleep(ctx, "sleep", time.Duration(p.Duration)*time.Millisecond)
}
