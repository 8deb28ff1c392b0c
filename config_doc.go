package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// reference writes all settings there are as Markdown: docs/configuration.md from
// its table on, and what `berth config reference` prints.
func reference() string {
	var b bytes.Buffer
	s := newSettings(every)
	heeded, ignored := []*setting{}, []*setting{}
	for _, x := range s.list {
		if x.none == "" && x.remedy == "" {
			heeded = append(heeded, x)
		} else {
			ignored = append(ignored, x)
		}
	}
	var loader []*setting
	for _, k := range loaderKeys() {
		loader = append(loader, &setting{key: k, value: k.def})
	}
	section := func(title string, list []*setting) {
		fmt.Fprintf(&b, "### %s\n\n| key | Komodo's | variables | default | |\n|---|---|---|---|---|\n", title)
		for _, x := range list {
			if x.none == "" && x.remedy == "" {
				x.row(&b)
			}
		}
		b.WriteByte('\n')
	}
	section("Which files are read", loader)
	for _, g := range []struct {
		title string
		in    part
	}{{"Everywhere", every}, {"Core", cores}, {"`berth up` alone", inUp}, {"Agents, and the one in `berth up`", agents}, {"Agents alone", inAgent}} {
		section(g.title, slices.DeleteFunc(slices.Clone(heeded), func(x *setting) bool { return x.in != g.in }))
	}
	b.WriteString("### Accepted without effect\n\nSo that a file of Komodo's can be used as it is. Berth says at its start which of these it was given.\n\n| Komodo's key | in | why it does nothing |\n|---|---|---|\n")
	for _, x := range ignored {
		if x.none != "" {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", names(append(strings.Fields(x.core), strings.Fields(x.peri)...)), fileOf(x), x.none)
		}
	}
	b.WriteString("\n### Refused\n\nWhat these ask for can not be had so; ignoring them would break what relies on it.\n\n| Komodo's key | in | instead |\n|---|---|---|\n")
	for _, x := range ignored {
		if x.remedy != "" {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", names(append(strings.Fields(x.core), strings.Fields(x.peri)...)), fileOf(x), x.remedy)
		}
	}
	return b.String()
}

func (s *setting) row(b *bytes.Buffer) {
	def := s.def
	if s.name == "server" {
		def = "the host's name" // it differs on each
	}
	if def != "" {
		def = "`" + def + "`"
	}
	ours := ""
	if s.name != "" {
		ours = "`" + s.ours() + "`"
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", ours, names(append(strings.Fields(s.core), strings.Fields(s.peri)...)), names(s.envs()), def, s.doc)
}

func fileOf(x *setting) string {
	if x.peri != "" {
		return "periphery.config.toml"
	}
	return "core.config.toml"
}

// names lists names as code, each once.
func names(list []string) string {
	var out []string
	for _, n := range list {
		if n = "`" + n + "`"; !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return strings.Join(out, ", ")
}
