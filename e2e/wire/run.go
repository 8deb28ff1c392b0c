package wire

import (
	"context"
	"time"
)

// Run is a run as GetRun answers it: what a test looks at of it.
type Run struct {
	ID       string    `json:"id"`
	Number   uint64    `json:"number"`
	Action   string    `json:"action"`
	Target   RunTarget `json:"target"`
	Server   RunTarget `json:"server"`
	Parent   string    `json:"parent"`
	Stage    string    `json:"stage"`
	Actor    RunTarget `json:"actor"`
	Cause    Cause     `json:"cause"`
	State    string    `json:"state"`
	Note     string    `json:"note"`
	Decision *Decision `json:"decision"`
	Commit   string    `json:"commit"`
	Message  string    `json:"message"`
	Problem  *Problem  `json:"problem"`
	Stages   []Stage   `json:"stages"`
	Steps    []Step    `json:"steps"`
	Queued   int64     `json:"queued"`
	Started  int64     `json:"started"`
	Ended    int64     `json:"ended"`
	Events   int       `json:"events"`
}

// Terminal reports whether the run has ended.
func (r Run) Terminal() bool { return r.Ended != 0 }

// Why is the run's problem, or its note.
func (r Run) Why() string {
	if r.Problem != nil {
		return r.Problem.Code + ": " + r.Problem.Text
	}
	return r.Note
}

// RunTarget is what a run works on, where it does, and who wants it.
type RunTarget struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Cause is why there is a run.
type Cause struct {
	Kind     string `json:"kind"`
	Delivery string `json:"delivery"`
	Ref      string `json:"ref"`
	Repo     string `json:"repo"`
	Commit   string `json:"commit"`
	Message  string `json:"message"`
	By       string `json:"by"`
}

// Decision is what was decided for a target, and why.
type Decision struct {
	What     string   `json:"what"`
	Reason   string   `json:"reason"`
	Services []string `json:"services"`
	Changes  []string `json:"changes"`
}

// Problem is why something failed.
type Problem struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Stage is one stage of a procedure's run.
type Stage struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Total   int    `json:"total"`
	Started int64  `json:"started"`
	Ended   int64  `json:"ended"`
}

// Step is one step of a run.
type Step struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"`
	Stage   string   `json:"stage"`
	Command string   `json:"command"`
	Child   string   `json:"child"`
	State   string   `json:"state"`
	Note    string   `json:"note"`
	Queued  int64    `json:"queued"`
	Started int64    `json:"started"`
	Ended   int64    `json:"ended"`
	Problem *Problem `json:"problem"`
}

// Run reads a run by its id or number.
func (c *Client) Run(ctx context.Context, id string) (Run, error) {
	var r Run
	err := c.Call(ctx, "read", "GetRun", Params{"id": id}, &r)
	return r, err
}

// Runs lists runs, newest first; params as ListRuns takes them.
func (c *Client) Runs(ctx context.Context, params Params) ([]Run, error) {
	var list []Run
	err := c.Call(ctx, "read", "ListRuns", params, &list)
	return list, err
}

// AwaitRun reads a run until it is as wanted, or ctx ends; the last state is
// returned also then. A core that does not answer is asked again.
func (c *Client) AwaitRun(ctx context.Context, id string, is func(Run) bool) (Run, error) {
	var last Run
	err := poll(ctx, 50*time.Millisecond, func() (bool, error) {
		r, err := c.Run(ctx, id)
		if err == nil {
			last = r
		}
		return err == nil && is(r), nil
	})
	return last, err
}
