package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// plan is what the words of a schedule ask for.
type plan struct {
	words    []word
	every    map[string]int // unit to how many; 0 is "every minute"
	monthly  bool           // "every month", not "of the month"
	starting bool           // the next time of day says when to begin
	clocks   []word
	hours    string   // "6-9"
	days     []string // of the month
	weekdays []string
	months   []string
	years    []string
}

// englishCron turns words into the 7 fields of a cron expression.
func englishCron(text string) ([7]string, error) {
	if f := strings.Fields(text); len(f) >= 5 && strings.Trim(text, "0123456789*/?,-#LW \t") == "" {
		return [7]string{}, Errorf(Invalid, "this is a cron expression: set schedule_format to Cron")
	}
	list, err := words(text)
	if err != nil {
		return [7]string{}, err
	}
	p := plan{words: list, every: map[string]int{}}
	for i := 0; i < len(list); {
		n, err := p.read(i)
		if err != nil {
			return [7]string{}, err
		}
		i += n
	}
	if len(p.every)+len(p.clocks)+len(p.days)+len(p.weekdays)+len(p.months) == 0 {
		return [7]string{}, Errorf(Invalid, "nothing in it says when: %s", forms)
	}
	return p.cron()
}

// at is the i-th word; one of no kind beyond the ends.
func (p *plan) at(i int) word {
	if i < 0 || i >= len(p.words) {
		return word{kind: -1}
	}
	return p.words[i]
}

// read takes in the i-th word, with those that belong to it, and returns how many.
func (p *plan) read(i int) (int, error) {
	w, next := p.at(i), p.at(i+1)
	switch w.kind {
	case wordNumber:
		return p.number(i)
	case wordOrdinal:
		return p.ordinal(i)
	case wordClock:
		return p.clock(i), nil
	case wordUnit:
		if _, given := p.every[w.text]; !given {
			p.every[w.text] = 0
		}
		p.monthly = p.monthly || w.text == "month" && (p.at(i-1).kind == wordEvery || i == 0)
	case wordWeekday:
		return p.span(i, &p.weekdays, next), nil
	case wordMonth:
		return p.span(i, &p.months, next), nil
	case wordYear:
		p.years = append(p.years, strconv.Itoa(w.n))
	case wordStart:
		p.starting = true
	case wordEvery, wordAt, wordTo, wordAnd:
	}
	return 1, nil
}

// span takes in a name, or the range of names that begins with it.
func (p *plan) span(i int, into *[]string, next word) int {
	w, end := p.at(i), p.at(i+2)
	if next.kind == wordTo && end.kind == w.kind && len(w.text) == 3 && len(end.text) == 3 {
		*into = append(*into, w.text+"-"+end.text)
		return 3
	}
	*into = append(*into, w.text)
	return 1
}

func (p *plan) number(i int) (int, error) {
	w, prev, next := p.at(i), p.at(i-1), p.at(i+1)
	switch {
	case next.kind == wordUnit && next.text == "month" && prev.kind != wordEvery && i > 0:
		p.months = append(p.months, strconv.Itoa(w.n))
		return 2, nil
	case next.kind == wordUnit && w.n < 1:
		return 0, Errorf(Invalid, "every %d %ss is not possible: %s", w.n, next.text, forms)
	case next.kind == wordUnit:
		p.every[next.text] = w.n
		p.monthly = p.monthly || next.text == "month"
		return 2, nil
	case next.kind == wordMonth || prev.kind == wordMonth:
		p.days = append(p.days, strconv.Itoa(w.n))
		return 1, nil
	case w.n < 24 && (prev.kind == wordAt || prev.kind == wordStart || prev.kind == wordTo || prev.kind == wordAnd && len(p.clocks) > 0):
		p.words[i].kind = wordClock
		return p.clock(i), nil
	}
	return 0, Errorf(Invalid, "it does not say what %d counts: %s", w.n, forms)
}

// ordinal takes in 15th, 1st to 5th, last day and 2nd Monday.
func (p *plan) ordinal(i int) (int, error) {
	w, next := p.at(i), p.at(i+1)
	day, taken := strconv.Itoa(w.n), 1
	switch {
	case next.kind == wordWeekday && len(next.text) == 3:
		if w.n > 5 {
			return 0, Errorf(Invalid, "no month has a %dth %s", w.n, next.text)
		}
		if w.n == 0 {
			day = "L"
		}
		p.weekdays = append(p.weekdays, next.text+"#"+day)
		return 2, nil
	case next.kind == wordUnit && next.text == "day":
		taken = 2
	case next.kind == wordTo && p.at(i+2).kind == wordOrdinal && p.at(i+2).n > 0:
		day, taken = fmt.Sprintf("%d-%d", w.n, p.at(i+2).n), 3
	case w.n == 0: // the last of nothing
		return 1, nil
	}
	if w.n == 0 {
		day = "L"
	}
	p.days = append(p.days, day)
	return taken, nil
}

// clock takes in a time of day, or a range of them: between 6:00 am and 9:00 am.
func (p *plan) clock(i int) int {
	w, next, end := p.at(i), p.at(i+1), p.at(i+2)
	if end.kind == wordNumber && end.n < 24 {
		end.kind = wordClock
	}
	ranged := next.kind == wordTo || next.kind == wordAnd && p.starting && p.at(i-1).kind == wordStart
	switch {
	case ranged && end.kind == wordClock:
		p.hours = fmt.Sprintf("%d-%d", w.n, end.n)
		if w.minute != 0 || end.minute != 0 && end.minute != 59 {
			p.hours = "" // said by cron()
			p.clocks = append(p.clocks, w, end)
		}
		p.starting = false
		return 3
	case p.starting && p.interval() != "":
		p.starting = false // Komodo ignores it as well
		return 1
	}
	p.clocks = append(p.clocks, w)
	return 1
}

// interval is the unit within a day that is counted; "" for none.
func (p *plan) interval() string {
	for _, unit := range []string{"second", "minute", "hour"} {
		if _, ok := p.every[unit]; ok {
			return unit
		}
	}
	return ""
}

// cron puts the plan into fields; Invalid when they cannot hold it.
func (p *plan) cron() ([7]string, error) {
	f := [7]string{"0", "0", "0", "*", "*", "?", "*"}
	err := p.timeFields(&f)
	if n, ok := p.every["week"]; err == nil && ok && (n > 1 || len(p.weekdays) == 0) {
		err = Errorf(Invalid, "a schedule has no weeks: say on which weekday, as in \"Every Monday at 18:30\"")
	}
	days, daily := p.every["day"]
	switch {
	case len(p.days) > 0:
		f[3] = strings.Join(p.days, ",")
	case len(p.weekdays) > 0:
		f[3] = "?"
	case daily:
		f[3] = "*/" + strconv.Itoa(max(days, 1))
	case p.monthly && p.interval() == "":
		f[3] = "1"
	}
	if n := p.every["month"]; n > 1 {
		f[4] = "1/" + strconv.Itoa(n)
	}
	if len(p.months) > 0 {
		f[4] = strings.Join(p.months, ",")
	}
	if len(p.weekdays) > 0 {
		f[5] = strings.Join(p.weekdays, ",")
	}
	if len(p.years) > 0 {
		f[6] = strings.Join(p.years, ",")
	}
	return f, err
}

// timeFields sets second, minute and hour.
func (p *plan) timeFields(f *[7]string) error {
	unit := p.interval()
	if unit == "" {
		return p.clockFields(f)
	}
	if len(p.clocks) > 0 {
		c := p.clocks[0]
		return Errorf(Invalid, "every %s, and at %02d:%02d, is not one schedule: between two times must be full hours, as in \"Every 5 minutes between 6:00 and 9:00\"", unit, c.n, c.minute)
	}
	counted := 0
	for i, u := range []string{"second", "minute", "hour"} {
		n, ok := p.every[u]
		switch {
		case ok && n == 0:
			f[i] = "*"
		case ok:
			f[i] = "0/" + strconv.Itoa(n)
		case counted > 0:
			f[i] = "*"
		}
		if ok {
			counted++
		}
	}
	if counted > 1 {
		return Errorf(Invalid, "it counts more than one unit: say one of seconds, minutes and hours")
	}
	if p.hours != "" {
		if unit == "hour" && p.every[unit] > 1 {
			p.hours += "/" + strconv.Itoa(p.every[unit])
		}
		f[2] = p.hours
	}
	return nil
}

// clockFields sets the times of day.
func (p *plan) clockFields(f *[7]string) error {
	if p.hours != "" {
		return Errorf(Invalid, "it does not say how often between these times: \"Every 5 minutes between 6:00 and 9:00\"")
	}
	if len(p.clocks) == 0 {
		return nil
	}
	first := p.clocks[0]
	var hours []string
	for _, c := range p.clocks {
		if c.minute != first.minute {
			return Errorf(Invalid, "one schedule cannot hold %02d:%02d and %02d:%02d: use times with the same minutes, or a second resource",
				first.n, first.minute, c.n, c.minute)
		}
		if h := strconv.Itoa(c.n); !slices.Contains(hours, h) {
			hours = append(hours, h)
		}
	}
	f[1], f[2] = strconv.Itoa(first.minute), strings.Join(hours, ",")
	return nil
}
