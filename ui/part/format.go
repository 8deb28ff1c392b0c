package part

import (
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"berth/schema"
)

func lower(s string) string { return strings.ToLower(s) }

// Int returns n in decimal.
func Int[N int | int64 | uint64](n N) string { return strconv.FormatInt(int64(n), 10) }

// Pc returns v as a length in percent, as attributes of SVG take it.
func Pc(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) + "%"
}

// Count returns "1 stack", "3 stacks".
func Count(n int, one string) string {
	switch {
	case n == 1:
		return "1 " + one
	case strings.HasSuffix(one, "y"):
		return strconv.Itoa(n) + " " + one[:len(one)-1] + "ies"
	}
	return strconv.Itoa(n) + " " + one + "s"
}

// Clock returns a duration as 1:05 or 1:02:05; below ten seconds as 0.4 s.
func Clock(d time.Duration) string {
	if d < 10*time.Second {
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	n := int(d.Seconds())
	if n >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", n/3600, n/60%60, n%60)
	}
	return fmt.Sprintf("%d:%02d", n/60, n%60)
}

// Axis returns a time on a run's axis: 0:05, 1:30, or 0.5 s on short ones.
func Axis(d, step time.Duration) string {
	if step < time.Second {
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	n := int(d.Seconds())
	if n >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", n/3600, n/60%60, n%60)
	}
	return fmt.Sprintf("%d:%02d", n/60, n%60)
}

// Dur returns a duration in its largest unit: 12 s, 4 min, 2 h, 3 d.
func Dur(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + " d"
}

// Size returns a number of bytes with its unit.
func Size(n int64) string {
	switch {
	case n < 1000:
		return strconv.FormatInt(n, 10) + " B"
	case n < 1000_000:
		return strconv.FormatFloat(float64(n)/1e3, 'f', 0, 64) + " kB"
	case n < 1000_000_000:
		return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + " MB"
	}
	return strconv.FormatFloat(float64(n)/1e9, 'f', 2, 64) + " GB"
}

// Stamp returns a time in unix ms for people: exact, with the zone.
func Stamp(ms int64) string { return time.UnixMilli(ms).Format("2006-01-02 15:04:05 MST") }

func iso(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// Short returns the first seven digits of a commit.
func Short(commit string) string {
	if len(commit) > 7 {
		return commit[:7]
	}
	return commit
}

// ImageRegistry returns the part of an image's name before its last slash.
func ImageRegistry(image string) string { return image[:strings.LastIndexByte(image, '/')+1] }

// ImageName returns what is left of an image's name without registry and tag.
func ImageName(image string) string {
	name, _ := splitImage(image)
	return name
}

// ImageTag returns the tag of an image with its colon, or its shortened digest.
func ImageTag(image string) string {
	_, tag := splitImage(image)
	return tag
}

func splitImage(image string) (name, tag string) {
	s := image[strings.LastIndexByte(image, '/')+1:]
	if name, digest, ok := strings.Cut(s, "@"); ok {
		return name, "@" + digest[:min(len(digest), 14)]
	}
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// Ports returns the published ports of a container: "8080→80".
func Ports(list []schema.Port) string {
	var out []string
	seen := map[string]bool{}
	for _, p := range list {
		if p.Public == 0 {
			continue
		}
		s := strconv.Itoa(int(p.Public))
		if p.Public != p.Private {
			s += "→" + strconv.Itoa(int(p.Private))
		}
		if p.Proto == "udp" {
			s += "/udp"
		}
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

// Hue returns which of six colours a name has: the same on every page.
func Hue(name string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return int(h.Sum32()%6) + 1
}

func glyphAttrs(label string) templ.Attributes {
	if label == "" {
		return templ.Attributes{"aria-hidden": "true"}
	}
	return templ.Attributes{"role": "img", "aria-label": label}
}

// Initials returns one or two letters for a name.
func Initials(name string) string {
	r := []rune(strings.ToUpper(name))
	return string(r[:min(len(r), 2)])
}

// Now is the time ages are counted to.
func Now() time.Time { return time.Now() }

// recentMax is how many runs Recent shows.
const recentMax = 16

func recentLast(list []schema.RunState) []schema.RunState {
	return list[max(0, len(list)-recentMax):]
}

// A run that went well is a low tick, one that did not a tall one.
func recentY(s schema.RunState) string {
	if s == schema.StateSucceeded {
		return "3"
	}
	return "0"
}

func recentH(s schema.RunState) string {
	if s == schema.StateSucceeded {
		return "8"
	}
	return "14"
}

func recentLabel(list []schema.RunState) string {
	good := 0
	list = recentLast(list)
	for _, s := range list {
		if s.Good() {
			good++
		}
	}
	return fmt.Sprintf("%d of the last %s went well", good, Count(len(list), "run"))
}
