package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	p := &Plan{known: map[string]bool{"web": true, "db": true, "unselected": true}}
	last := map[string]Inputs{
		"web":        {"file:a.conf": "1", "env:PORT": "1", "image:web:1.2": "sha256:1", "field:ports": "1", "secret:s": "1", "build:app": "1"},
		"old":        {"field:command": "1"},
		"unselected": {"field:command": "1"},
	}
	for _, c := range []struct {
		name string
		now  map[string]Inputs
		want []string
	}{
		{"same", map[string]Inputs{"web": last["web"]}, []string{"service old is gone"}},
		{"all", map[string]Inputs{
			"web": {"file:a.conf": "2", "env:PORT": "2", "image:web:1.2": "sha256:2", "field:ports": "2", "secret:s": "2", "build:app": "2", "env:NEW": "1"},
			"db":  {},
		}, []string{
			"service db is new", "build context app changed", "environment NEW added", "environment PORT changed", "ports changed",
			"a.conf changed", "image web:1.2 moved", "secret s changed", "service old is gone",
		}},
		{"another image, nothing to build", map[string]Inputs{
			"web": {"image:web:1.3": "sha256:3", "env:PORT": "1", "field:ports": "1", "secret:s": "1"},
		}, []string{"image web:1.3 is used now", "a.conf removed", "service old is gone"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, change := range p.Compare(last, c.now) {
				got = append(got, change.Text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
