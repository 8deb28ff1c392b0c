package main

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/schema"
)

// asks is what an agent of a new key, or of the seed, asks with; key may be empty.
func (a *asked) asks(name string, seed []byte, key string) schema.OnboardReq {
	a.t.Helper()
	var k *bus.OnboardKey
	if key != "" {
		parsed, err := bus.ParseOnboardKey(key)
		if err != nil {
			a.t.Fatal(err)
		}
		k = &parsed
	}
	req, err := bus.AskOnboard(schema.OnboardReq{Name: name, Sent: time.Now().UnixMilli()}, seed, k)
	if err != nil {
		a.t.Fatal(err)
	}
	return req
}

// An agent that is refused leaves nothing behind, and a key that is none shuts nobody
// out.
func TestOnboardingThatIsRefusedChangesNothing(t *testing.T) {
	a := newAsked(t)
	private, _ := a.key(map[string]any{"name": "lab", "create_builder": true})
	seed := bustest.Seed(t)
	if code := a.post("auth/login/OnboardServer", a.asks("nexus", seed, private), nil); code != http.StatusOK {
		t.Fatalf("the first: %d", code)
	}
	if code := a.post("auth/login/OnboardServer", a.asks("second", seed, private), nil); code != http.StatusConflict {
		t.Errorf("the key of another agent: %d", code)
	}
	if code := a.post("read/GetServer", map[string]any{"server": "second"}, nil); code != http.StatusNotFound {
		t.Errorf("its server was made: %d", code)
	}
	a.post("write/CreateServer", map[string]any{"name": "off", "config": map[string]any{"enabled": false}}, nil)
	privileged, _ := a.key(map[string]any{"name": "privileged", "privileged": true})
	if code := a.post("auth/login/OnboardServer", a.asks("off", seed, privileged), nil); code != http.StatusConflict {
		t.Errorf("the key of another agent, privileged: %d", code)
	}
	if a.server("off").Config.Enabled {
		t.Error("its server was enabled")
	}
	had := a.server("nexus").Info.PublicKey
	for _, wrong := range []string{"", "UTYPO", had[:len(had)-1] + "!", "MCowBQYDK2VuAyEAk5mGvVZl1y0UuKxJbcVxkA0d8m7nq0m3d2bq3cE7PEU="} {
		if code := a.post("write/UpdateServerPublicKey", map[string]any{"server": "nexus", "public_key": wrong}, nil); code != http.StatusUnprocessableEntity {
			t.Errorf("%q as a key: %d", wrong, code)
		}
	}
	if now := a.server("nexus").Info.PublicKey; now != had {
		t.Errorf("the agent's key is %q, was %q", now, had)
	}
}

// Of copies of one machine that come at once one is let in, and stays so.
func TestCopiesThatOnboardAtOnce(t *testing.T) {
	a := newAsked(t)
	private, _ := a.key(map[string]any{"name": "lab"})
	codes := make([]int, 8)
	var all sync.WaitGroup
	for i := range codes {
		req := a.asks("nexus", bustest.Seed(t), private)
		all.Go(func() { codes[i] = a.post("auth/login/OnboardServer", req, nil) })
	}
	all.Wait()
	in := 0
	for _, c := range codes {
		switch c {
		case http.StatusOK:
			in++
		case http.StatusConflict:
		default:
			t.Errorf("status %d", c)
		}
	}
	if in != 1 || a.server("nexus").Info.PublicKey == "" {
		t.Errorf("%d were let in, the server's key is %q", in, a.server("nexus").Info.PublicKey)
	}
}

// Strangers do not learn which servers there are.
func TestOnboardingTellsStrangersNothing(t *testing.T) {
	a := newAsked(t)
	a.post("write/CreateServer", map[string]any{"name": "nexus"}, nil)
	said := map[string]string{}
	for _, name := range []string{"nexus", "other", a.server("nexus").ID.OID} {
		req := a.asks(name, bustest.Seed(t), "")
		code, text := a.said("auth/login/OnboardServer", req)
		if code != http.StatusConflict {
			t.Errorf("%s: %d %s", name, code, text)
		}
		said[name] = strings.NewReplacer(name, "NAME", req.NKey, "KEY").Replace(text)
	}
	for name, text := range said {
		if text != said["nexus"] {
			t.Errorf("of %s core says\n%s\nof nexus\n%s", name, text, said["nexus"])
		}
	}
	if code := a.post("auth/login/OnboardServer", a.asks(strings.Repeat("x", 100_000), bustest.Seed(t), ""), nil); code != http.StatusUnprocessableEntity {
		t.Errorf("a name without end: %d", code)
	}
}
