package page

import (
	"time"

	"berth/schema"
	"berth/ui/part"
)

// AlertsView is what people should know of, and who was told.
type AlertsView struct {
	Open, Past []AlertRow
	Alerters   int
}

// AlertRow is an alert with its deliveries.
type AlertRow struct {
	schema.Alert
	Deliveries []schema.AlertDelivery
	RunNumber  uint64
}

// Alerts is the page of alerts.
func Alerts(v AlertsView) View {
	return View{Title: "Alerts", Key: "alerts", Crumbs: []Crumb{{Label: "Alerts"}}, Body: alerts(v), Live: []Section{{"alerts", alertsMain(v)}}}
}

// AlertMark returns the mark of an alert.
func AlertMark(a schema.Alert) part.Mark {
	switch {
	case a.Level == schema.SeverityCritical && !a.Resolved:
		return part.Mark{State: part.Bad, Word: "critical"}
	case a.Level == schema.SeverityWarning && !a.Resolved:
		return part.Mark{State: part.Warn, Word: "warning"}
	case a.Level == schema.SeverityOK:
		return part.Mark{State: part.OK, Word: "ok"}
	}
	return part.Mark{State: part.Idle, Word: "over"}
}

// DeliveryMark returns the mark of an alert's delivery.
func DeliveryMark(d schema.AlertDelivery) part.Mark {
	switch d.State {
	case schema.AlertSent:
		return part.Mark{State: part.OK, Word: "sent"}
	case schema.AlertAbandoned:
		return part.Mark{State: part.Bad, Word: "abandoned"}
	}
	if d.Attempts > 0 {
		return part.Mark{State: part.Warn, Word: "waiting"}
	}
	return part.Mark{State: part.Live, Word: "waiting"}
}

// deliveryText says what became of an alert at one alerter.
func deliveryText(d schema.AlertDelivery) string {
	s := d.Name + ": " + DeliveryMark(d).Word
	if d.Attempts > 1 || d.Attempts > 0 && d.State != schema.AlertSent {
		s += " after " + part.Count(d.Attempts, "attempt")
	}
	if d.State == schema.AlertWaiting && d.Next > 0 {
		if in := time.Until(time.UnixMilli(d.Next)); in > 0 {
			s += ", again in " + part.Dur(in)
		}
	}
	if d.Problem != "" && d.State != schema.AlertSent {
		s += ": " + d.Problem
	}
	return s
}

// SchedulesView is everything that runs by itself.
type SchedulesView struct {
	List []schema.ScheduleView
	Runs map[string]uint64 // numbers by id
}

// Schedules is the page of schedules.
func Schedules(v SchedulesView) View {
	return View{Title: "Schedules", Key: "schedules", Crumbs: []Crumb{{Label: "Schedules"}}, Body: schedules(v), Live: []Section{{"schedules", schedulesTable(v)}}}
}

// ScheduleMark returns the mark of a schedule.
func ScheduleMark(s schema.ScheduleView) part.Mark {
	switch {
	case !s.Enabled:
		return part.Mark{State: part.Idle, Word: "off"}
	case s.Problem != "":
		return part.Mark{State: part.Bad, Word: "does not run"}
	case s.Missed > s.Last:
		return part.Mark{State: part.Warn, Word: "missed"}
	}
	return part.Mark{State: part.OK, Word: "on"}
}

// Until says how long it is to a time in unix ms.
func Until(ms int64) string {
	if ms == 0 {
		return "never"
	}
	if d := time.Until(time.UnixMilli(ms)); d > 0 {
		return "in " + part.Dur(d)
	}
	return "now"
}

func stampOr(ms int64) string {
	if ms == 0 {
		return ""
	}
	return part.Stamp(ms)
}
