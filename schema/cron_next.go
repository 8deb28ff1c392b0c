package schema

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// Next returns the first time after the given one, in its location, that matches;
// the zero time when there is none any more.
//
// Where the clock jumps forward, what would have been in the gap comes once, right
// after it. Where it is set back, what comes twice counts the first time only. An
// expression that names no hours is about intervals, not about times of day: it
// keeps ticking with the clock, through the repeated hour as well, and makes up for
// nothing.
func (c Cron) Next(after time.Time) time.Time {
	// The offset is constant from one change of the clock to the next: within, the
	// clock's own seconds (as if it were UTC) are searched.
	seg := segmentOf(after)
	from := clockOf(after) + 1
	ticks := c.hour == allHours
	if !ticks {
		from = max(from, seg.shown)
	}
	for {
		at, ok := c.next(from)
		switch {
		case !ok:
			return time.Time{}
		case at < seg.first: // in the gap before
			return seg.start
		case at < seg.last:
			return time.Unix(at-seg.offset, 0).In(after.Location())
		}
		seg = seg.following()
		from = seg.shown
		if ticks {
			from = seg.first
		}
	}
}

// segment is the time between two changes of a clock.
type segment struct {
	start, end  time.Time // zero when there is no such change
	offset      int64     // seconds east of UTC
	first, last int64     // what the clock shows from start until before end
	shown       int64     // what it would have shown at start, had it not changed
}

func segmentOf(t time.Time) segment {
	_, offset := t.Zone()
	s := segment{offset: int64(offset), first: math.MinInt64, last: math.MaxInt64, shown: math.MinInt64}
	s.start, s.end = t.ZoneBounds()
	if !s.end.IsZero() && !s.end.After(t) {
		s.end = t.Add(48 * time.Hour) // Go 1.26 errs on the last day of leap years from 2040 on
	}
	if !s.start.IsZero() {
		s.first, s.shown = clockOf(s.start), clockOf(s.start.Add(-time.Second))+1
	}
	if !s.end.IsZero() {
		s.last = s.end.Unix() + s.offset
	}
	return s
}

// following is the segment after s. Where s ends without a change of the clock, it
// begins there all the same: time never goes back.
func (s segment) following() segment {
	next := segmentOf(s.end)
	if next.start.Before(s.end) {
		next.start, next.first, next.shown = s.end, clockOf(s.end), clockOf(s.end)
	}
	return next
}

// clockOf is what the clock shows at t, in seconds as if it showed UTC.
func clockOf(t time.Time) int64 {
	_, offset := t.Zone()
	return t.Unix() + int64(offset)
}

// next returns the first match from a clock's second on.
func (c Cron) next(from int64) (int64, bool) {
	if c.second == 0 {
		return 0, false // the zero Cron
	}
	t := time.Unix(from, 0).UTC()
	year, month, day := t.Year(), int(t.Month()), t.Day()
	inDay := t.Hour()*3600 + t.Minute()*60 + t.Second()
	until := year + horizon
	if c.years != nil {
		until = c.years[len(c.years)-1]
	}
	for y := year; y <= until; y++ {
		if c.years != nil && !slices.Contains(c.years, y) {
			month, day, inDay = 1, 1, 0
			continue
		}
		for ; month <= 12; month, day, inDay = month+1, 1, 0 {
			if at, ok := c.inMonth(y, month, day, inDay); ok {
				return at, true
			}
		}
		month, day, inDay = 1, 1, 0
	}
	return 0, false
}

// inMonth returns the first match in a month, from a day and its second on.
func (c Cron) inMonth(year, month, day, inDay int) (int64, bool) {
	if c.month&(1<<month) == 0 {
		return 0, false
	}
	for days := c.daysOf(year, month) >> day << day; days != 0; days &= days - 1 {
		d := bits.TrailingZeros64(days)
		if d != day {
			inDay = 0
		}
		if s, ok := c.timeOfDay(inDay); ok {
			return time.Date(year, time.Month(month), d, 0, 0, s, 0, time.UTC).Unix(), true
		}
	}
	return 0, false
}

// daysOf returns the days of a month that match, as bits.
func (c Cron) daysOf(year, month int) uint64 {
	lastDay := time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC)
	last, weekday := lastDay.Day(), int(lastDay.Weekday())
	// weekdayOf day d: the last day's, counted back.
	weekdayOf := func(d int) int { return (weekday - (last - d) + 35) % 7 }
	set := c.days.plain
	for n := range 31 {
		if c.days.before&(1<<n) != 0 && last-n >= 1 {
			set |= 1 << (last - n)
		}
	}
	for n := 0; n <= last; n++ {
		if c.days.near&(1<<n) == 0 {
			continue
		}
		d := n
		if n == 0 {
			d = last
		}
		set |= 1 << workingDay(d, last, weekdayOf(d))
	}
	var out uint64
	for d := 1; d <= last; d++ {
		if set&(1<<d) != 0 && c.weekdays.match(d, last, weekdayOf(d)) {
			out |= 1 << d
		}
	}
	return out
}

// workingDay is the day from Monday to Friday that is nearest to d, in its month.
func workingDay(d, last, weekday int) int {
	switch {
	case weekday == 6 && d > 1:
		return d - 1
	case weekday == 6:
		return d + 2
	case weekday == 0 && d < last:
		return d + 1
	case weekday == 0:
		return d - 2
	}
	return d
}

func (w weekDays) match(d, last, weekday int) bool {
	return w.plain&(1<<weekday) != 0 ||
		w.nth[weekday]&(1<<((d+6)/7)) != 0 ||
		w.last&(1<<weekday) != 0 && d+7 > last
}

// timeOfDay returns the first matching second of a day from the given one on.
func (c Cron) timeOfDay(from int) (int, bool) {
	h, m, s := from/3600, from/60%60, from%60
	for hours := c.hour >> h << h; hours != 0; hours &= hours - 1 {
		hour := bits.TrailingZeros64(hours)
		if hour != h {
			m, s = 0, 0
		}
		for minutes := c.minute >> m << m; minutes != 0; minutes &= minutes - 1 {
			minute := bits.TrailingZeros64(minutes)
			if minute != m {
				s = 0
			}
			if seconds := c.second >> s << s; seconds != 0 {
				return hour*3600 + minute*60 + bits.TrailingZeros64(seconds), true
			}
		}
		m, s = 0, 0
	}
	return 0, false
}
