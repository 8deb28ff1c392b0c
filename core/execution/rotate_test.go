package execution

import (
	"testing"
	"time"

	"berth/schema"
)

func TestRow58WhoseKeyIsRotated(t *testing.T) {
	server := func(name string, change func(*schema.ServerConfig)) schema.Resource[schema.ServerConfig] {
		cfg := schema.DefaultServer()
		cfg.Enabled = true
		change(&cfg)
		return schema.Resource[schema.ServerConfig]{Name: name, Config: cfg}
	}
	same := func(*schema.ServerConfig) {}
	since := time.Date(2026, 3, 1, 4, 5, 0, 0, time.UTC)
	res := &rotated{}
	for _, p := range []Rotation{
		Rotate(server("here", same), true, since),
		Rotate(server("away", same), false, since),
		Rotate(server("never", same), false, time.Time{}),
		Rotate(server("off", func(c *schema.ServerConfig) { c.Enabled = false }), true, since),
		Rotate(server("mine", func(c *schema.ServerConfig) { c.AutoRotateKeys = false }), true, since),
	} {
		if p.Skip != "" {
			res.skip(p)
			continue
		}
		res.took(p.Server.Name, nil)
	}
	out := res.outcome(res.decision())
	want := "rotated here; not rotated: away (offline since 2026-03-01 04:05 UTC); left alone: never (no agent has joined it yet), off (disabled), mine (auto_rotate_keys = false)"
	if out.Note != want || out.State != schema.StateWarning || res.err() != nil {
		t.Errorf("%+v, %v", out, res.err())
	}
	res.took("broken", schema.Errorf(schema.Expired, "no answer"))
	if err := res.err(); schema.SafeText(err) != "1 of 2 servers keep the key they have: broken: no answer" {
		t.Error(err)
	}
}
