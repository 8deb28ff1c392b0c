package bus

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"berth/schema"
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

// An agent that may connect to some networks connects to no other, whatever the name says.
func TestAllowedDialer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for allowed, want := range map[string]schema.Code{"127.0.0.0/8": "", "10.0.0.0/8": schema.Denied} {
		c, err := AllowedDialer([]netip.Prefix{netip.MustParsePrefix(allowed)}).Dial("tcp4", "localhost:"+port)
		if c != nil {
			c.Close()
		}
		if err == nil && want != "" || err != nil && schema.CodeOf(err) != want {
			t.Errorf("%s: %v", allowed, err)
		}
	}
	seed, err := NewSeed()
	if err != nil {
		t.Fatal(err)
	}
	_, err = Dial(t.Context(), Options{URL: "https://core", Proxy: "http://proxy:1", Allowed: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Seed: seed, Agent: "a"})
	if schema.CodeOf(err) != schema.Invalid {
		t.Errorf("through a proxy: %v", err)
	}
}
