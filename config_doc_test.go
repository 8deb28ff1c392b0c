package main

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestConfigurationDocIsCurrent compares docs/configuration.md with the table; with
// the argument write it is written.
func TestConfigurationDocIsCurrent(t *testing.T) {
	const file, from = "docs/configuration.md", "## Keys\n\n"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, have, ok := strings.Cut(string(b), from)
	if !ok {
		t.Fatalf("%s has no %q", file, from)
	}
	if have == reference() {
		return
	}
	if slices.Contains(flag.Args(), "write") {
		if err := os.WriteFile(file, []byte(head+from+reference()), 0o644); err != nil { //nolint:gosec // it is a document
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s is not what the table says: go test . -run ConfigurationDoc -args write", file)
}

// Every row says what it is, once, and each name leads to one row of a process.
func TestKeysAreSound(t *testing.T) {
	for _, in := range []part{inCore, inUp, inAgent} {
		s := newSettings(in)
		seen := map[string]string{}
		for _, x := range s.list {
			if x.doc == "" && x.none == "" {
				t.Errorf("%v has no doc", x.keys())
			}
			if len(x.keys()) == 0 || x.in == 0 || x.read.kind == "" || x.read.set == nil && x.read.item == nil {
				t.Errorf("%v is incomplete", x.keys())
			}
			if !s.mine(x) {
				continue
			}
			ours := x.keys()
			slices.Sort(ours)
			for _, k := range slices.Compact(ours) {
				if seen[k] != "" {
					t.Errorf("%s is of two rows: %s and %s", k, seen[k], x.title())
				}
				seen[k] = x.title()
			}
		}
	}
}
