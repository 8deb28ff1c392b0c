package process

import (
	"encoding/json"
	"os"
	"testing"
)

func TestParseVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/commands.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ Input, Output string }
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 10 {
		t.Fatalf("%d vectors", len(cases))
	}
	for _, tc := range cases {
		got, ok := Parse(tc.Input, false)
		if got != tc.Output || ok != (tc.Output != "") {
			t.Errorf("%q became %q %v, want %q", tc.Input, got, ok, tc.Output)
		}
		if got, ok := Parse(tc.Input, true); got != tc.Input || ok != (tc.Input != "") {
			t.Errorf("shell mode: %q became %q %v", tc.Input, got, ok)
		}
	}
}

func TestParseMore(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nb\r\n":         "a && b",
		"a \\":               "a",
		"a \\\n# c\n b":      "a b",
		"a \\\n\\\n b":       "a b",
		`echo "a \"b\""`:     `echo "a \"b\""`,
		"a \\ b \\ c":        "a b c",
		" # only":            "",
		"\\":                 "",
		"a \\\n  b # x\n# y": "a b",
	} {
		if got, ok := Parse(in, false); got != want || ok != (want != "") {
			t.Errorf("%q became %q %v, want %q", in, got, ok, want)
		}
	}
	if _, ok := Parse(" \n\t", true); ok {
		t.Error("blanks are something to run")
	}
}

func TestWithoutSopsScript(t *testing.T) {
	for _, tc := range []struct {
		in, rest string
		found    bool
	}{
		{"sops-decrypt.sh", "", true},
		{"./sops-decrypt.sh", "", true},
		{"  sops-decrypt.sh\n", "", true},
		{"bash /x/sops-decrypt.sh", "", true},
		{"/usr/bin/bash -eu ../scripts/sops-decrypt.sh . --all", "", true},
		{"sudo sh ./sops-decrypt.sh", "", true},
		{`"/opt/my/sops-decrypt.sh" "$PWD"`, "", true},
		{"source sops-decrypt.sh", "", true},
		{"sops-decrypt.sh # decrypt", "", true},
		{"# first\nsops-decrypt.sh\n", "", true},
		{"sops-decrypt.sh || true", "", true},
		{"sops-decrypt.sh\necho done", "echo done", true},
		{"echo start\nsops-decrypt.sh", "echo start", true},
		{"sops-decrypt.sh && echo 'a && b'; ls", "echo 'a && b'; ls", true},
		{"cd x && ./sops-decrypt.sh && make", "cd x && make", true},
		{"cd x; sops-decrypt.sh; make; ls", "cd x; make; ls", true},
		{"echo a && sops-decrypt.sh", "echo a", true},
		{"sops-decrypt.sh \\\n  .\necho x", "echo x", true},
		{"sops-decrypt.sh && sops-decrypt.sh", "", true},
		{"echo sops-decrypt.sh", "echo sops-decrypt.sh", false},
		{"cat sops-decrypt.sh | bash", "cat sops-decrypt.sh | bash", false},
		{"sops-decrypt.sh | tee log", "sops-decrypt.sh | tee log", false},
		{"if x; then sops-decrypt.sh; fi", "if x; then sops-decrypt.sh; fi", false},
		{"sops-decrypt.sh > log", "sops-decrypt.sh > log", false},
		{"my-sops-decrypt.sh", "my-sops-decrypt.sh", false},
		{"sops-decrypt.sh.bak", "sops-decrypt.sh.bak", false},
		{"echo 'x; sops-decrypt.sh'", "echo 'x; sops-decrypt.sh'", false},
		{"# sops-decrypt.sh\nls", "# sops-decrypt.sh\nls", false},
		{"", "", false},
	} {
		rest, found := WithoutSopsScript(tc.in)
		if rest != tc.rest || found != tc.found {
			t.Errorf("%q became %q %v, want %q %v", tc.in, rest, found, tc.rest, tc.found)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a \\\nb # c\n# d", true)
	f.Add("cd x && 'sops-decrypt.sh; \\", false)
	f.Fuzz(func(t *testing.T, text string, mode bool) {
		if out, ok := Parse(text, mode); !mode && ok != (out != "") {
			t.Errorf("%q: %q %v", text, out, ok)
		}
		if rest, found := WithoutSopsScript(text); !found && rest != text {
			t.Errorf("%q changed to %q", text, rest)
		} else if found && len(rest) > len(text)+16 {
			t.Errorf("%q grew to %q", text, rest)
		}
	})
}
