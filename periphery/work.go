package periphery

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"berth/bus"
	"berth/periphery/journal"
	"berth/schema"
)

const (
	tick        = 3 * time.Second        // how often to ask for work without being told
	heldRetry   = 300 * time.Millisecond // how often to ask again for a key that others hold
	renewEvery  = 5 * time.Second
	reportRetry = 2 * time.Second
)

// listen takes core's notices and questions.
func (a *Agent) listen() error {
	if err := a.conn.OnNotify(bus.NoticeNudge, func(json.RawMessage) { a.poke(a.nudge) }); err != nil {
		return err
	}
	err := a.conn.OnNotify(bus.NoticeCancel, func(payload json.RawMessage) {
		var req schema.BeginReq
		if json.Unmarshal(payload, &req) == nil {
			a.cancel(req.Command, schema.Errorf(schema.Canceled, "canceled"))
		}
	})
	if err != nil {
		return err
	}
	return a.questions()
}

func (a *Agent) cancel(command string, cause error) {
	a.mu.Lock()
	end := a.running[command]
	a.mu.Unlock()
	if end != nil {
		end(cause)
	}
}

// work takes commands until ctx ends, then waits for those in hand to let go. What
// is in hand then is found in the journal at the next start.
func (a *Agent) work(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	a.afterCrash(ctx)
	wg.Go(func() { a.reportAll(ctx) })
	slots := make(chan struct{}, a.cfg.Workers)
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		pending, err := bus.Request(ctx, a.conn, schema.AskPending, struct{}{})
		if err != nil && ctx.Err() == nil {
			a.log.Debug("ask for commands", "err", err)
		}
		for _, cmd := range pending.Commands {
			if !a.claim(cmd.ID) {
				continue
			}
			wg.Go(func() { a.take(ctx, cmd, slots) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.nudge:
		case <-t.C:
		}
	}
}

// claim reports whether the command is new to this process and to the journal.
func (a *Agent) claim(id string) bool {
	if a.journal.Seen(id) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.running[id]; ok {
		return false
	}
	a.running[id] = func(error) {}
	return true
}

func (a *Agent) drop(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.running, id)
}

// take begins a command as soon as core lets it, does it, and reports.
func (a *Agent) take(ctx context.Context, cmd schema.Command, slots chan struct{}) {
	defer a.drop(cmd.ID)
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return
	}
	begin, ok := a.begin(ctx, cmd)
	if !ok {
		return
	}
	if err := a.journal.Start(cmd.ID, begin.Fence, meta(cmd)); err != nil {
		a.log.Error("journal a command", "command", cmd.ID, "err", err)
		return // not acted on: it stays queued, and is taken again
	}
	res := a.do(ctx, cmd, begin)
	if ctx.Err() != nil && res.Problem != nil {
		return // the agent stops: the next start looks at what is there
	}
	a.finish(ctx, res)
}

// begin asks core for the command until it is ours, or not wanted any more.
func (a *Agent) begin(ctx context.Context, cmd schema.Command) (schema.BeginResp, bool) {
	for {
		resp, err := bus.Request(ctx, a.conn, schema.AskBegin, schema.BeginReq{Command: cmd.ID})
		switch {
		case err != nil:
			a.log.Debug("ask to begin", "command", cmd.ID, "err", err)
			return resp, false // asked again with the next tick
		case resp.Verdict == schema.VerdictGo:
			return resp, true
		case resp.Verdict != schema.VerdictHeld:
			return resp, false
		}
		if bus.Sleep(ctx, heldRetry) != nil {
			return resp, false
		}
	}
}

// do runs the verb under the lease and within the bounds that core set.
func (a *Agent) do(ctx context.Context, cmd schema.Command, begin schema.BeginResp) schema.Result {
	started := time.Now()
	limit := time.Duration(begin.Left) * time.Millisecond
	bounded, stop := context.WithTimeoutCause(ctx, limit, schema.Errorf(schema.Expired, "not done within %s", limit))
	defer stop()
	wctx, cancel := context.WithCancelCause(bounded)
	defer cancel(nil)
	a.mu.Lock()
	a.running[cmd.ID] = cancel
	a.mu.Unlock()
	renewed := make(chan struct{})
	go func() { defer close(renewed); a.renew(wctx, cmd.ID, begin.Fence, cancel) }()
	job := a.newJob(cmd)
	value, err := a.call(wctx, job, cmd)
	if err != nil && wctx.Err() != nil && ctx.Err() == nil {
		err = context.Cause(wctx)
	}
	cancel(nil)
	<-renewed
	lines, cut := job.out.finish(context.WithoutCancel(ctx), err)
	res := schema.Result{
		Command: cmd.ID, Run: cmd.Run, Step: cmd.Step, Value: value, Problem: schema.ProblemOf(err), Phases: job.phases(),
		Took: time.Since(started).Milliseconds(), Lines: lines, Cut: cut,
	}
	if res.Problem != nil {
		if res.Problem.Code == schema.Internal {
			a.log.Error("command ended by a fault", "command", cmd.ID, "verb", cmd.Verb, "err", job.mask.Mask(err.Error()))
		}
		res.Problem.Text = job.mask.Mask(res.Problem.Text)
		res.Value = nil
	}
	return res
}

func (a *Agent) call(ctx context.Context, job *Job, cmd schema.Command) (value json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("panic in a command", "command", cmd.ID, "verb", cmd.Verb, "panic", p)
			err = schema.Errorf(schema.Internal, "internal error in %s", cmd.Verb)
		}
	}()
	v, ok := a.verbs[cmd.Verb]
	if !ok {
		return nil, schema.Errorf(schema.Unsupported, "this agent (%s) does not know %q: update it", a.cfg.Version, cmd.Verb)
	}
	return v.do(ctx, job, cmd.Args)
}

// renew keeps the lease until ctx ends, and ends the work when core says so.
func (a *Agent) renew(ctx context.Context, command string, fence uint64, cancel context.CancelCauseFunc) {
	t := time.NewTicker(renewEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		resp, err := bus.Request(ctx, a.conn, schema.AskRenew, schema.BeginReq{Command: command, Fence: fence})
		if err != nil {
			continue // core is away: nobody else can be given the lease meanwhile
		}
		fence = max(fence, resp.Fence)
		if resp.Verdict != schema.VerdictGo {
			cancel(schema.Errorf(schema.Canceled, "%s", resp.Reason))
			return
		}
	}
}

// finish journals a result, then tells core.
func (a *Agent) finish(ctx context.Context, res schema.Result) {
	data, err := json.Marshal(res)
	if err == nil {
		err = a.journal.Done(res.Command, data)
	}
	if err != nil {
		a.log.Error("journal a result", "command", res.Command, "err", err)
	}
	a.report(ctx, res)
	a.poke(a.refresh)
}

func (a *Agent) report(ctx context.Context, res schema.Result) {
	err := a.conn.Report(ctx, res.Command, res)
	if err == nil {
		err = a.journal.Reported(res.Command)
	}
	if err != nil && ctx.Err() == nil {
		a.log.Warn("report a result; it is tried again", "command", res.Command, "err", err)
	}
}

// reportAll tells core results that it has not confirmed, until ctx ends.
func (a *Agent) reportAll(ctx context.Context) {
	for {
		for _, r := range a.journal.Unreported() {
			var res schema.Result
			if err := json.Unmarshal(r.Result, &res); err != nil {
				a.log.Error("read a journaled result", "command", r.ID, "err", err)
				continue
			}
			a.report(ctx, res)
		}
		if bus.Sleep(ctx, reportRetry) != nil {
			return
		}
	}
}

// meta is what the journal keeps of a command to look at reality after a crash.
func meta(cmd schema.Command) json.RawMessage {
	data, err := json.Marshal(cmd)
	if err != nil {
		return nil
	}
	return data
}

// afterCrash answers what an earlier process began and did not finish: each verb
// looks at what is there, and says interrupted rather than guess.
func (a *Agent) afterCrash(ctx context.Context) {
	for _, r := range a.journal.Unfinished() {
		var cmd schema.Command
		if err := json.Unmarshal(r.Meta, &cmd); err != nil {
			cmd.ID = r.ID
		}
		a.finish(ctx, a.look(ctx, r, cmd))
	}
}

func (a *Agent) look(ctx context.Context, r journal.Entry, cmd schema.Command) schema.Result {
	res := schema.Result{Command: r.ID, Run: cmd.Run, Step: cmd.Step}
	note := "nothing is known of what it did"
	if v, ok := a.verbs[cmd.Verb]; ok && v.look != nil {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		value, found, err := v.look(ctx, cmd.Args)
		if err == nil && value != nil {
			res.Value = value
			return res
		}
		note = found
		if err != nil {
			note = fmt.Sprintf("what is there could not be looked at: %s", schema.SafeText(err))
		}
	}
	res.Problem = schema.ProblemOf(schema.Errorf(schema.Interrupted, "the agent was restarted while it worked on %s: %s", cmd.Verb, note))
	return res
}
