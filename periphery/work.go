package periphery

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"berth/bus"
	"berth/schema"
)

const (
	tick       = 3 * time.Second        // how often to ask for work without being told
	heldRetry  = 300 * time.Millisecond // how often to ask again for a key that others hold
	renewEvery = 5 * time.Second
	renewWait  = 4 * time.Second // for core's answer
)

// listen takes core's notices and questions.
func (a *Agent) listen() error {
	if err := a.conn.OnNotify(bus.NoticeNudge, func(json.RawMessage) { a.poke(a.nudge) }); err != nil {
		return err
	}
	err := a.conn.OnNotify(bus.NoticeCancel, func(payload json.RawMessage) {
		var req schema.BeginReq
		if json.Unmarshal(payload, &req) == nil {
			a.cancel(req.Command, "")
		}
	})
	if err != nil {
		return err
	}
	return a.questions()
}

// cancel ends a command that is in hand, for a reason that core gave.
func (a *Agent) cancel(command, reason string) {
	a.mu.Lock()
	h, ok := a.hand[command]
	a.mu.Unlock()
	if !ok {
		return
	}
	if reason == "" {
		reason = "canceled"
	}
	h.end(schema.Errorf(schema.Canceled, "%s", reason))
}

// work takes commands until ctx ends, then waits for those in hand to let go. What
// is in hand then is found in the journal at the next start.
func (a *Agent) work(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	broken := a.journal.Unfinished() // those of an earlier process
	a.cleanSpool(broken)
	wg.Go(func() { a.cleanHandovers(ctx, broken) })
	wg.Go(func() { a.afterCrash(ctx, broken) })
	wg.Go(func() { a.reportAll(ctx) })
	slots := make(chan struct{}, a.cfg.Workers)
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		pending, err := bus.Request(ctx, a.conn, schema.AskPending, struct{}{})
		if err != nil && ctx.Err() == nil {
			a.log.Debug("ask for commands", "err", err)
		}
		if err == nil {
			a.forget(pending.Commands)
		}
		for _, cmd := range pending.Commands {
			if wctx, ok := a.claim(ctx, cmd); ok {
				wg.Go(func() { a.take(ctx, wctx, cmd, slots) })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.nudge:
		case <-t.C:
		}
	}
}

// claim takes a command into the hand, if it is new to this process and to the
// journal and no older one with the same key is in hand: those are done in the
// order in which they were queued. The context ends when it is canceled.
func (a *Agent) claim(ctx context.Context, cmd schema.Command) (context.Context, bool) {
	if a.journal.Seen(cmd.ID) {
		return nil, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.hand[cmd.ID]; ok || a.gone[cmd.ID] {
		return nil, false
	}
	for _, h := range a.hand {
		if cmd.Key != "" && h.key == cmd.Key {
			return nil, false
		}
	}
	ctx, end := context.WithCancelCause(ctx)
	a.hand[cmd.ID] = inHand{key: cmd.Key, end: end}
	return ctx, true
}

// drop lets go of a command; the next one of its key may be waiting.
func (a *Agent) drop(id string, gone bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hand[id].end(nil)
	delete(a.hand, id)
	if gone {
		a.gone[id] = true
	}
	a.poke(a.nudge)
}

// forget drops the memory of unwanted commands that core has taken off the queue.
func (a *Agent) forget(pending []schema.Command) {
	a.mu.Lock()
	defer a.mu.Unlock()
	still := map[string]bool{}
	for _, cmd := range pending {
		if a.gone[cmd.ID] {
			still[cmd.ID] = true
		}
	}
	a.gone = still
}

// take begins a command as soon as core lets it, does it, and has it reported. ctx
// is the agent's life, wctx the command's.
func (a *Agent) take(ctx, wctx context.Context, cmd schema.Command, slots chan struct{}) {
	begin, ok := a.begin(wctx, cmd, slots)
	if !ok {
		if begin.Verdict == "" && wctx.Err() == nil { // core did not answer: not before the next tick
			_ = bus.Sleep(wctx, tick)
		}
		a.drop(cmd.ID, begin.Verdict == schema.VerdictGone || begin.Verdict == schema.VerdictCanceled)
		return
	}
	defer func() { <-slots; a.drop(cmd.ID, false) }()
	if err := a.journal.Start(cmd.ID, begin.Fence, meta(cmd)); err != nil {
		a.log.Error("journal a command", "command", cmd.ID, "err", err)
		if schema.CodeOf(err) != schema.Conflict { // nothing was done, and nothing will be
			a.tellFault(ctx, cmd, err)
		}
		return
	}
	res := a.do(ctx, wctx, cmd, begin)
	if ctx.Err() != nil && res.Problem != nil {
		return // the agent stops: the next start looks at what is there
	}
	a.finish(ctx, res)
}

// begin asks core for the command until it is ours, or not wanted any more. When
// it is ours, it has one of the slots.
func (a *Agent) begin(ctx context.Context, cmd schema.Command, slots chan struct{}) (schema.BeginResp, bool) {
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return schema.BeginResp{}, false
		}
		resp, err := bus.Request(ctx, a.conn, schema.AskBegin, schema.BeginReq{Command: cmd.ID})
		if err == nil && resp.Verdict == schema.VerdictGo {
			return resp, true
		}
		<-slots
		if err != nil {
			a.log.Debug("ask to begin", "command", cmd.ID, "err", err)
			return schema.BeginResp{}, false
		}
		if resp.Verdict != schema.VerdictHeld || bus.Sleep(ctx, heldRetry) != nil {
			return resp, false
		}
	}
}

// do runs the verb under the lease and within the bounds that core set.
func (a *Agent) do(ctx, wctx context.Context, cmd schema.Command, begin schema.BeginResp) schema.Result {
	started := time.Now()
	limit := time.Duration(begin.Left) * time.Millisecond
	if limit <= 0 {
		limit = max(time.Duration(cmd.Timeout)*time.Millisecond, time.Minute)
	}
	bounded, stop := context.WithTimeoutCause(wctx, limit, schema.Errorf(schema.Expired, "not done within %s", limit))
	var renewal sync.WaitGroup
	renewal.Go(func() { a.renew(bounded, cmd.ID, begin.Fence) })
	job := a.newJob(ctx, cmd)
	value, err := a.call(bounded, job, cmd)
	if cause := context.Cause(bounded); err != nil && cause != nil && ctx.Err() == nil {
		err = schema.Wrap(schema.CodeOf(cause), err, "%s", schema.SafeText(cause))
	}
	stop()
	renewal.Wait()
	if ctx.Err() != nil && job.handed.Load() { // whoever comes after this process reports it
		job.out.drop()
		return schema.Result{Command: cmd.ID, Problem: schema.ProblemOf(ctx.Err())}
	}
	if job.touched.Load() {
		a.show(ctx, job)
	}
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
			a.log.Error("panic in a command", "command", cmd.ID, "verb", cmd.Verb, "panic", job.mask.Mask(fmt.Sprint(p)), "stack", string(debug.Stack()))
			err = schema.Errorf(schema.Internal, "internal error in %s: the log of the agent has more", cmd.Verb)
		}
	}()
	v, ok := a.verbs[cmd.Verb]
	if !ok {
		return nil, schema.Errorf(schema.Unsupported, "this agent (%s) does not know %q: update it", a.cfg.Version, cmd.Verb)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return v.do(ctx, job, cmd.Args)
}

// renew keeps the lease until ctx ends, and ends the work when core says so. While
// core is away nobody else can be given the lease.
func (a *Agent) renew(ctx context.Context, command string, fence uint64) {
	t := time.NewTicker(renewEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		ask, cancel := context.WithTimeout(ctx, renewWait)
		resp, err := bus.Request(ask, a.conn, schema.AskRenew, schema.BeginReq{Command: command, Fence: fence})
		cancel()
		if err != nil {
			continue
		}
		fence = max(fence, resp.Fence)
		if resp.Verdict != schema.VerdictGo {
			a.cancel(command, resp.Reason)
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
