package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth/core/run"
	"berth/schema"
)

// counted is how many missed times are counted.
const counted = 1000

// runID is the id of the one run that a resource has for a time.
func runID(t schema.Target, due int64) string {
	return schema.DeriveID("schedule", t.Kind, t.ID, fmt.Sprint(due))
}

// attend does what is to be done about one schedule now. It reports whether a run
// is in the way of something owed.
func (r *Runner) attend(ctx context.Context, e *entry) (waits bool) {
	now := r.cfg.Clock.Now()
	if now.Before(e.retry) {
		return false
	}
	err := r.due(ctx, e, now)
	if err == nil && e.state.Owed != 0 {
		waits, err = r.makeUp(ctx, e, now)
	}
	if err != nil && ctx.Err() == nil {
		r.cfg.Log.Warn("a schedule is put off", "schedule", e.key(), "name", e.item.Target.Name, "err", err)
		r.again(e, err)
	}
	return waits
}

// due starts the run of the next time when it has come, or says why not.
func (r *Runner) due(ctx context.Context, e *entry, now time.Time) error {
	at := e.state.Next
	if at == 0 || now.UnixMilli() < at {
		return nil
	}
	rec, err := r.known(ctx, runID(e.item.Target, at))
	if err != nil || rec != nil {
		return r.started(ctx, e, at, rec, err)
	}
	inWay, err := r.inWay(ctx, e)
	if err != nil {
		return err
	}
	switch late := now.Sub(time.UnixMilli(at)); {
	case inWay != nil:
		why := fmt.Sprintf("run #%d, which the schedule started for %s, was still going on", inWay.Number, e.said(time.UnixMilli(e.state.Last)))
		return r.missed(ctx, e, miss{why: why, first: at, next: e.after(now), now: now, by: inWay.ID})
	case late > grace:
		return r.missed(ctx, e, miss{why: r.lateness(e, at), first: at, next: e.after(now.Add(-grace)), now: now})
	}
	rec, err = r.start(ctx, e, at)
	if err != nil && !temporary(err) {
		return r.missed(ctx, e, miss{why: "it could not start: " + schema.SafeText(err), first: at, next: e.after(now), now: now, lost: true})
	}
	return r.started(ctx, e, at, rec, err)
}

// lateness says why a time is noticed so late.
func (r *Runner) lateness(e *entry, at int64) string {
	switch {
	case e.trouble != "":
		return "core could not start it: " + e.trouble
	case e.stored && at < r.began.UnixMilli():
		return "core was not running"
	}
	return "core did not get to it: its machine was stopped, or its clock was set"
}

func temporary(err error) bool {
	again := []schema.Code{schema.Unavailable, schema.Internal, schema.Expired, schema.Conflict, schema.Canceled}
	return slices.Contains(again, schema.CodeOf(err))
}

// makeUp starts the run for a missed time when nothing is in its way.
func (r *Runner) makeUp(ctx context.Context, e *entry, now time.Time) (waits bool, err error) {
	at := e.state.Owed
	rec, err := r.known(ctx, runID(e.item.Target, at))
	if err != nil || rec != nil {
		return false, r.started(ctx, e, at, rec, err)
	}
	inWay, err := r.inWay(ctx, e)
	if err != nil {
		return false, err
	}
	r.await(e, inWay)
	if inWay != nil {
		return true, nil
	}
	rec, err = r.start(ctx, e, at)
	if err != nil && !temporary(err) {
		return false, r.missed(ctx, e, miss{why: "it could not start: " + schema.SafeText(err), first: at, next: e.state.Next, now: now, lost: true})
	}
	return false, r.started(ctx, e, at, rec, err)
}

// await listens for the end of the run that is in the way; nil for none.
func (r *Runner) await(e *entry, inWay *schema.Run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.blocked, e.state.LastRun)
	if inWay != nil {
		r.blocked[inWay.ID] = struct{}{}
	}
}

// known returns a run, or nil when there is none.
func (r *Runner) known(ctx context.Context, id string) (*schema.Run, error) {
	rec, err := r.cfg.Runs.Get(ctx, id)
	if schema.CodeOf(err) == schema.NotFound {
		return nil, nil //nolint:nilnil // none is an answer
	}
	return rec, err
}

// inWay returns the last run that the schedule started, if it still goes on.
func (r *Runner) inWay(ctx context.Context, e *entry) (*schema.Run, error) {
	if e.state.LastRun == "" {
		return nil, nil //nolint:nilnil // none is an answer
	}
	rec, err := r.known(ctx, e.state.LastRun)
	if err != nil || rec == nil || rec.State.Terminal() {
		return nil, err
	}
	return rec, nil
}

func (r *Runner) start(ctx context.Context, e *entry, at int64) (*schema.Run, error) {
	t := e.item.Target
	params, err := json.Marshal(map[string]string{t.Kind: t.ID})
	if err != nil {
		return nil, fmt.Errorf("encode parameters: %w", err)
	}
	return r.cfg.Runs.Start(ctx, run.StartReq{
		ID: runID(t, at), Action: "Run" + strings.ToUpper(t.Kind[:1]) + t.Kind[1:], Target: t, Params: params,
		Actor: schema.Actor{Kind: "schedule", ID: "schedule", Name: "schedule"},
		Cause: schema.Cause{Kind: "schedule", Due: at},
	})
}

// started notes that the run of a time has begun. Nothing is owed any more: it
// stands for all that was missed before.
func (r *Runner) started(ctx context.Context, e *entry, at int64, rec *schema.Run, err error) error {
	if err != nil {
		return err
	}
	r.await(e, nil)
	s := e.state
	s.Last, s.LastRun, s.Owed, s.Told = at, rec.ID, 0, ""
	if now := r.cfg.Clock.Now(); s.Next <= now.UnixMilli() {
		s.Next = e.after(now)
	}
	if err := r.save(ctx, e, s); err != nil {
		return err
	}
	if e.item.Alert {
		r.raise(ctx, e, schema.Alert{
			ID: schema.DeriveID("schedule started", rec.ID), Level: schema.SeverityOK, Run: rec.ID,
			Message: fmt.Sprintf("%s %q was started by its schedule for %s (run #%d)", e.item.Target.Kind, e.item.Target.Name, e.said(time.UnixMilli(at)), rec.Number),
		})
	}
	return nil
}

// miss is why times were missed, and what comes after them.
type miss struct {
	why   string
	first int64
	next  int64
	now   time.Time
	by    string // run that was in the way
	lost  bool   // it cannot be made up for
}

// missed notes, and tells, that a time was missed, and with it those between it and
// m.next. A run in the way is told of once.
func (r *Runner) missed(ctx context.Context, e *entry, m miss) error {
	s := e.state
	first, last, n := m.first, m.first, 1
	for n < counted && first == s.Next { // else it is about what was owed alone
		at := e.after(time.UnixMilli(last))
		if at == 0 || at >= m.next && m.next != 0 || at > m.now.UnixMilli() {
			break
		}
		last, n = at, n+1
	}
	then := "It is skipped."
	switch soon := m.next != 0 && m.next <= m.now.UnixMilli(); {
	case m.lost:
		s.Owed = 0
	case soon:
		then = "The run of " + e.said(time.UnixMilli(m.next)) + " starts now."
	case e.item.Missed == schema.MissedOnce:
		then = "It is made up for by one run as soon as possible."
		if s.Owed == 0 {
			s.Owed = first
		}
	case m.next != 0:
		then = "It is skipped; the next time is " + e.said(time.UnixMilli(m.next)) + "."
	}
	told := m.by != "" && s.Told == m.by
	s.Next, s.Missed, s.MissedWhy, s.Told = m.next, last, m.why, m.by
	if !told {
		r.cfg.Log.Warn("a schedule was missed", "schedule", e.key(), "name", e.item.Target.Name, "times", n, "why", m.why)
		r.raise(ctx, e, schema.Alert{
			ID: schema.DeriveID("schedule missed", e.key(), fmt.Sprint(first)), Level: schema.SeverityWarning, Run: m.by,
			Message: fmt.Sprintf("%s %q did not run at %s: %s. %s", e.item.Target.Kind, e.item.Target.Name, r.times(e, first, last, n), m.why, then),
		})
	}
	return r.save(ctx, e, s)
}

func (r *Runner) times(e *entry, first, last int64, n int) string {
	text := e.said(time.UnixMilli(first))
	switch {
	case n >= counted:
		return fmt.Sprintf("%s and %d or more times after it", text, n-1)
	case n > 1:
		return fmt.Sprintf("%s and %d more times until %s", text, n-1, e.said(time.UnixMilli(last)))
	}
	return text
}

// raise tells people. What cannot be told is in the log; schedules go on.
func (r *Runner) raise(ctx context.Context, e *entry, al schema.Alert) {
	t := e.item.Target
	data, err := json.Marshal(map[string]string{"resource_type": schema.TypeOf(t.Kind), "id": t.ID, "name": t.Name})
	if err == nil {
		al.Type, al.Target, al.Data, al.Once, al.At = schema.AlertScheduleRun, t, data, true, r.cfg.Clock.Now().UnixMilli()
		err = r.cfg.Alerts.Raise(ctx, al)
	}
	if err != nil && ctx.Err() == nil {
		r.cfg.Log.Error("raise an alert of a schedule", "schedule", e.key(), "message", al.Message, "err", err)
	}
}
