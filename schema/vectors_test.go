package schema

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type vectors struct {
	Env []struct {
		Input  string
		Output [][2]string
		Error  bool
	} `json:"key_value_list"`
	Command []struct{ Input, Output string } `json:"multiline_command"`
	Strings []struct {
		Input  string
		Output []string
	} `json:"string_list"`
	Interpolate struct {
		Values map[string]string
		Cases  []struct {
			Input, Output string
			Error         bool
		}
	}
	Pattern struct {
		Names []string
		Cases []struct {
			Pattern string
			Match   []string
			Error   bool
		}
	}
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParseEnvVectors(t *testing.T) {
	for _, c := range readVectors(t).Env {
		vars, err := ParseEnv(c.Input)
		if (err != nil) != c.Error {
			t.Errorf("%q: error %v, want error %v", c.Input, err, c.Error)
			continue
		}
		var have [][2]string
		for _, v := range vars {
			have = append(have, [2]string{v.Key, v.Value})
		}
		if len(have)+len(c.Output) > 0 && !cmp.Equal(c.Output, have) {
			t.Errorf("%q: %s", c.Input, cmp.Diff(c.Output, have))
		}
	}
}

func TestCommandVectors(t *testing.T) {
	for _, c := range readVectors(t).Command {
		if have := JoinCommand(c.Input); have != c.Output {
			t.Errorf("%q: have %q, want %q", c.Input, have, c.Output)
		}
	}
}

func TestStrListVectors(t *testing.T) {
	for _, c := range readVectors(t).Strings {
		if diff := cmp.Diff(c.Output, []string(ParseStrList(c.Input))); diff != "" {
			t.Errorf("%q: %s", c.Input, diff)
		}
	}
}

func TestInterpolateVectors(t *testing.T) {
	v := readVectors(t).Interpolate
	for _, c := range v.Cases {
		have, _, err := Interpolate(c.Input, func(n string) (string, bool) { s, ok := v.Values[n]; return s, ok })
		if (err != nil) != c.Error {
			t.Errorf("%q: error %v, want error %v", c.Input, err, c.Error)
		}
		if have != c.Output {
			t.Errorf("%q: have %q, want %q", c.Input, have, c.Output)
		}
	}
}

func TestPatternVectors(t *testing.T) {
	v := readVectors(t).Pattern
	for _, c := range v.Cases {
		p, err := ParsePattern(c.Pattern)
		if (err != nil) != c.Error {
			t.Errorf("%q: error %v, want error %v", c.Pattern, err, c.Error)
			continue
		}
		have := []string{}
		for _, n := range v.Names {
			if p.Match(n) {
				have = append(have, n)
			}
		}
		if !c.Error && !cmp.Equal(c.Match, have) {
			t.Errorf("%q: %s", c.Pattern, cmp.Diff(c.Match, have))
		}
	}
	if _, err := ParsePattern(`\`); CodeOf(err) != Invalid {
		t.Errorf("a lone backslash: %v", err)
	}
}

func TestInterpolateVariables(t *testing.T) {
	vars := map[string]VariableValue{
		"HOST": {Value: "db"}, "URL": {Value: "pg://u:[[PASS]]@h"}, "PASS": {Value: "s3[[HOST]]", Secret: true},
		"BAD": {Value: "x [["},
	}
	for _, c := range []struct {
		in, out string
		secrets []string
	}{
		{"[[HOST]] [[URL]] [[URL]] [[X]]", "db pg://u:s3[[HOST]]@h pg://u:s3[[HOST]]@h [[X]]", []string{"PASS"}},
		{"[[[PASS]]] stays", "[[PASS]] stays", nil},
	} {
		out, secrets, err := InterpolateVariables(c.in, vars)
		if err != nil || out != c.out || !cmp.Equal(secrets, c.secrets) {
			t.Errorf("%q: %q %v %v", c.in, out, secrets, err)
		}
	}
	if _, _, err := InterpolateVariables("[[BAD]]", vars); err == nil || !strings.Contains(SafeText(err), "variable BAD") {
		t.Errorf("a variable with an open [[: %v", err)
	}
}

func FuzzEnv(f *testing.F) {
	for _, c := range readVectors(f).Env {
		f.Add(c.Input)
	}
	f.Fuzz(func(t *testing.T, text string) {
		vars, err := ParseEnv(text)
		if err != nil {
			return
		}
		for _, v := range vars {
			if strings.ContainsAny(v.Key+v.Value, "\n") {
				t.Errorf("%q: a newline got into %q=%q", text, v.Key, v.Value)
			}
		}
	})
}

func FuzzInterpolate(f *testing.F) {
	for _, c := range readVectors(f).Interpolate.Cases {
		f.Add(c.Input)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out, used, err := Interpolate(text, func(string) (string, bool) { return "", false })
		if err == nil && len(used) > 0 {
			t.Errorf("%q: replaced %v, which nobody knows", text, used)
		}
		if err == nil && !strings.Contains(text, "[[[") && out != text {
			t.Errorf("%q became %q though no name is known", text, out)
		}
	})
}

func FuzzPattern(f *testing.F) {
	for _, c := range readVectors(f).Pattern.Cases {
		f.Add(c.Pattern, "web-1")
	}
	f.Fuzz(func(_ *testing.T, pattern, name string) {
		if p, err := ParsePattern(pattern); err == nil {
			p.Match(name)
		}
	})
}
