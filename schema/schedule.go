package schema

import (
	"strings"
	"time"
	_ "time/tzdata" // schedules name time zones, which many machines and all small images lack
)

// The formats of schedules.
const (
	FormatEnglish = "English"
	FormatCron    = "Cron"
)

// What is done about times that were missed.
const (
	MissedSkip = "Skip" // nothing but say so
	MissedOnce = "Once" // run once for all of them, as soon as possible
)

// Schedule is when something runs by itself.
type Schedule struct {
	cron Cron
	zone *time.Location
}

// ParseSchedule reads a schedule of the format English or Cron in the IANA time
// zone; an empty zone is this machine's own. Errors are Invalid and say what would
// be understood.
func ParseSchedule(format, text, zone string) (Schedule, error) {
	loc, err := loadZone(zone)
	if err != nil {
		return Schedule{}, err
	}
	var cron Cron
	switch format {
	case FormatCron:
		cron, err = ParseCron(text)
	case FormatEnglish, "":
		cron, err = ParseEnglish(text)
	default:
		err = Errorf(Invalid, "schedule format %q: want English or Cron", clipped(format))
	}
	return Schedule{cron, loc}, err
}

// Next returns the first time after the given one, in the schedule's zone; the
// zero time when there is none any more.
func (s Schedule) Next(after time.Time) time.Time { return s.cron.Next(after.In(s.zone)) }

// Cron returns the schedule as a cron expression of 6 fields.
func (s Schedule) Cron() string { return s.cron.String() }

// Local returns the time as the schedule's clock shows it.
func (s Schedule) Local(t time.Time) time.Time { return t.In(s.zone) }

// Zone returns the name of the schedule's time zone.
func (s Schedule) Zone() string { return s.zone.String() }

func loadZone(zone string) (*time.Location, error) {
	if zone == "" {
		return time.Local, nil //nolint:gosmopolitan // what an empty zone means
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return nil, Errorf(Invalid, "time zone %q is not known: want a name like Europe/Berlin or UTC", clipped(zone))
	}
	return loc, nil
}

// checkSchedule refuses a schedule that could never run.
func checkSchedule(r *Report, format, text, zone string) {
	if _, err := loadZone(zone); err != nil {
		r.fail("schedule_timezone", "%v", err)
	}
	if strings.TrimSpace(text) == "" {
		return
	}
	if _, err := ParseSchedule(format, text, ""); err != nil {
		r.fail("schedule", "%v", err)
	}
}

// ScheduleView is a schedule as it stands now. Times are unix ms, 0 for none.
type ScheduleView struct {
	Target    Target   `json:"target"`
	Tags      []string `json:"tags"`
	Format    string   `json:"format"`
	Schedule  string   `json:"schedule"`
	Zone      string   `json:"zone"` // as it is set; empty is core's own
	Enabled   bool     `json:"enabled"`
	Next      int64    `json:"next,omitempty"`
	Last      int64    `json:"last,omitempty"`       // the time for which the last run was started
	LastRun   string   `json:"last_run,omitempty"`   // its id
	Missed    int64    `json:"missed,omitempty"`     // the last time that was missed
	MissedWhy string   `json:"missed_why,omitempty"` // one sentence
	Problem   string   `json:"problem,omitempty"`    // why it does not run
}
