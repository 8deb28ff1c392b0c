package schema

import (
	"strconv"
	"strings"
	"time"
)

// Check finds settings that cannot be read.
func (c SyncConfig) Check() Report {
	var r Report
	if _, err := c.DeleteLimit(0); err != nil {
		r.fail("max_delete", "%s", SafeText(err))
	}
	if _, err := ParsePoll(c.PollInterval, time.Minute); err != nil {
		r.fail("poll_interval", "%s", SafeText(err))
	}
	if len(c.ResourcePath) == 0 && (c.FilesOnHost || c.LinkedRepo != "" || c.Repo != "") {
		r.warn("resource_path", "is empty: nothing is read; name files and folders, or . for all")
	}
	return r
}

// DeleteLimit is how many of so many resources one run may delete without a
// confirmation: a number, a share, or when nothing is set 10 or 20 %, whichever is
// less, but at least one.
func (c SyncConfig) DeleteLimit(stored int) (int, error) {
	text := strings.TrimSpace(c.MaxDelete)
	if text == "" {
		return max(1, min(10, stored/5)), nil
	}
	share, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(strings.TrimSpace(share))
	if err != nil || n < 0 {
		return 0, Errorf(Invalid, "want a number such as 5, or a share such as 20%%, not %q", text)
	}
	if percent {
		return stored * min(n, 100) / 100, nil
	}
	return n, nil
}

// minPoll is the least time between two looks at a source.
const minPoll = 10 * time.Second

// ParsePoll reads how often a source is looked at: "5m", "1h", "90s", or as Komodo
// writes it "5-min", "1-hr"; "never" is 0, nothing is the default.
func ParsePoll(text string, def time.Duration) (time.Duration, error) {
	text = strings.TrimSpace(text)
	switch text {
	case "":
		return def, nil
	case "never":
		return 0, nil
	}
	plain := text
	for word, unit := range map[string]string{"-sec": "s", "-min": "m", "-hr": "h"} {
		if n, ok := strings.CutSuffix(text, word); ok {
			plain = n + unit
		}
	}
	d, err := time.ParseDuration(plain)
	if err != nil || d < minPoll {
		return def, Errorf(Invalid, "want a time of at least 10s such as 5m or 1h, or never, not %q", text)
	}
	return d, nil
}
