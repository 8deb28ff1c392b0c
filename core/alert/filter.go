package alert

import (
	"slices"
	"strings"
	"time"

	"berth/schema"
)

// takes reports whether an alerter sends an alert. why is set when it would have,
// but for now does not. The order is Komodo's: disabled, window, types, resources
// it excepts, resources it is for.
func (a *Alerts) takes(alerter schema.Resource[schema.AlerterConfig], al schema.Alert) (takes bool, why string) {
	c := alerter.Config
	if len(al.Only) > 0 && !slices.Contains(al.Only, alerter.ID) || !c.Enabled || alerter.Template {
		return false, ""
	}
	if al.Type != schema.AlertTest && len(c.AlertTypes) > 0 && !slices.Contains(c.AlertTypes, al.Type) {
		return false, ""
	}
	about := func(t schema.ResourceTarget) bool {
		return schema.KindOf(t.Type) == al.Target.Kind && t.ID == al.Target.ID || t.Type == "System" && al.Target.Kind == "system"
	}
	if slices.ContainsFunc(c.ExceptResources, about) {
		return false, ""
	}
	if len(c.Resources) > 0 && !slices.ContainsFunc(c.Resources, about) {
		return false, ""
	}
	for _, w := range c.MaintenanceWindows {
		if active(w, a.cfg.Now(), a.cfg.Zone) {
			return false, "maintenance window " + w.Name
		}
	}
	return true, ""
}

// active reports whether a window is open. A window that crosses midnight belongs
// to the day on which it starts. One that cannot be read is never open.
func active(w schema.MaintenanceWindow, now time.Time, zone *time.Location) bool {
	if !w.Enabled || w.DurationMinutes <= 0 {
		return false
	}
	if w.Timezone != "" {
		z, err := time.LoadLocation(w.Timezone)
		if err != nil {
			return false
		}
		zone = z
	}
	now = now.In(zone)
	length := time.Duration(w.DurationMinutes) * time.Minute
	// Every start that may still be open: one a day, back to the length of the window.
	for back := range int(length/(24*time.Hour)) + 2 {
		day := now.AddDate(0, 0, -back)
		start := time.Date(day.Year(), day.Month(), day.Day(), hour(w.Hour), minute(w.Minute), 0, 0, zone)
		// The minute in which it ends still counts.
		if !startsOn(w, start) || now.Before(start) || !now.Before(start.Add(length+time.Minute)) {
			continue
		}
		return true
	}
	return false
}

func hour(h int) int {
	if h < 0 || h > 23 {
		return 0
	}
	return h
}

func minute(m int) int {
	if m < 0 || m > 59 {
		return 0
	}
	return m
}

// startsOn reports whether a window begins on that day.
func startsOn(w schema.MaintenanceWindow, day time.Time) bool {
	switch w.ScheduleType {
	case "Weekly":
		want := strings.ToLower(w.DayOfWeek)
		name := strings.ToLower(day.Weekday().String())
		return len(want) >= 3 && strings.HasPrefix(name, want[:3])
	case "OneTime":
		return w.Date == day.Format(time.DateOnly)
	}
	return true
}
