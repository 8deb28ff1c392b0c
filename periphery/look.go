package periphery

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth/bus"
	"berth/periphery/compose"
	"berth/schema"
)

// soonWait is how long containers that are only about to be healthy are waited for
// when an interrupted deploy is looked at.
const soonWait = 20 * time.Second

// stackLook tells, after a crash, whether the deploy had come to its end: whether
// what was noted before the first container was touched is what is there.
func (a *Agent) stackLook(ctx context.Context, command string, req schema.StackUpReq) (*schema.StackUpResp, string, error) {
	want, err := a.spooled(command)
	if err != nil {
		return nil, "", err
	}
	if want == nil {
		return nil, "no container had been touched yet", nil
	}
	if _, err := a.deploy.Settle(ctx, want.Goal.Project, self()); err != nil {
		return nil, "", err
	}
	deadline := time.Now().Add(soonWait)
	var (
		res   compose.Result
		found compose.Found
	)
	for {
		if res, found, err = a.deploy.Reached(ctx, want.Goal); err != nil {
			return nil, "", err
		}
		if !found.Soon || time.Now().After(deadline) {
			break
		}
		if err := bus.Sleep(ctx, 250*time.Millisecond); err != nil {
			return nil, "", err
		}
	}
	switch {
	case !found.Reached:
		return nil, found.Words, nil
	case req.Config.PostDeploy.Command != "":
		return nil, "all containers are as wanted, but whether post_deploy ran is not known", nil
	case slices.ContainsFunc(req.Config.ConfigFiles, func(f schema.FileDep) bool { return f.Requires == schema.RequiresRestart }):
		return nil, "all containers are as wanted, but whether those of changed config files were restarted is not known", nil
	}
	resp := want.Resp
	resp.Recreated, resp.Deployed = res.Recreated, a.deployed(req, resp.Commit, want.Base, res)
	resp.Warnings = append(resp.Warnings, "the agent was restarted meanwhile; all of the deploy was found in place")
	if resp.Decision.Reason == "asked for" {
		resp.Decision.Reason = "asked for: " + recreated(res)
	}
	return &resp, "", nil
}

// stackDoLook tells, after a crash, whether containers are in the state that the
// verb leaves them in. A restart or a pull leaves nothing to tell it by.
func (a *Agent) stackDoLook(ctx context.Context, _ string, req schema.StackDoReq) (*schema.StackDoResp, string, error) {
	want := map[string]string{"start": "running", "unpause": "running", "stop": "exited", "pause": "paused", "down": ""}
	state, known := want[req.Verb]
	all, err := a.deploy.State(ctx, req.Project)
	if err != nil {
		return nil, "", err
	}
	var words, names []string
	for _, s := range all {
		if len(req.Services) > 0 && !slices.Contains(req.Services, s.Name) {
			continue
		}
		words = append(words, s.Name+" is "+s.State)
		for _, c := range s.Containers {
			names = append(names, c.Name)
			known = known && c.State == state
		}
	}
	if len(words) == 0 {
		words, known = []string{fmt.Sprintf("project %q has no containers", req.Project)}, known && state == ""
	}
	if !known {
		return nil, strings.Join(words, ", "), nil
	}
	return &schema.StackDoResp{Changed: names, Warnings: []string{"the agent was restarted meanwhile; " + strings.Join(words, ", ")}}, "", nil
}
