package schema

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

func TestEnglishVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		English struct {
			Cases []struct {
				Input, Cron7 string
				Error        bool
			}
		} `json:"english_to_cron"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.English.Cases) < 29 {
		t.Fatalf("%d cases", len(v.English.Cases))
	}
	for _, c := range v.English.Cases {
		have, err := englishCron(c.Input)
		if (err != nil) != c.Error || err == nil && strings.Join(have[:], " ") != c.Cron7 {
			t.Errorf("%q: %v, %v, want %s", c.Input, have, err, c.Cron7)
		}
	}
}

func TestEnglish(t *testing.T) {
	for text, want := range map[string]string{
		"Every day at 04:30":                             "0 30 4 */1 * ?",
		"Every Sunday at 02:00":                          "0 0 2 ? * SUN",
		"every monday and thursday at 6pm":               "0 0 18 ? * MON,THU",
		"Every weekday at 7":                             "0 0 7 ? * MON-FRI",
		"Mon-Fri 9:15":                                   "0 15 9 ? * MON-FRI",
		"Every 30 minutes":                               "0 0/30 * * * ?",
		"Every 12 hours":                                 "0 0 0/12 * * ?",
		"every hour":                                     "0 0 * * * ?",
		"hourly":                                         "0 0 * * * ?",
		"Daily at 3:05 a.m.":                             "0 5 3 */1 * ?",
		"12am":                                           "0 0 0 * * ?",
		"12:15 PM":                                       "0 15 12 * * ?",
		"Every month":                                    "0 0 0 1 * ?",
		"Every 3 months on the 15th at noon":             "0 0 12 15 1/3 ?",
		"every 5 second on 9 month":                      "0/5 * * * 9 ?",
		"on the last day of the month at 23:59":          "0 59 23 L * ?",
		"first Monday of the month at 8am":               "0 0 8 ? * MON#1",
		"last fri at 17:00":                              "0 0 17 ? * FRI#L",
		"25 December at 10:00":                           "0 0 10 25 DEC ?",
		"every 2 hours between 8am and 6pm":              "0 0 8-18/2 * * ?",
		"Every 10 minutes from 22:00 to 4:59":            "0 0/10 22-4 * * ?",
		"every 5 day at 4:30 pm Monday through Thursday": "0 30 16 ? * MON-THU",
		"Friday the 13th at 13:13":                       "0 13 13 13 * FRI",
		"in July":                                        "0 0 0 * JUL ?",
		"every sec from January to March":                "* * * * JAN-MAR ?",
	} {
		c, err := ParseEnglish(text)
		if err != nil || c.String() != want {
			t.Errorf("%q: %q, %v, want %q", text, c, err, want)
		}
	}
}

func TestEnglishRefuses(t *testing.T) {
	for text, reason := range map[string]string{
		"":                             "Every 15 minutes",
		"hello world":                  "Every day at 03:00",
		"0 0 3 * * *":                  "set schedule_format to Cron",
		"*/5 * * * *":                  "set schedule_format to Cron",
		"every 90 minutes":             "next larger field",
		"every 0 minutes":              "not possible",
		"every 5":                      "what 5 counts",
		"at 25:00":                     "no time of day",
		"13pm":                         "no time of day",
		"on the 32nd":                  "no month",
		"6th Monday":                   "no month",
		"every 2 weeks on Monday":      "no weeks",
		"every week":                   "on which weekday",
		"at 9:00 and 17:30":            "cannot hold 09:00 and 17:30",
		"every 6 hours at 10:00":       "not one schedule",
		"every hour and 30 minutes":    "more than one unit",
		"daily between 6am and 9am":    "how often",
		"every 5 minutes 6:30 - 9:15":  "full hours",
		"on the 30th of February":      "never run",
		"every 99999999999999999999 s": "no number",
	} {
		_, err := ParseEnglish(text)
		if err == nil || !strings.Contains(err.Error(), reason) || CodeOf(err) != Invalid {
			t.Errorf("%q: %v, want Invalid with %s", text, err, reason)
		}
	}
}

func TestProcedureRefusesBadSchedules(t *testing.T) {
	for _, c := range []struct {
		change func(*ProcedureConfig)
		want   string
	}{
		{func(*ProcedureConfig) {}, ""},
		{func(p *ProcedureConfig) { p.Schedule = "Every day at 03:00" }, ""},
		{func(p *ProcedureConfig) { p.Schedule, p.ScheduleTimezone = "Every day at 03:00", "Europe/Berlin" }, ""},
		{func(p *ProcedureConfig) { p.Schedule = "now and then" }, "schedule: schedule"},
		{func(p *ProcedureConfig) { p.ScheduleTimezone = "Mars/Olympus" }, "schedule_timezone: time zone"},
		{func(p *ProcedureConfig) { p.ScheduleTimezone = "../../etc/passwd" }, "schedule_timezone: time zone"},
		{func(p *ProcedureConfig) { p.ScheduleFormat, p.Schedule = FormatCron, "0 3 * * *" }, "seconds in front"},
		{func(p *ProcedureConfig) { p.ScheduleFormat, p.Schedule = FormatCron, "0 0 3 * * *" }, ""},
	} {
		p := DefaultProcedure()
		c.change(&p)
		err := p.Check().Err()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %q: %v, want %q", p.Schedule, p.ScheduleTimezone, err, c.want)
		}
	}
}

func FuzzEnglish(f *testing.F) {
	for _, s := range []string{"Every day at 03:00", "every 15 minutes", "last day of the month", "2pm on Tuesday, Wednesday and Thursday", "1st - 5th from 6 to 9:59"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseEnglish(text); err == nil {
			checkNext(t, c, time.Date(2026, 3, 29, 0, 30, 0, 0, zoned(t, "Europe/Berlin")))
		}
	})
}
