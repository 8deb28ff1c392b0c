package resource

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const alloy = `
[[server]]
name = "nvr"
[[server]]
name = "kasm"
[[server]]
name = "omni"
`

// Row 13: one declaration for several servers.
func TestRow13OneStackForSeveralServers(t *testing.T) {
	d := newDesk()
	d.do(t, Scope{}, alloy+`
[[stack]]
name = "alloy"
targets = ["nvr", "kasm", "omni"]
tags = ["{{host.name}}", "monitoring"]
deploy = true
[stack.config]
file_contents = "services: {}"
environment = """
HOSTNAME={{host.name}}
FORMAT={{.Name}}
"""
`)
	list, err := d.stacks.All()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, s := range list {
		server, err := d.servers.Find(s.Config.ServerID)
		if err != nil {
			t.Fatal(err)
		}
		have[s.Name] = server.Name + " " + strings.Join(s.Tags, ",") + " " + string(s.Config.Environment)
	}
	want := map[string]string{
		"alloy-nvr":  "nvr nvr,monitoring HOSTNAME=nvr\nFORMAT={{.Name}}\n",
		"alloy-kasm": "kasm kasm,monitoring HOSTNAME=kasm\nFORMAT={{.Name}}\n",
		"alloy-omni": "omni omni,monitoring HOSTNAME=omni\nFORMAT={{.Name}}\n",
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

func TestTargetsThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		`targets = "nvr"`:                               "stack[0].targets: want a list of the servers it is for",
		`targets = []`:                                  "stack[0].targets: want a list of the servers it is for",
		`targets = ["nvr", "nvr"]`:                      `stack[0].targets: "nvr" is in it twice`,
		`targets = ["nvr", "atlantis"]`:                 `there is no server "atlantis"`,
		"targets = [\"nvr\"]\nconfig.server = \"kasm\"": "stack[0].config.server: the servers are given by targets",
	} {
		p := newDesk().planScope(t, Scope{}, alloy+"[[stack]]\nname = \"alloy\"\n"+text)
		if err := p.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWhatCoreMadeIsKept(t *testing.T) {
	d := newDesk()
	d.do(t, Scope{}, "[[procedure]]\nname = \"nightly\"\ntags = [\"system\"]\n[[procedure]]\nname = \"mine\"\n[[server]]\nname = \"nvr\"\n")
	p := d.planScope(t, Scope{Delete: true}, "[[server]]\nname = \"nvr\"\n")
	if got := story(p); !strings.Contains(got, "delete procedure mine") || strings.Contains(got, "delete procedure nightly") || !strings.Contains(got, "(procedure nightly: not declared, and kept: core made it") {
		t.Error(got)
	}
}
