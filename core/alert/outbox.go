package alert

import (
	"context"
	"fmt"
	"sync"
	"time"

	"berth/core/store"
	"berth/schema"
)

const (
	sendTimeout = 20 * time.Second
	firstPause  = 10 * time.Second
	longPause   = 30 * time.Minute
	giveUp      = 24 * time.Hour
	tidyEvery   = time.Hour
)

// dispatch writes the deliveries of an alert, then marks it.
func (a *Alerts) dispatch(ctx context.Context, d store.Doc[Stored]) error {
	alerters, err := a.cfg.Alerters(ctx)
	if err != nil {
		return fmt.Errorf("read alerters: %w", err)
	}
	muted := map[string]string{}
	for _, alerter := range alerters {
		takes, why := a.takes(alerter, d.Value.Alert)
		if !takes {
			if why != "" {
				muted[alerter.Name] = why
			}
			continue
		}
		now := a.cfg.Now().UnixMilli()
		x := schema.AlertDelivery{Alert: d.Value.ID, Alerter: alerter.ID, Name: alerter.Name, State: schema.AlertWaiting, Queued: now, Next: now}
		if _, err := a.cfg.Outbox.Put(ctx, x.Alert+"/"+x.Alerter, x); err != nil {
			return schema.Wrap(schema.CodeOf(err), err, "queue alert for %q", alerter.Name)
		}
	}
	_, err = a.cfg.Alerts.Edit(ctx, d.Key, func(s *Stored) error {
		s.Dispatched, s.Muted = true, muted
		return nil
	})
	a.changed(d.Key)
	return err
}

// Run sends what is due until ctx ends.
func (a *Alerts) Run(ctx context.Context) error {
	var sending sync.WaitGroup
	defer sending.Wait()
	busy := &lanes{held: map[string]bool{}}
	tidied := a.cfg.Now()
	a.tidy(ctx)
	for {
		whole := a.redispatch(ctx)
		wait := a.send(ctx, busy, &sending)
		if !whole {
			wait = min(wait, firstPause)
		}
		if a.cfg.Now().Sub(tidied) > tidyEvery {
			tidied = a.cfg.Now()
			a.tidy(ctx)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-a.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// redispatch completes what was stored, but not queued: core ended in between, or
// the store did not take it. It reports whether nothing is left of that.
func (a *Alerts) redispatch(ctx context.Context) (whole bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	whole = true
	for _, d := range a.cfg.Alerts.List("") {
		if d.Value.Dispatched {
			continue
		}
		if err := a.dispatch(ctx, d); err != nil {
			whole = false
			if ctx.Err() == nil {
				a.cfg.Log.Error("queue an alert", "alert", d.Key, "err", err)
			}
		}
	}
	return whole
}

// tidy removes what is old.
func (a *Alerts) tidy(ctx context.Context) {
	before := a.cfg.Now().Add(-Keep).UnixMilli()
	for _, d := range a.cfg.Alerts.List("") {
		if !d.Value.Resolved || d.Value.At > before {
			continue
		}
		for _, x := range a.cfg.Outbox.List(d.Key + "/") {
			if err := a.cfg.Outbox.Delete(ctx, x.Key, 0); err != nil {
				return
			}
		}
		if err := a.cfg.Alerts.Delete(ctx, d.Key, 0); err != nil {
			return
		}
	}
}

// lanes are the alerters that something is being sent to.
type lanes struct {
	mu   sync.Mutex
	held map[string]bool
}

func (l *lanes) take(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[id] {
		return false
	}
	l.held[id] = true
	return true
}

func (l *lanes) free(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, id)
}

// send begins what is due and returns how long nothing else will be.
func (a *Alerts) send(ctx context.Context, busy *lanes, sending *sync.WaitGroup) time.Duration {
	wait := tidyEvery
	for _, d := range a.cfg.Outbox.List("") {
		if d.Value.State != schema.AlertWaiting {
			continue
		}
		if left := time.UnixMilli(d.Value.Next).Sub(a.cfg.Now()); left > 0 {
			wait = min(wait, left)
			continue
		}
		if !busy.take(d.Value.Alerter) {
			continue // the lane wakes us when it is free
		}
		sending.Go(func() {
			defer a.nudge()
			defer busy.free(d.Value.Alerter)
			a.attempt(ctx, d)
		})
	}
	return wait
}

// attempt sends one delivery and keeps what became of it.
func (a *Alerts) attempt(ctx context.Context, d store.Doc[schema.AlertDelivery]) {
	err := a.deliver(ctx, d.Value)
	if ctx.Err() != nil {
		return // sent again after the restart
	}
	now := a.cfg.Now()
	x := d.Value
	x.Attempts++
	x.Problem, x.Next = "", 0
	switch {
	case err == nil:
		x.State, x.Done = schema.AlertSent, now.UnixMilli()
	case schema.CodeOf(err) == schema.NotFound || now.Sub(time.UnixMilli(x.Queued)) > giveUp:
		x.State, x.Done, x.Problem = schema.AlertAbandoned, now.UnixMilli(), schema.SafeText(err)
	default:
		x.Problem = schema.SafeText(err)
		x.Next = now.Add(pause(x.Attempts)).UnixMilli()
	}
	_, kept := a.cfg.Outbox.Update(ctx, d.Key, x, d.Rev)
	if schema.CodeOf(kept) == schema.Conflict {
		kept = nil // queued anew meanwhile, as something worse: that one is sent as well
	}
	if err != nil {
		a.cfg.Log.Warn("an alert was not taken", "alerter", d.Value.Name, "alert", d.Value.Alert, "err", schema.SafeText(err))
	}
	if kept != nil && ctx.Err() == nil {
		a.cfg.Log.Error("keep the state of a delivery", "alert", d.Value.Alert, "err", kept)
	}
	a.changed(d.Value.Alert)
}

// pause is how long to wait after so many attempts.
func pause(attempts int) time.Duration {
	p := firstPause
	for range attempts - 1 {
		if p *= 2; p >= longPause {
			return longPause
		}
	}
	return p
}

// Wait returns the deliveries of an alert once none of them is being tried for the
// first time, or when ctx ends.
func (a *Alerts) Wait(ctx context.Context, alert string) ([]schema.AlertDelivery, error) {
	moved := make(chan struct{}, 1)
	stop := a.cfg.Outbox.Watch(func(store.Change[schema.AlertDelivery]) {
		select {
		case moved <- struct{}{}:
		default:
		}
	})
	defer stop()
	for {
		list, tried := a.Deliveries(alert), true
		for _, d := range list {
			tried = tried && d.Attempts > 0
		}
		if tried {
			return list, nil
		}
		select {
		case <-ctx.Done():
			return list, ctx.Err()
		case <-moved:
		}
	}
}

func (a *Alerts) deliver(ctx context.Context, d schema.AlertDelivery) error {
	al, err := a.cfg.Alerts.Get(d.Alert)
	if err != nil {
		return schema.Errorf(schema.NotFound, "the alert is gone")
	}
	alerters, err := a.cfg.Alerters(ctx)
	if err != nil {
		return err
	}
	for _, alerter := range alerters {
		if alerter.ID == d.Alerter {
			ctx, cancel := context.WithTimeout(ctx, sendTimeout)
			defer cancel()
			return a.post(ctx, alerter.Config.Endpoint, al.Value.Alert)
		}
	}
	return schema.Errorf(schema.NotFound, "the alerter %q is gone", d.Name)
}
