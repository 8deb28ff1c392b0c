package schema

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func zoned(t testing.TB, zone string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

const stamp = "2006-01-02 15:04:05 -0700"

// upcoming returns the next n times after the given one, as stamps.
func upcoming(t *testing.T, expr, zone, after string, n int) []string {
	t.Helper()
	c, err := ParseCron(expr)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(stamp, after)
	if err != nil {
		t.Fatal(err)
	}
	at = at.In(zoned(t, zone))
	var out []string
	for range n {
		if at = c.Next(at); at.IsZero() {
			return append(out, "never")
		}
		out = append(out, at.Format(stamp))
	}
	return out
}

func TestCronNext(t *testing.T) {
	for expr, want := range map[string][]string{
		"0 30 3 * * *":              {"2026-01-15 03:30:00", "2026-01-16 03:30:00"},
		"0/15 * * * * ?":            {"2026-01-15 00:00:15", "2026-01-15 00:00:30", "2026-01-15 00:00:45", "2026-01-15 00:01:00"},
		"0 5/20 * * * *":            {"2026-01-15 00:05:00", "2026-01-15 00:25:00", "2026-01-15 00:45:00", "2026-01-15 01:05:00"},
		"0 0 0 L * *":               {"2026-01-31 00:00:00", "2026-02-28 00:00:00", "2026-03-31 00:00:00"},
		"0 0 0 L-2 * *":             {"2026-01-29 00:00:00", "2026-02-26 00:00:00"},
		"0 0 0 LW * *":              {"2026-01-30 00:00:00", "2026-02-27 00:00:00", "2026-03-31 00:00:00"},
		"0 0 0 15W * *":             {"2026-02-16 00:00:00", "2026-03-16 00:00:00", "2026-04-15 00:00:00"},
		"0 0 0 1W 8 *":              {"2026-08-03 00:00:00"},
		"0 0 0 31W 5 *":             {"2026-05-29 00:00:00"},
		"0 0 0 ? * MON#2":           {"2026-02-09 00:00:00", "2026-03-09 00:00:00"},
		"0 0 0 ? * 5#5":             {"2026-01-30 00:00:00", "2026-05-29 00:00:00"},
		"0 0 0 ? * friL":            {"2026-01-30 00:00:00", "2026-02-27 00:00:00"},
		"0 0 0 ? * 0#L,mon":         {"2026-01-19 00:00:00", "2026-01-25 00:00:00", "2026-01-26 00:00:00"},
		"0 0 12 13 * FRI":           {"2026-02-13 12:00:00", "2026-03-13 12:00:00", "2026-11-13 12:00:00"}, // both days, not either
		"0 0 0 29 2 *":              {"2028-02-29 00:00:00", "2032-02-29 00:00:00"},
		"0 0 0 * * 0":               {"2026-01-18 00:00:00"},
		"0 0 0 * * 7":               {"2026-01-18 00:00:00"},
		"0 0 0 * * 1":               {"2026-01-19 00:00:00"},
		"0 0 0 * * fri-mon":         {"2026-01-16 00:00:00", "2026-01-17 00:00:00", "2026-01-18 00:00:00", "2026-01-19 00:00:00", "2026-01-23 00:00:00"},
		"0 0 0 * * 5-7":             {"2026-01-16 00:00:00", "2026-01-17 00:00:00", "2026-01-18 00:00:00", "2026-01-23 00:00:00"},
		"0 0 22-4/3 * * *":          {"2026-01-15 01:00:00", "2026-01-15 04:00:00", "2026-01-15 22:00:00"},
		"0 0 0 1 NOV-feb *":         {"2026-02-01 00:00:00", "2026-11-01 00:00:00"},
		"0 0 0 1 1,jul * 2027":      {"2027-01-01 00:00:00", "2027-07-01 00:00:00", "never"},
		"0 0 0 1 1 ? 2025":          {"never"},
		"0 0 0 1 1 ? 2020-2030/5":   {"2030-01-01 00:00:00", "never"},
		"30 15,45 8-10/2 1-7 3 MON": {"2026-03-02 08:15:30", "2026-03-02 08:45:30", "2026-03-02 10:15:30"},
	} {
		var have []string
		for _, s := range upcoming(t, expr, "UTC", "2026-01-15 00:00:00 +0000", len(want)) {
			have = append(have, strings.TrimSuffix(s, " +0000"))
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s (-want +have):\n%s", expr, diff)
		}
	}
}

func TestCronRefuses(t *testing.T) {
	for expr, reason := range map[string]string{
		"30 3 * * *":          `put the seconds in front, as in "0 30 3 * * *"`,
		"":                    "0 fields",
		"0 0 0 * * * * *":     "8 fields",
		"60 * * * * *":        `second "60": want 0 to 59`,
		"* * 24 * * *":        `hour "24"`,
		"0 0 0 0 * *":         `day of month "0": want 1 to 31`,
		"0 0 0 5-1 * *":       "backwards",
		"0 0 0 * 13 *":        "JAN to DEC",
		"0 0 0 * * 8":         "SUN to SAT",
		"0 0 0 * * FUN":       "SUN to SAT",
		"0 0 0 * * L":         "FRI#L",
		"0 0 0 * * MON#6":     "#1 to #5",
		"0 */0 * * * *":       "from 1",
		"0 */x * * * *":       "from 1",
		"0 0/90 * * * *":      "next larger field",
		"0 0 0 30 2 *":        "never run",
		"0 0 0 31 4,6,9,11 ?": "never run",
		"0 0,, 0 * * *":       "empty",
		"0 0 0 32W * *":       "1 to 31",
		"0 0 0 L-31 * *":      "L-30",
		"0 0 0 * * * 1815":    "1970 to 2199",
		"- - - - - -":         "want 0",
	} {
		_, err := ParseCron(expr)
		if err == nil || !strings.Contains(err.Error(), reason) || CodeOf(err) != Invalid {
			t.Errorf("%q: %v, want Invalid with %s", expr, err, reason)
		}
	}
}

// The clock skips an hour (half an hour on Lord Howe) in spring and repeats one in autumn.
func TestCronDaylightSaving(t *testing.T) {
	for _, c := range []struct {
		name, expr, zone, after string
		want                    []string
	}{
		{
			"skipped once after the gap", "0 30 2 * * *", "Europe/Berlin", "2026-03-28 12:00:00 +0100",
			[]string{"2026-03-29 03:00:00 +0200", "2026-03-30 02:30:00 +0200"},
		},
		{
			"several skipped are one", "0 0/10 2 * * *", "Europe/Berlin", "2026-03-29 01:00:00 +0100",
			[]string{"2026-03-29 03:00:00 +0200", "2026-03-30 02:00:00 +0200", "2026-03-30 02:10:00 +0200"},
		},
		{
			"skipped and next are one", "0 0 2,3 * * *", "Europe/Berlin", "2026-03-29 00:00:00 +0100",
			[]string{"2026-03-29 03:00:00 +0200", "2026-03-30 02:00:00 +0200"},
		},
		{
			"repeated runs first", "0 30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00 +0200",
			[]string{"2026-10-25 02:30:00 +0200", "2026-10-26 02:30:00 +0100"},
		},
		{
			"from within the repetition", "0 30 2 * * *", "Europe/Berlin", "2026-10-25 02:15:00 +0100",
			[]string{"2026-10-26 02:30:00 +0100"},
		},
		{
			"minutes tick over the gap", "0 0/30 * * * *", "Europe/Berlin", "2026-03-29 01:15:00 +0100",
			[]string{"2026-03-29 01:30:00 +0100", "2026-03-29 03:00:00 +0200", "2026-03-29 03:30:00 +0200"},
		},
		{
			"minutes tick through the repetition", "0 0/30 * * * *", "Europe/Berlin", "2026-10-25 02:15:00 +0200",
			[]string{"2026-10-25 02:30:00 +0200", "2026-10-25 02:00:00 +0100", "2026-10-25 02:30:00 +0100", "2026-10-25 03:00:00 +0100"},
		},
		{
			"hours tick", "0 15 * * * *", "Europe/Berlin", "2026-03-29 01:00:00 +0100",
			[]string{"2026-03-29 01:15:00 +0100", "2026-03-29 03:15:00 +0200"},
		},
		{
			"New York skips", "0 15 2 * * *", "America/New_York", "2026-03-07 12:00:00 -0500",
			[]string{"2026-03-08 03:00:00 -0400", "2026-03-09 02:15:00 -0400"},
		},
		{
			"New York repeats", "0 15 1 * * *", "America/New_York", "2026-10-31 12:00:00 -0400",
			[]string{"2026-11-01 01:15:00 -0400", "2026-11-02 01:15:00 -0500"},
		},
		{
			"New York seconds tick", "0/30 59 * * * *", "America/New_York", "2026-11-01 01:58:00 -0400",
			[]string{"2026-11-01 01:59:00 -0400", "2026-11-01 01:59:30 -0400", "2026-11-01 01:59:00 -0500", "2026-11-01 01:59:30 -0500"},
		},
		{
			"Lord Howe skips half an hour", "0 15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00:00 +1030",
			[]string{"2026-10-04 02:30:00 +1100", "2026-10-05 02:15:00 +1100"},
		},
		{
			"Lord Howe skips nothing after", "0 45 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00:00 +1030",
			[]string{"2026-10-04 02:45:00 +1100"},
		},
		{
			"Lord Howe repeats half an hour", "0 45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00:00 +1100",
			[]string{"2026-04-05 01:45:00 +1100", "2026-04-06 01:45:00 +1030"},
		},
		{
			"Lord Howe ticks", "0 0/15 * * * *", "Australia/Lord_Howe", "2026-04-05 01:30:00 +1100",
			[]string{"2026-04-05 01:45:00 +1100", "2026-04-05 01:30:00 +1030", "2026-04-05 01:45:00 +1030", "2026-04-05 02:00:00 +1030"},
		},
		{
			"a midnight that is not", "0 0 0 * * *", "Africa/Cairo", "2026-04-23 12:00:00 +0200",
			[]string{"2026-04-24 01:00:00 +0300", "2026-04-25 00:00:00 +0300"},
		},
		{
			"a day that is not", "0 0 12 30 12 *", "Pacific/Apia", "2011-12-01 00:00:00 -1000",
			[]string{"2011-12-31 00:00:00 +1400", "2012-12-30 12:00:00 +1400"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, upcoming(t, c.expr, c.zone, c.after, len(c.want))); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

func TestCronFarFuture(t *testing.T) {
	want := []string{"2044-02-29 00:00:00 +0100", "2072-02-29 00:00:00 +0100", "2112-02-29 00:00:00 +0100"}
	if diff := cmp.Diff(want, upcoming(t, "0 0 0 29 2 MON", "Europe/Berlin", "2026-01-01 00:00:00 +0100", 3)); diff != "" {
		t.Error(diff)
	}
}

// Around the last day of a leap year the time zone's bounds are wrong from 2040 on.
func TestCronLeapYearsEnd(t *testing.T) {
	want := []string{"2048-11-01 00:00:00 +0100", "2048-11-01 01:00:00 +0100", "2054-11-01 00:00:00 +0100"}
	if diff := cmp.Diff(want, upcoming(t, "0 0 0,1 1 NOV SUN", "Europe/Berlin", "2048-01-01 00:00:00 +0100", 3)); diff != "" {
		t.Error(diff)
	}
}

func FuzzCron(f *testing.F) {
	for _, s := range []string{"0 30 3 * * *", "0/15 * * * * ? *", "0 0 0 L-3,15W,LW * MON#2,FRIL", "0 0 22-4/3 ? NOV-FEB 5-7 2026/2"} {
		f.Add(s, int64(1774746000), uint8(0))
	}
	zones := []*time.Location{time.UTC, zoned(f, "Europe/Berlin"), zoned(f, "America/New_York"), zoned(f, "Australia/Lord_Howe"), zoned(f, "Africa/Cairo")}
	f.Fuzz(func(t *testing.T, expr string, unix int64, zone uint8) {
		c, err := ParseCron(expr)
		if err != nil {
			return
		}
		checkNext(t, c, time.Unix(unix%(1<<33), 0).In(zones[int(zone)%len(zones)]))
	})
}

// checkNext checks that times go on strictly, and that nothing between matches by the clock.
func checkNext(t *testing.T, c Cron, at time.Time) {
	t.Helper()
	for range 20 {
		next := c.Next(at)
		if next.IsZero() {
			return
		}
		if !next.After(at) {
			t.Fatalf("%s: %s follows %s", c, next, at)
		}
		if between := c.Next(next.Add(-time.Nanosecond)); !between.Equal(next) {
			t.Fatalf("%s: from just before %s it is %s", c, next, between)
		}
		at = next
	}
}

func BenchmarkCronNext(b *testing.B) {
	for _, expr := range []string{"0 30 3 * * *", "0 0/5 * * * *", "0 0 0 29 2 MON"} {
		b.Run(expr, func(b *testing.B) {
			c, err := ParseCron(expr)
			if err != nil {
				b.Fatal(err)
			}
			at := time.Date(2026, 1, 1, 0, 0, 0, 0, zoned(b, "Europe/Berlin"))
			for b.Loop() {
				c.Next(at)
			}
		})
	}
}
