package script

import (
	"strings"
	"testing"

	"berth/schema"
)

func TestYAMLBombsAreRefused(t *testing.T) {
	aliases := "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
	for last, c := "a", 'b'; c <= 'j'; c++ {
		aliases += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+last+",", 9) + "*" + last + "]\n"
		last = string(c)
	}
	for name, text := range map[string]string{
		"aliases": aliases, "brackets": "a: " + strings.Repeat("[", 100_000), "lists": strings.Repeat("- ", 100_000) + "1",
		"texts": "a: &a " + strings.Repeat("x", 1<<16) + "\nb: [" + strings.Repeat("*a, ", 20_000) + "*a]\n",
	} {
		if _, err := parseYAML(text); schema.CodeOf(err) != schema.TooLarge {
			t.Errorf("%s in a script: %.100v", name, err)
		}
		if _, err := Arguments("yaml", text); schema.CodeOf(err) != schema.TooLarge {
			t.Errorf("%s as arguments: %.100v", name, err)
		}
	}
	if out, err := parseYAML("base: &b {x: [1, 2]}\none: *b\ntwo: {<<: *b, y: 3}\n"); err != nil || !strings.Contains(out, `"y":3`) {
		t.Errorf("an honest one: %s %v", out, err)
	}
}
