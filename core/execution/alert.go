package execution

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"berth/core/access"
	"berth/core/run"
	"berth/schema"
)

// alertWait is how long a run waits for an alerter's first attempt.
const alertWait = time.Minute

// Alerts stores and sends alerts.
type Alerts interface {
	Raise(ctx context.Context, al schema.Alert) error
	Wait(ctx context.Context, alert string) ([]schema.AlertDelivery, error)
}

// AlerterParams are the parameters of TestAlerter.
type AlerterParams struct {
	Alerter string `json:"alerter" doc:"Name or id of the alerter."`
}

// SendAlertParams are the parameters of SendAlert.
type SendAlertParams struct {
	Level    schema.Severity `json:"level,omitempty" doc:"OK, WARNING or CRITICAL."`
	Message  string          `json:"message" doc:"The alert in one sentence."`
	Details  string          `json:"details,omitempty" doc:"More of it."`
	Alerters []string        `json:"alerters,omitempty" doc:"Names or ids of alerters; all that take Custom alerts when empty."`
}

// TestAlerter sends a test by one alerter and says what became of it.
func (d *Deps) TestAlerter(ctx context.Context, r *run.Run) (run.Outcome, error) {
	rec := r.Record()
	alerter, err := d.Resources.Alerter(ctx, rec.Target.ID)
	if err != nil {
		return run.Outcome{}, err
	}
	if !alerter.Config.Enabled {
		return run.Outcome{}, schema.Errorf(schema.Conflict, "alerter %q is not enabled: set `enabled = true`", alerter.Name)
	}
	return d.sendAlert(ctx, r, schema.Alert{
		Type: schema.AlertTest, Level: schema.SeverityOK, Target: rec.Target, Only: []string{alerter.ID},
		Message: fmt.Sprintf("If you can read this, alerts by %s arrive.", alerter.Name),
	})
}

// SendAlert sends an alert of somebody's own.
func (d *Deps) SendAlert(ctx context.Context, r *run.Run) (run.Outcome, error) {
	p := SendAlertParams{Level: schema.SeverityOK}
	if err := r.Params(&p); err != nil {
		return run.Outcome{}, err
	}
	switch p.Level {
	case schema.SeverityOK, schema.SeverityWarning, schema.SeverityCritical:
	default:
		return run.Outcome{}, schema.Errorf(schema.Invalid, "level %q: one of OK, WARNING, CRITICAL", p.Level)
	}
	if strings.TrimSpace(p.Message) == "" {
		return run.Outcome{}, schema.Errorf(schema.Invalid, "message: is empty")
	}
	only, err := d.alertersOf(ctx, r, p.Alerters)
	if err != nil {
		return run.Outcome{}, err
	}
	fields, err := json.Marshal(map[string]string{"message": p.Message, "details": p.Details})
	if err != nil {
		return run.Outcome{}, fmt.Errorf("write alert: %w", err)
	}
	text := p.Message
	if p.Details != "" {
		text += "\n" + p.Details
	}
	return d.sendAlert(ctx, r, schema.Alert{Type: schema.AlertCustom, Level: p.Level, Message: text, Data: fields, Only: only})
}

// alertersOf returns the ids of the alerters that are named; without names none,
// which is all, or those that the run's starter may use.
func (d *Deps) alertersOf(ctx context.Context, r *run.Run, keys []string) ([]string, error) {
	var only []string
	for _, key := range keys {
		alerter, err := d.Resources.Alerter(ctx, key)
		if err != nil {
			return nil, err
		}
		if !r.May(access.CanExec, alerter.Target("alerter")) {
			return nil, schema.Errorf(schema.Denied, "who started this may not use alerter %q: it needs Execute", alerter.Name)
		}
		only = append(only, alerter.ID)
	}
	if len(keys) > 0 {
		return only, nil
	}
	all, err := d.Resources.AllAlerters(ctx)
	if err != nil {
		return nil, err
	}
	for _, alerter := range all {
		if r.May(access.CanExec, alerter.Target("alerter")) {
			only = append(only, alerter.ID)
		}
	}
	switch {
	case len(only) == len(all):
		return nil, nil
	case len(only) == 0:
		return nil, schema.Errorf(schema.Denied, "who started this may use no alerter: it needs Execute on one")
	}
	return only, nil
}

// sendAlert raises an alert once, however often the run is taken up, and waits for
// the first attempt of every alerter.
func (d *Deps) sendAlert(ctx context.Context, r *run.Run, al schema.Alert) (run.Outcome, error) {
	al.ID, al.Run, al.Once = schema.DeriveID("alert", r.ID()), r.ID(), true
	if err := d.Alerts.Raise(ctx, al); err != nil {
		return run.Outcome{}, err
	}
	wait, cancel := context.WithTimeout(ctx, alertWait)
	defer cancel()
	sent, err := d.Alerts.Wait(wait, al.ID)
	if ctx.Err() != nil {
		return run.Outcome{}, context.Cause(ctx)
	}
	if err == nil && len(sent) == 0 {
		return run.Outcome{}, schema.Errorf(schema.NotFound, "no alerter took it: enable one that takes %s alerts and is in no maintenance window", al.Type)
	}
	var good, bad []string
	for _, x := range sent {
		switch {
		case x.State == schema.AlertSent:
			good = append(good, x.Name)
		case x.Problem != "":
			bad = append(bad, fmt.Sprintf("%s: %s (tried again until it is taken, for a day)", x.Name, x.Problem))
		default:
			bad = append(bad, x.Name+": no answer yet")
		}
	}
	if len(bad) > 0 {
		return run.Outcome{}, schema.Errorf(schema.Failed, "%d of %d took it; %s", len(good), len(sent), strings.Join(bad, "; "))
	}
	return run.Outcome{Note: "sent by " + strings.Join(good, ", ")}, nil
}
