package core

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/bus"
	"berth/core/alert"
	"berth/core/store"
	"berth/schema"
)

// Failures are looked for this far back, this often.
const (
	recentFailures = 24 * time.Hour
	lookAgain      = time.Minute
)

func (c *core) openAlerts(ctx context.Context) error {
	alerts, err := store.Open[alert.Stored](ctx, c.conn, bus.BucketAlerts, store.Options{History: 1, Log: c.cfg.Log})
	if err != nil {
		return err
	}
	outbox, err := store.Open[schema.AlertDelivery](ctx, c.conn, bus.BucketOutbox, store.Options{History: 1, Log: c.cfg.Log})
	if err != nil {
		return err
	}
	c.alerts = alert.New(alert.Config{
		Alerts: alerts, Outbox: outbox, Alerters: c.openAlerters, Reveal: c.revealText, Zone: c.zone(), Log: c.cfg.Log,
		Changed: func(id string) { c.changes.announce(schema.Change{Topic: "alert", ID: id}) },
	})
	return nil
}

// openAlerters returns all alerters with their secrets in clear.
func (c *core) openAlerters(ctx context.Context) ([]schema.Resource[schema.AlerterConfig], error) {
	list, err := c.kinds.alerters.All()
	if err != nil {
		return nil, err
	}
	for i, r := range list {
		if list[i], err = c.kinds.alerters.Get(ctx, r.ID); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// revealText replaces the variables that a text of core's own names.
func (c *core) revealText(ctx context.Context, text string) (string, error) {
	names, err := schema.Placeholders(text)
	if err != nil {
		return "", err
	}
	vars := map[string]schema.VariableValue{}
	for _, name := range names {
		if err := c.reveal(ctx, name, []byte(text), vars); err != nil {
			return "", err
		}
		if _, ok := vars[name]; !ok {
			return "", schema.Errorf(schema.NotFound, "there is no variable %q: create it, or take [[%s]] out", name, name)
		}
	}
	out, _, err := schema.InterpolateVariables(text, vars)
	return out, err
}

// watchFailures raises an alert for every run that fails: at once, and by looking
// again now and then, for what failed while nobody watched. An alert has its id
// from the run: it is raised once.
func (c *core) watchFailures(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for ch := range c.engine.Watch(ctx) {
			if ch.Topic != "run" {
				continue
			}
			if rec, err := c.engine.Get(ctx, ch.ID); err == nil {
				c.alertFailure(ctx, rec)
			}
		}
		return nil
	})
	g.Go(func() error {
		again := time.NewTicker(lookAgain)
		defer again.Stop()
		for {
			if err := c.alertRecent(ctx); err != nil && ctx.Err() == nil {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-again.C:
			}
		}
	})
	return g.Wait()
}

func (c *core) alertRecent(ctx context.Context) error {
	failed := true
	recent, err := c.engine.List(ctx, schema.RunFilter{From: time.Now().Add(-recentFailures).UnixMilli(), Failed: &failed, Limit: 1000})
	for _, rec := range recent {
		c.alertFailure(ctx, rec)
	}
	return err
}

func (c *core) alertFailure(ctx context.Context, rec *schema.Run) {
	kind, wanted := c.failureAlert(ctx, rec)
	if rec.State != schema.StateFailed || !wanted {
		return
	}
	why := "no reason was recorded"
	if rec.Problem != nil {
		why = rec.Problem.Text
	}
	level := schema.SeverityWarning
	if rec.Action == "RunBuild" {
		level = schema.SeverityCritical
	}
	err := c.alerts.Raise(ctx, schema.Alert{
		ID: schema.DeriveID("alert", rec.ID), Type: kind, Level: level, Target: rec.Target, Run: rec.ID, Once: true, At: rec.Ended,
		Message: fmt.Sprintf("%s %s failed (run #%d): %s", rec.Action, rec.Target.Name, rec.Number, why),
	})
	if err != nil && ctx.Err() == nil {
		c.cfg.Log.Error("raise an alert of a failed run", "run", rec.Number, "err", err)
	}
}

// failureAlert returns the type of alert for a failed run, and whether people want
// it: those of procedures and actions have a switch, parts of a larger run are
// told of by that one, and who ran something by hand has seen it.
func (c *core) failureAlert(ctx context.Context, rec *schema.Run) (kind string, wanted bool) {
	switch rec.Action {
	case "RunBuild":
		return schema.AlertBuildFailed, true
	case "BuildRepo":
		return schema.AlertRepoBuildFailed, true
	case "RunProcedure":
		p, err := c.kinds.procedures.Get(ctx, rec.Target.ID)
		return schema.AlertProcedureFailed, err == nil && p.Config.FailureAlert
	case "RunAction":
		a, err := c.kinds.actions.Get(ctx, rec.Target.ID)
		return schema.AlertActionFailed, err == nil && a.Config.FailureAlert
	case "TestAlerter", "SendAlert":
		return "", false
	}
	return schema.AlertRunFailed, rec.Parent == "" && rec.Actor.Kind != "user" && rec.Actor.Kind != "key"
}
