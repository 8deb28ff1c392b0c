package schema

import (
	"slices"
	"strconv"
	"strings"
)

// Cron is a parsed cron expression: second, minute, hour, day of month, month, day
// of week and perhaps year. A time must match all of them, both days included.
// The zero Cron never comes.
//
// No library has these rules (both days must match, L, W and #, and times that a
// clock skips or repeats), and this package has no dependencies.
type Cron struct { //nolint:recvcheck // parsing writes, all else reads
	text                 string
	second, minute, hour uint64 // sets of bits, as is month
	month                uint64
	days                 monthDays
	weekdays             weekDays
	years                []int // sorted; none is all
}

// monthDays are the days of a month that match.
type monthDays struct {
	plain  uint64
	before uint64 // bit n: the n-th day before the last one (L, L-3)
	near   uint64 // bit n: the working day nearest to day n (15W); bit 0: the last one (LW)
}

// weekDays are the days of a week that match; Sunday is 0.
type weekDays struct { //nolint:recvcheck // parsing writes, all else reads
	plain uint64
	nth   [7]uint8 // bit k: the k-th such day of the month (MON#1)
	last  uint8    // bit d: the last such day of the month (5L)
}

// cronField is what is known of one field of an expression.
type cronField struct {
	name     string
	min, max int
	names    []string // of min and what follows
}

const (
	firstYear, lastYear = 1970, 2199
	allHours            = 1<<24 - 1
	horizon             = 100 // years without a match after which none is expected
)

func cronFields() [7]cronField {
	return [7]cronField{
		{"second", 0, 59, nil},
		{"minute", 0, 59, nil},
		{"hour", 0, 23, nil},
		{"day of month", 1, 31, nil},
		{"month", 1, 12, []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
		{"day of week", 0, 7, []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
		{"year", firstYear, lastYear, nil},
	}
}

// ParseCron reads an expression of 6 fields, or of 7 with the year. Errors are
// Invalid and name the field.
func ParseCron(text string) (Cron, error) {
	c, err := parseCron(text)
	if err != nil {
		return Cron{}, Errorf(Invalid, "cron expression %q: %v", clipped(text), err)
	}
	return c, nil
}

func clipped(text string) string {
	if len(text) > 80 {
		return text[:80] + "…"
	}
	return text
}

func parseCron(text string) (Cron, error) {
	parts := strings.Fields(strings.ToUpper(text))
	c := Cron{text: strings.Join(parts, " ")}
	switch n := len(parts); {
	case n == 5:
		return c, Errorf(Invalid, "has 5 fields: put the seconds in front, as in %q", "0 "+strings.Join(parts, " "))
	case n != 6 && n != 7:
		return c, Errorf(Invalid, "has %d fields, want 6: second minute hour day-of-month month day-of-week, as in \"0 30 3 * * MON\"", n)
	}
	fields := cronFields()
	for i, into := range []*uint64{&c.second, &c.minute, &c.hour, nil, &c.month} {
		if into == nil {
			continue
		}
		err := fields[i].each(parts[i], func(item string) (err error) {
			bit, err := fields[i].set(item)
			*into |= bit
			return err
		})
		if err != nil {
			return c, err
		}
	}
	if err := fields[3].each(parts[3], c.days.parse); err != nil {
		return c, err
	}
	if err := fields[5].each(parts[5], c.weekdays.parse); err != nil {
		return c, err
	}
	if len(parts) == 7 && parts[6] != "*" && parts[6] != "?" {
		if err := fields[6].each(parts[6], c.addYears); err != nil {
			return c, err
		}
		slices.Sort(c.years)
	}
	if _, ok := c.next(epoch2000); !ok && c.years == nil {
		return c, Errorf(Invalid, "no day is such a day of month, month and day of week at once: it would never run")
	}
	return c, nil
}

const epoch2000 = 946684800 // unix seconds

// each calls fn with every item of a field's list, and says which field an error is of.
func (f cronField) each(text string, fn func(item string) error) error {
	for item := range strings.SplitSeq(text, ",") {
		if item == "" {
			return Errorf(Invalid, "%s %q: an item of the list is empty", f.name, text)
		}
		if err := fn(item); err != nil {
			return Errorf(Invalid, "%s %q: %v", f.name, clipped(item), err)
		}
	}
	return nil
}

// set reads *, ?, a, a-b and any of them with a step. The range may pass the end:
// FRI-MON, 22-4.
func (f cronField) set(item string) (uint64, error) {
	var out uint64
	err := f.expand(item, func(v int) { out |= 1 << v })
	return out, err
}

func (f cronField) expand(item string, add func(v int)) error {
	body, stepText, stepped := strings.Cut(item, "/")
	step, size := 1, f.max-f.min+1
	if f.name == "day of week" {
		size = 7
	}
	if stepped {
		var err error
		if step, err = strconv.Atoi(stepText); err != nil || step < 1 {
			return Errorf(Invalid, "the step after / must be a number from 1")
		}
		if step > size {
			return Errorf(Invalid, "the step %d is longer than the field, which has %d values: use the next larger field", step, size)
		}
	}
	from, to, err := f.bounds(body, stepped)
	if err != nil {
		return err
	}
	if to < from {
		if f.name == "day of month" || f.name == "year" {
			return Errorf(Invalid, "the range runs backwards")
		}
		to += size
	}
	for v := from; v <= to; v += step {
		add(f.min + (v-f.min)%size)
	}
	return nil
}

// bounds reads the range before the step.
func (f cronField) bounds(body string, stepped bool) (from, to int, err error) {
	if body == "*" || body == "?" {
		return f.min, f.top(), nil
	}
	first, last, ranged := strings.Cut(body, "-")
	if from, err = f.value(first); err != nil {
		return 0, 0, err
	}
	switch {
	case ranged:
		to, err = f.value(last)
	case stepped:
		to = max(from, f.top())
	default:
		to = from
	}
	return from, to, err
}

// top is the last value: 7 is only another Sunday.
func (f cronField) top() int {
	if f.name == "day of week" {
		return 6
	}
	return f.max
}

func (f cronField) value(text string) (int, error) {
	if i := slices.Index(f.names, text); i >= 0 {
		return f.min + i, nil
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < f.min || v > f.max {
		if f.names != nil {
			return 0, Errorf(Invalid, "want %d to %d, or %s to %s", f.min, f.max, f.names[0], f.names[len(f.names)-1])
		}
		return 0, Errorf(Invalid, "want %d to %d", f.min, f.max)
	}
	return v, nil
}

func (c *Cron) addYears(item string) error {
	return cronFields()[6].expand(item, func(v int) {
		if !slices.Contains(c.years, v) {
			c.years = append(c.years, v)
		}
	})
}

// parse reads one item of the day of month: also L, L-3, LW and 15W.
func (d *monthDays) parse(item string) error {
	f := cronFields()[3]
	switch {
	case item == "L":
		d.before |= 1
	case item == "LW" || item == "WL":
		d.near |= 1
	case strings.HasPrefix(item, "L-"):
		n, err := strconv.Atoi(item[2:])
		if err != nil || n < 0 || n > 30 {
			return Errorf(Invalid, "want the days before the last one as L-1 to L-30")
		}
		d.before |= 1 << n
	case strings.HasSuffix(item, "W"):
		n, err := f.value(strings.TrimSuffix(item, "W"))
		if err != nil {
			return err
		}
		d.near |= 1 << n
	default:
		set, err := f.set(item)
		if err != nil {
			return err
		}
		d.plain |= set
	}
	return nil
}

// parse reads one item of the day of week: also MON#2, FRI#L and FRIL.
func (w *weekDays) parse(item string) error {
	f := cronFields()[5]
	day, which, numbered := strings.Cut(item, "#")
	switch {
	case item == "L":
		return Errorf(Invalid, "say which weekday's last: FRI#L, or L as the day of month for the last day")
	case numbered:
		d, err := f.value(day)
		if err != nil {
			return err
		}
		if which == "L" {
			w.last |= 1 << (d % 7)
			return nil
		}
		n, err := strconv.Atoi(which)
		if err != nil || n < 1 || n > 5 {
			return Errorf(Invalid, "want #1 to #5 or #L after the weekday")
		}
		w.nth[d%7] |= 1 << n
	case strings.HasSuffix(item, "L"):
		d, err := f.value(strings.TrimSuffix(item, "L"))
		if err != nil {
			return err
		}
		w.last |= 1 << (d % 7)
	default:
		set, err := f.set(item)
		if err != nil {
			return err
		}
		w.plain |= set
	}
	return nil
}

// String returns the expression as it was parsed, in capitals.
func (c Cron) String() string { return c.text }
