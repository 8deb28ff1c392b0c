package schema

import (
	"strconv"
	"strings"
)

// ParseEnglish reads a schedule in English words: "Every day at 03:00", "every 15
// minutes", "7pm every Thursday". Words that say nothing of time are ignored, as
// Komodo does; an expression without any, or whose times no single cron expression
// can hold, is Invalid.
func ParseEnglish(text string) (Cron, error) {
	fields, err := englishCron(text)
	if err != nil {
		return Cron{}, Errorf(Invalid, "schedule %q: %v", clipped(text), err)
	}
	// A year is read, and does not count: so it is in Komodo.
	c, err := parseCron(strings.Join(fields[:6], " "))
	if err != nil {
		return Cron{}, Errorf(Invalid, "schedule %q: %v", clipped(text), err)
	}
	return c, nil
}

// forms is what errors say of how to write a schedule.
const forms = `write it like "Every day at 03:00", "Every 15 minutes", "Every Monday at 18:30" or "At midnight on the 1st of the month", or set schedule_format to Cron`

// word is a part of the text that says something of time.
type word struct {
	kind   wordKind
	text   string // name, as cron has it
	n      int    // number, ordinal, year; hours of a clock time
	minute int
}

type wordKind int

const (
	wordNumber  wordKind = iota
	wordOrdinal          // 1st; 0 is the last
	wordClock
	wordUnit    // second, minute, hour, day, week, month
	wordWeekday // MON; also SAT,SUN and MON-FRI
	wordMonth   // JAN
	wordYear
	wordEvery
	wordAt
	wordStart // between, from, starting
	wordTo    // through, until, -
	wordAnd
)

// wordOf reads one run of letters.
func wordOf(s string) (word, bool) {
	one := strings.TrimSuffix(s, "s")
	switch one {
	case "sec", "second":
		return word{kind: wordUnit, text: "second"}, true
	case "min", "minute":
		return word{kind: wordUnit, text: "minute"}, true
	case "hr", "hour", "hourly":
		return word{kind: wordUnit, text: "hour"}, true
	case "day", "daily":
		return word{kind: wordUnit, text: "day"}, true
	case "week", "weekly":
		return word{kind: wordUnit, text: "week"}, true
	case "month", "monthly":
		return word{kind: wordUnit, text: "month"}, true
	case "weekend":
		return word{kind: wordWeekday, text: "SAT,SUN"}, true
	case "weekday":
		return word{kind: wordWeekday, text: "MON-FRI"}, true
	case "noon":
		return word{kind: wordClock, n: 12}, true
	case "midnight":
		return word{kind: wordClock}, true
	case "every", "each":
		return word{kind: wordEvery}, true
	case "at":
		return word{kind: wordAt}, true
	case "between", "from", "start", "starting":
		return word{kind: wordStart}, true
	case "to", "through", "thru", "until", "till", "end", "ending":
		return word{kind: wordTo}, true
	case "and":
		return word{kind: wordAnd}, true
	case "last":
		return word{kind: wordOrdinal}, true
	case "first":
		return word{kind: wordOrdinal, n: 1}, true
	}
	return nameOf(one)
}

// nameOf reads weekdays and months, whole or short.
func nameOf(one string) (word, bool) {
	fields := cronFields()
	for name := range strings.SplitSeq("sunday monday tuesday wednesday thursday friday saturday", " ") {
		if short := name[:3]; one == name || one == short || len(one) > 3 && strings.HasPrefix(name, one) {
			return word{kind: wordWeekday, text: strings.ToUpper(short)}, true
		}
	}
	for i, name := range strings.Split("january february march april may june july august september october november december", " ") {
		if one == name || one == name[:3] || one == "sept" && i == 8 {
			return word{kind: wordMonth, text: fields[4].names[i]}, true
		}
	}
	return word{}, false
}

// words cuts the text into what says something of time.
func words(text string) ([]word, error) {
	var out []word
	for s := strings.ToLower(text); s != ""; {
		c := s[0]
		switch {
		case c >= '0' && c <= '9':
			n := len(s) - len(strings.TrimLeft(s, "0123456789:."))
			number := strings.TrimRight(s[:n], ":.")
			rest := strings.TrimLeft(s[n:], " ")
			w, taken, err := numberOf(number, rest, n < len(s) && s[n] != ' ')
			if err != nil {
				return nil, err
			}
			out, s = append(out, w), rest[taken:]
		case c >= 'a' && c <= 'z':
			n := len(s) - len(strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz"))
			if w, ok := wordOf(s[:n]); ok {
				out = append(out, w)
			}
			s = s[n:]
		default:
			if c == '-' && len(out) > 0 {
				out = append(out, word{kind: wordTo})
			}
			s = s[1:]
		}
	}
	return out, nil
}

// numberOf reads a number with what follows it: 16:30, 4 pm, 15th, 2026, 15. taken
// is how much of what follows belongs to it.
func numberOf(number, rest string, glued bool) (w word, taken int, err error) {
	half := ""
	for _, h := range []string{"am", "pm", "a.m.", "p.m."} {
		if after, ok := strings.CutPrefix(rest, h); ok && (after == "" || after[0] < 'a' || after[0] > 'z') {
			half, taken = h[:1], len(h)
		}
	}
	first, more, clock := strings.Cut(number, ":")
	if clock || half != "" {
		w, err := clockTime(first, more, half)
		return w, taken, err
	}
	n, err := strconv.Atoi(number)
	if err != nil || n > 9999 {
		return w, 0, Errorf(Invalid, "%s is no number that a schedule could have", clipped(number))
	}
	for _, suffix := range []string{"st", "nd", "rd", "th"} {
		if glued && strings.HasPrefix(rest, suffix) {
			if n < 1 || n > 31 {
				return w, 0, Errorf(Invalid, "%d%s: no month has such a day", n, suffix)
			}
			return word{kind: wordOrdinal, n: n}, len(suffix), nil
		}
	}
	if len(number) == 4 && n >= firstYear && n <= lastYear {
		return word{kind: wordYear, n: n}, 0, nil
	}
	return word{kind: wordNumber, n: n}, 0, nil
}

func clockTime(hour, minute, half string) (word, error) {
	text := hour
	if minute != "" {
		text += ":" + minute
	}
	h, err := strconv.Atoi(hour)
	m := 0
	if err == nil && minute != "" {
		m, err = strconv.Atoi(minute)
	}
	switch {
	case err != nil || h > 23 || m > 59, half != "" && (h < 1 || h > 12):
		return word{}, Errorf(Invalid, "%s is no time of day: want 00:00 to 23:59, or 1:00 am to 12:59 pm", clipped(text))
	case half == "a" && h == 12:
		h = 0
	case half == "p" && h != 12:
		h += 12
	}
	return word{kind: wordClock, n: h, minute: m}, nil
}
