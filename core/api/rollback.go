package api

import (
	"context"
	"encoding/json"
	"slices"

	"berth/schema"
)

// rollbackParams names a stack and, if not the last good one, a commit.
type rollbackParams struct {
	Stack  string `json:"stack" alias:"id,name" doc:"Name or id."`
	Commit string `json:"commit,omitempty" doc:"Commit to go back to, in full."`
}

// rollback starts a deploy of an earlier commit. The branch is not touched: the next
// push deploys what is newest then.
func (a *API) rollback(ctx context.Context, p rollbackParams) (Update, error) {
	v, err := a.stack(ctx, p.Stack)
	if err != nil {
		return Update{}, err
	}
	if p.Commit == "" {
		if p.Commit, err = a.earlierCommit(ctx, v); err != nil {
			return Update{}, err
		}
	}
	params, err := json.Marshal(map[string]string{"stack": v.Resource.ID, "commit": p.Commit})
	if err != nil {
		return Update{}, err
	}
	r, err := a.startOn(ctx, "DeployStack", v.Resource.Target("stack"), params)
	if err != nil {
		return Update{}, err
	}
	return updateOf(r), nil
}

// earlierCommit is the commit of the last good deploy of another one than what runs.
func (a *API) earlierCommit(ctx context.Context, v schema.StackView) (string, error) {
	if v.Deployed == nil || v.Deployed.Commit == "" {
		return "", schema.Errorf(schema.Conflict, "stack %q was not deployed from a repository: there is nothing to go back to", v.Resource.Name)
	}
	runs, err := a.deps.Engine.List(ctx, schema.RunFilter{Kind: "stack", Target: v.Resource.ID, States: []schema.RunState{schema.StateSucceeded}, Limit: 1000})
	if err != nil {
		return "", err
	}
	good := func(r *schema.Run) bool {
		return r.Commit != "" && r.Commit != v.Deployed.Commit && r.Decision != nil && r.Decision.What == "deploy"
	}
	if i := slices.IndexFunc(runs, good); i >= 0 {
		return runs[i].Commit, nil
	}
	return "", schema.Errorf(schema.Conflict, "no good deploy of stack %q of another commit than %s is known: name the commit", v.Resource.Name, short(v.Deployed.Commit))
}
