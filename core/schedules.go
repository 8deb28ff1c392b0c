package core

import (
	"context"
	"iter"

	"berth/bus"
	"berth/core/schedule"
	"berth/core/store"
	"berth/schema"
)

func (c *core) openSchedules(ctx context.Context) error {
	states, err := store.Open[schedule.State](ctx, c.conn, bus.BucketSchedules, store.Options{History: 1, Log: c.cfg.Log})
	if err != nil {
		return err
	}
	c.schedules, err = schedule.New(schedule.Config{
		States: states, Source: scheduled{c}, Runs: c.engine, Alerts: c.alerts, Clock: c.cfg.clock, Zone: c.cfg.Zone, Log: c.cfg.Log,
	})
	return err
}

// scheduled are the resources that may have a schedule.
type scheduled struct{ c *core }

// Schedules lists procedures and actions; templates have no times.
func (s scheduled) Schedules(context.Context) ([]schedule.Item, error) {
	procedures, err := s.c.kinds.procedures.All()
	if err != nil {
		return nil, err
	}
	actions, err := s.c.kinds.actions.All()
	if err != nil {
		return nil, err
	}
	out := make([]schedule.Item, 0, len(procedures)+len(actions))
	for _, r := range procedures {
		if p := r.Config; !r.Template {
			out = append(out, schedule.Item{
				Target: r.Target("procedure"), Tags: r.Tags, Format: p.ScheduleFormat, Schedule: p.Schedule, Zone: p.ScheduleTimezone,
				Enabled: p.ScheduleEnabled, Missed: p.ScheduleMissed, Alert: p.ScheduleAlert,
			})
		}
	}
	for _, r := range actions {
		if a := r.Config; !r.Template {
			out = append(out, schedule.Item{
				Target: r.Target("action"), Tags: r.Tags, Format: a.ScheduleFormat, Schedule: a.Schedule, Zone: a.ScheduleTimezone,
				Enabled: a.ScheduleEnabled, Missed: a.ScheduleMissed, Alert: a.ScheduleAlert,
			})
		}
	}
	return out, nil
}

// Watch yields everything that changes.
func (s scheduled) Watch(ctx context.Context) iter.Seq[schema.Change] { return s.c.changes.watch(ctx) }
