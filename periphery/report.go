package periphery

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"berth/bus"
	"berth/periphery/journal"
	"berth/schema"
)

const (
	reportRetry = 2 * time.Second
	reportWait  = 10 * time.Second
	// maxResult bounds a result in bytes: it has to fit into a message, and so has
	// the next command, which carries what a deploy left behind.
	maxResult = 600 << 10
)

// finish journals a result and has it told to core.
func (a *Agent) finish(ctx context.Context, res schema.Result) {
	data, err := encode(res)
	if err == nil {
		err = a.journal.Done(res.Command, data)
	}
	if err != nil { // the next start looks again, and core takes the first answer
		a.log.Error("journal a result", "command", res.Command, "err", err)
		a.send(ctx, res)
	}
	a.unspool(res.Command)
	a.forgetHandover(context.WithoutCancel(ctx), res.Command)
	a.poke(a.results)
	a.poke(a.refresh)
}

// encode is a result as it is journaled; one that is too large for the bus becomes
// a problem that says so, instead of never arriving.
func encode(res schema.Result) ([]byte, error) {
	data, err := json.Marshal(res)
	if err != nil || len(data) <= maxResult {
		return data, err
	}
	res.Problem = schema.ProblemOf(schema.Errorf(schema.TooLarge,
		"it was done, but what it left behind takes %d KiB to say and the limit is %d: mount fewer single files, or whole folders", len(data)>>10, maxResult>>10))
	res.Value = nil
	return json.Marshal(res)
}

// tellFault answers a command that cannot even be journaled.
func (a *Agent) tellFault(ctx context.Context, cmd schema.Command, cause error) {
	a.send(ctx, schema.Result{
		Command: cmd.ID, Run: cmd.Run, Step: cmd.Step,
		Problem: schema.ProblemOf(schema.Wrap(schema.Failed, cause, "the agent cannot keep its journal and takes no work: check the disk below %s on the server, then restart the agent", a.cfg.Data)),
	})
}

// send tells core a result once; false when core has not confirmed it.
func (a *Agent) send(ctx context.Context, res schema.Result) bool {
	ctx, cancel := context.WithTimeout(ctx, reportWait)
	defer cancel()
	err := a.conn.Report(ctx, res.Command, res)
	if err != nil {
		a.log.Debug("report a result; it is tried again", "command", res.Command, "err", err)
	}
	return err == nil
}

// reportAll tells core results until it has confirmed them, until ctx ends.
func (a *Agent) reportAll(ctx context.Context) {
	for {
		var again <-chan time.Time
		for _, r := range a.journal.Unreported() {
			if !a.report(ctx, r) {
				again = time.After(reportRetry)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-a.results:
		case <-again:
		}
	}
}

func (a *Agent) report(ctx context.Context, r journal.Entry) bool {
	var w localWork
	if json.Unmarshal(r.Meta, &w) == nil && w.Local != nil {
		return a.adopt(ctx, r, w)
	}
	var res schema.Result
	if err := json.Unmarshal(r.Result, &res); err != nil {
		a.log.Error("read a journaled result", "command", r.ID, "err", err)
		return true // it would not be better the next time
	}
	if !a.send(ctx, res) {
		return false
	}
	if err := a.journal.Reported(r.ID); err != nil {
		a.log.Warn("journal that a result was reported", "command", r.ID, "err", err)
	}
	return true
}

// lookWait is how long the engine may take to be there after a crash: host and
// engine may be starting as well.
const lookWait = time.Minute

// afterCrash answers what an earlier process began and did not finish: each verb
// looks at what is there, and says interrupted rather than guess.
func (a *Agent) afterCrash(ctx context.Context, broken []journal.Entry) {
	var g sync.WaitGroup
	defer g.Wait()
	for _, r := range broken {
		if _, err := os.Stat(a.handFile(r.ID, "handover")); err == nil {
			g.Go(func() { a.conclude(ctx, r) })
			continue
		}
		a.conclude(ctx, r)
	}
}

// conclude finds out what became of a command, and has it reported.
func (a *Agent) conclude(ctx context.Context, r journal.Entry) {
	var cmd schema.Command
	if err := json.Unmarshal(r.Meta, &cmd); err != nil {
		cmd.ID = r.ID
	}
	res, ok := a.takeOver(ctx, r, cmd)
	if !ok && ctx.Err() == nil {
		res = a.look(ctx, r.ID, cmd)
	}
	if ctx.Err() == nil { // else the next process looks at it
		a.finish(ctx, res)
	}
}

func (a *Agent) look(ctx context.Context, id string, cmd schema.Command) schema.Result {
	res := schema.Result{Command: id, Run: cmd.Run, Step: cmd.Step}
	note := "nothing is known of what it did"
	if v, ok := a.verbs[cmd.Verb]; ok && v.look != nil {
		value, found, err := a.lookAt(ctx, v, cmd)
		if err == nil && value != nil {
			a.log.Info("a command was done before the agent was restarted", "command", id, "verb", cmd.Verb)
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

// lookAt calls the verb's look, again as long as the engine does not answer yet.
func (a *Agent) lookAt(ctx context.Context, v verb, cmd schema.Command) (json.RawMessage, string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	for {
		value, found, err := v.look(ctx, cmd)
		if schema.CodeOf(err) != schema.Unavailable || bus.Sleep(ctx, time.Second) != nil {
			return value, found, err
		}
	}
}
