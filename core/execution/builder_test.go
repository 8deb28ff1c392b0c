package execution

import (
	"context"
	"strings"
	"testing"

	"berth/schema"
)

// buildPlaces are servers by name, and which of them are online.
type buildPlaces struct {
	Builds
	BuildFleet
	Resources
	servers []schema.Resource[schema.ServerConfig]
	online  map[string]bool
	busy    []*schema.Run
}

func (p buildPlaces) Server(_ context.Context, id string) (schema.Resource[schema.ServerConfig], error) {
	for _, s := range p.servers {
		if s.ID == id {
			return s, nil
		}
	}
	return schema.Resource[schema.ServerConfig]{}, schema.Errorf(schema.NotFound, "there is no server %q", id)
}

func (p buildPlaces) AllServers(context.Context) ([]schema.Resource[schema.ServerConfig], error) {
	return p.servers, nil
}

func (p buildPlaces) IsOnline(server string) bool { return p.online[server] }

func (p buildPlaces) BuildRuns(context.Context) ([]*schema.Run, error) { return p.busy, nil }

// newPlaces has servers a, b and c, and one build on a.
func newPlaces(online ...string) (*Deps, *buildPlaces) {
	p := &buildPlaces{online: map[string]bool{}}
	for _, id := range []string{"a", "b", "c"} {
		cfg := schema.ServerConfig{Enabled: true, ExternalAddress: id + ".example", Address: "https://10.0.0." + id + ":8120"}
		p.servers = append(p.servers, schema.Resource[schema.ServerConfig]{ID: id, Name: "server-" + id, Config: cfg})
	}
	for _, id := range online {
		p.online[id] = true
	}
	p.busy = []*schema.Run{{ID: "other", Plan: []byte(`{"place":{"server":{"kind":"server","id":"a"}},"version":"1.0.0"}`)}, {ID: "queued"}}
	return &Deps{Resources: p, Builds: p, Fleet: p}, p
}

func TestLeastBusyBuilder(t *testing.T) {
	for _, tc := range []struct {
		online, ids string
		disabled    bool // server b
		want, why   string
	}{
		{"a b c", "a b c", false, "b", "0 builds there now, the fewest of 3"},
		{"a c", "a b c", false, "c", "of 2 servers online"},
		{"a b c", "a b c", true, "c", "of 2 servers online"},
		{"a", "a b", false, "a", "1 builds there now"},
		{"a", "a", false, "a", "server server-a"},
		{"", "b c", false, "b", "none of builder pool is online"},
		{"a b", "b", true, "", "disabled"},
		{"a", "", false, "", "names no servers"},
		{"a", "x", false, "", "no server"},
	} {
		d, p := newPlaces(strings.Fields(tc.online)...)
		p.servers[1].Config.Enabled = !tc.disabled
		got, err := d.leastBusy(t.Context(), "mine", "pool", strings.Fields(tc.ids))
		if text := got.Why + schema.SafeText(err); got.Server.ID != tc.want || !strings.Contains(text, tc.why) {
			t.Errorf("%+v: %s: %s", tc, got.Server.ID, text)
		}
	}
}

func TestAddressedBuilder(t *testing.T) {
	d, _ := newPlaces("a")
	for address, want := range map[string]string{
		"server-a": "a", "https://server-b:8120": "b", "c.example": "c", "https://b.example:8120": "b", "https://periphery:8120": "",
	} {
		got, err := d.addressed(t.Context(), "far", address)
		if got.Server.ID != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", address, got.Server.ID, err)
		}
		if err != nil && (schema.CodeOf(err) != schema.Unsupported || !strings.Contains(schema.SafeText(err), "dial in")) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestResting(t *testing.T) {
	v := schema.Version{Major: 1}
	for _, tc := range []struct {
		a    Attached
		want string
	}{
		{Attached{Redeploy: true, State: "running"}, ""},
		{Attached{Redeploy: true, State: "paused", Version: v}, ""},
		{Attached{Redeploy: true, State: "running", Version: schema.Version{Major: 2}}, "2.0.0"},
		{Attached{State: "running"}, "redeploy_on_build"},
		{Attached{Redeploy: true}, "not deployed"},
		{Attached{Redeploy: true, State: "exited"}, "stopped"},
	} {
		if got := tc.a.resting(v); (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%+v: %q", tc.a, got)
		}
	}
}
