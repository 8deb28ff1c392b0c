package periphery

import (
	"context"
	"encoding/json"
	"os"
	"sync"
	"time"

	"berth/bus"
	"berth/periphery/journal"
	"berth/schema"
)

// LocalReq asks for a deploy on the server itself, with what the agent knows.
type LocalReq struct {
	Stack    string   `json:"stack"` // name or id
	Services []string `json:"services,omitempty"`
	// Pull fetches the newest commit of the branch and the newest images, instead of
	// deploying what was deployed last.
	Pull bool `json:"pull,omitempty"`
	// By is the name of the user who asks.
	By string `json:"by"`
}

// localWork is what the journal keeps beside the command of a deploy without core.
type localWork struct {
	schema.Command
	Local *localInfo `json:"local,omitempty"`
}

// localInfo says who deployed, and why core had no part in it.
type localInfo struct {
	Stack    string   `json:"stack"`
	Services []string `json:"services,omitempty"`
	By       string   `json:"by"`
	Why      string   `json:"why,omitempty"`
}

// localResult is what the journal keeps of its end.
type localResult struct {
	schema.Result
	Output []schema.Entry `json:"output,omitempty"`
}

const (
	localTimeout = time.Hour // of a deploy without core that names none
	maxKeptLines = 2000      // of output that is told to core later
	maxKeptBytes = 256 << 10
)

// up deploys a stack with what is kept of its last deploy. The outcome is journaled
// and reported to core when that is there. life is the agent's; show sees output
// as it comes.
func (a *Agent) up(ctx, life context.Context, req LocalReq, why string, show func(schema.Entry)) (schema.Result, error) {
	k, err := a.kept(req.Stack)
	if err != nil {
		return schema.Result{}, err
	}
	run := schema.NewID()
	cmd := schema.Command{
		ID: schema.LocalCommand(run), Run: run, Step: "deploy", Verb: schema.StackUp.Name, Key: "stack-" + k.Req.ID, Queued: time.Now().UnixMilli(),
	}
	wctx, err := a.await(ctx, cmd, show)
	if err != nil {
		return schema.Result{}, err
	}
	defer a.drop(cmd.ID, false)
	up, err := a.localRequest(wctx, k, req)
	if err == nil {
		cmd.Args, err = json.Marshal(up)
	}
	if err != nil {
		return schema.Result{}, err
	}
	meta, err := json.Marshal(localWork{cmd, &localInfo{Stack: k.Req.ID, Services: req.Services, By: req.By, Why: why}})
	if err == nil {
		err = a.journal.Start(cmd.ID, 0, meta)
	}
	if err != nil {
		return schema.Result{}, schema.Wrap(schema.Failed, err, "journal the deploy of stack %q: check the disk below %s", k.Req.Name, a.cfg.Data)
	}
	limit := time.Duration(up.Config.DeployTimeout) * time.Second
	if limit <= 0 {
		limit = localTimeout
	}
	bounded, stop := context.WithTimeoutCause(wctx, limit, schema.Errorf(schema.Expired, "not done within %s", limit))
	defer stop()
	return a.doLocal(bounded, life, cmd, k, show), nil
}

// doLocal does the command and journals its result.
func (a *Agent) doLocal(ctx, life context.Context, cmd schema.Command, k *keptStack, show func(schema.Entry)) schema.Result {
	tee := &teeSink{show: show}
	began := time.Now()
	job := a.newJobTo(life, tee, cmd)
	job.kept = k
	value, err := a.call(ctx, job, cmd)
	if cause := context.Cause(ctx); err != nil && cause != nil && life.Err() == nil {
		err = schema.Wrap(schema.CodeOf(cause), err, "%s", schema.SafeText(cause))
	}
	lines, cut := job.out.finish(context.WithoutCancel(life), err)
	res := schema.Result{
		Command: cmd.ID, Run: cmd.Run, Step: cmd.Step, Value: value, Problem: schema.ProblemOf(err), Phases: job.phases(),
		Took: time.Since(began).Milliseconds(), Lines: min(lines, maxKeptLines), Cut: cut + max(0, lines-maxKeptLines),
	}
	if res.Problem != nil {
		res.Problem.Text, res.Value = job.mask.Mask(res.Problem.Text), nil
	}
	if life.Err() != nil && res.Problem != nil {
		return res // the agent stops: the next start looks at what is there
	}
	data, err := encode(res)
	if err == nil && json.Unmarshal(data, &res) == nil {
		data, err = json.Marshal(localResult{res, tee.kept})
	}
	if err == nil {
		err = a.journal.Done(cmd.ID, data)
	}
	if err != nil {
		a.log.Error("journal a deploy without core", "command", cmd.ID, "err", err)
	}
	a.unspool(cmd.ID)
	a.poke(a.results)
	a.poke(a.refresh)
	return res
}

// await claims the command once nothing else is done to the same stack.
func (a *Agent) await(ctx context.Context, cmd schema.Command, show func(schema.Entry)) (context.Context, error) {
	for said := false; ; said = true {
		if wctx, ok := a.claim(ctx, cmd); ok {
			return wctx, nil
		}
		if !said {
			show(schema.Entry{Kind: schema.EntryLine, At: time.Now().UnixMilli(), Text: "waiting for other work on the same stack"})
		}
		if err := bus.Sleep(ctx, heldRetry); err != nil {
			return nil, schema.Errorf(schema.Canceled, "canceled while other work on the same stack went on")
		}
	}
}

// localRequest is the request of the last deploy, made anew. Nothing is fetched,
// unless that is asked for.
func (a *Agent) localRequest(ctx context.Context, k *keptStack, req LocalReq) (schema.StackUpReq, error) {
	up := k.Req
	up.Services = req.Services
	up.Config.Reclone = false
	up.Config.AutoPull = up.Config.AutoPull && req.Pull
	var source *schema.GitSource
	if up.Repo != nil {
		repo := *up.Repo
		repo.Reclone, repo.Clone = false, false
		up.Repo, source = &repo, &repo.Source
	} else if up.Source != nil {
		src := *up.Source
		up.Source, source = &src, &src
	}
	if source == nil || !req.Pull {
		return up, nil
	}
	var n needs
	gitNeeds(&n, source)
	know := &known{}
	var err error
	if know.SecretsResp, err = k.answer(a, n); err != nil {
		return up, err
	}
	src, err := know.source(*source)
	if err != nil {
		return up, err
	}
	src.Commit = ""
	head, err := a.git.Resolve(ctx, src)
	if err != nil {
		return up, schema.Wrap(schema.CodeOf(err), err, "%s; without --pull the commit that was deployed last (%s) is deployed again, from the clone", schema.SafeText(err), short(source.Commit))
	}
	source.Commit = head.Hash
	return up, nil
}

// adopt tells core of a deploy without it; false to try again later.
func (a *Agent) adopt(ctx context.Context, e journal.Entry, w localWork) bool {
	var res localResult
	if err := json.Unmarshal(e.Result, &res); err != nil {
		a.log.Error("read a journaled result", "command", e.ID, "err", err)
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, reportWait)
	defer cancel()
	if !a.conn.Connected() {
		return false
	}
	for first := 0; first < len(res.Output); first += flushEntries {
		err := a.conn.Emit(ctx, schema.Output{
			Run: w.Run, Step: w.Step, Command: w.ID, First: first,
			Entries: res.Output[first:min(first+flushEntries, len(res.Output))], End: first+flushEntries >= len(res.Output),
		})
		if err != nil {
			return false
		}
	}
	if err := a.conn.Flush(ctx); err != nil {
		return false
	}
	host, _ := os.Hostname() // only a label
	resp, err := bus.Request(ctx, a.conn, schema.AskAdopt, schema.AdoptReq{
		Run: w.Run, Stack: w.Local.Stack, Services: w.Local.Services, By: w.Local.By, Host: host, Why: w.Local.Why,
		Started: e.Started.UnixMilli(), Ended: e.Ended.UnixMilli(), Result: res.Result,
	})
	switch code := schema.CodeOf(err); {
	case err == nil:
		a.log.Info("a deploy without core is in its history", "run", resp.Number)
	case code == schema.Denied || code == schema.NotFound || code == schema.Invalid || code == schema.Conflict || code == schema.TooLarge:
		a.log.Warn("core does not take a deploy without it into its history", "stack", w.Local.Stack, "err", err)
	default:
		a.log.Debug("report a deploy without core; it is tried again", "err", err)
		return false
	}
	if err := a.journal.Reported(e.ID); err != nil {
		a.log.Warn("journal that a result was reported", "command", e.ID, "err", err)
	}
	return true
}

// teeSink prints output and keeps it for core, within bounds. Emit is called by one
// goroutine.
type teeSink struct {
	show func(schema.Entry)
	mu   sync.Mutex // guards what follows
	kept []schema.Entry
	size int
}

// Emit takes a chunk.
func (t *teeSink) Emit(_ context.Context, out schema.Output) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range out.Entries {
		t.show(e)
		if e.Kind == schema.EntryProgress || len(t.kept) >= maxKeptLines || t.size > maxKeptBytes {
			continue
		}
		t.kept = append(t.kept, e)
		t.size += len(e.Text) + 64
	}
	return nil
}

// Flush has nothing to wait for.
func (*teeSink) Flush(context.Context) error { return nil }

// whyWithout says how it comes that core has no part in a deploy.
func (a *Agent) whyWithout() string {
	switch {
	case a.conn == nil:
		return "while the agent was not running"
	case !a.conn.Connected():
		return "while core was away"
	}
	return ""
}
