package bus

import (
	"testing"
	"time"
)

func TestBusURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://core:9120":       "wss://core:9120/nats",
		"core.example.com":        "wss://core.example.com/nats",
		"https://core/berth/":     "wss://core/berth/nats",
		"wss://core:9120/nats":    "wss://core:9120/nats",
		"http://127.0.0.1:9120":   "ws://127.0.0.1:9120/nats",
		"tls://core:4222":         "tls://core:4222",
		"nats://[::1]:4222":       "nats://[::1]:4222",
		"ftp://core":              "",
		"https://":                "",
		"https://core:port/%zz x": "",
	} {
		u, err := busURL(in)
		got := ""
		if err == nil {
			got = u.String()
		}
		if got != want {
			t.Errorf("%s: %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestBackoffStaysInItsBounds(t *testing.T) {
	for attempt := range 100 {
		limit := 30 * time.Second
		if attempt < 6 {
			limit = min(time.Second<<max(attempt-1, 0), limit)
		}
		for range 100 {
			if d := Backoff(attempt); d <= 0 || d > limit {
				t.Fatalf("attempt %d waits %s", attempt, d)
			}
		}
	}
}

func TestVerbsAreTokens(t *testing.T) {
	for _, v := range []string{"", ".", "a.", "a..b", "stack.*", ">", "a b"} {
		if checkVerb(v) == nil {
			t.Errorf("%q was taken", v)
		}
	}
	if err := checkVerb("stack.log"); err != nil {
		t.Error(err)
	}
}
