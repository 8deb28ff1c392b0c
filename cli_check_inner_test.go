package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckLooksIntoScriptsAndComposeFiles: what settings hold that is a language of
// its own is read as well, and what is wrong is said at its own line.
func TestCheckLooksIntoScriptsAndComposeFiles(t *testing.T) {
	server := "[[server]]\nname = \"one\"\n"
	stack := func(text string) string {
		return server + "[[stack]]\nname = \"web\"\n[stack.config]\nserver = \"one\"\nfile_contents = \"\"\"\n" + text + "\"\"\"\n"
	}
	action := func(text string) string {
		return "[[action]]\nname = \"greet\"\n[action.config]\nfile_contents = '''\n" + text + "'''\n"
	}
	for name, c := range map[string]struct {
		text string
		want string // after the file's name; "" for no mistake
	}{
		"TypeScript":                  {action("const n: number = 1;\nconsole.log(`${n} [[TOKEN]]`);\n"), ""},
		"a script that is not closed": {action("const a = 1;\nconst b = (;\n"), ":6: action[0].config.file_contents: line 2:12: Unexpected \";\""},
		"an import of what is not":    {action("\nimport { x } from \"left-pad\";\nx();\n"), ":6: action[0].config.file_contents: line 2:19: import of \"left-pad\""},
		"on the line of its key":      {"[[action]]\nname = \"greet\"\nconfig.file_contents = \"let x = ;\"\n", ":3: action[0].config.file_contents: line 1:9: "},
		"a compose file": {
			stack("services:\n  web:\n    image: nginx:${TAG}\n    ports: [ \"${PORT}:80\" ]\n    mem_limit: ${MEM}\n    deploy: { replicas: \"${N}\" }\n    environment: { A: [[TOKEN]] }\n    env_file: [ none.env ]\n"), "",
		},
		"of parts that are elsewhere": {stack("include: [ part.yaml ]\nservices: { web: { extends: { file: base.yaml, service: base } } }\n"), ""},
		"no YAML":                     {stack("services:\n  web:\n    image: nginx\n   ports: []\n"), ": stack[0].config.file_contents: "},
		"an unknown key":              {stack("services:\n  web:\n    imag: nginx\n"), ":7: stack[0].config.file_contents: services.web additional properties 'imag' not allowed"},
		"a service of nothing":        {stack("services:\n  web:\n    restart: always\n"), `:7: stack[0].config.file_contents: service "web" has neither image nor build`},
		"no services":                 {stack("volumes: { a: {} }\n"), ":7: stack[0].config.file_contents: it has no services"},
		"files that are elsewhere":    {strings.Replace(stack("nothing: [\n"), "server = \"one\"\n", "server = \"one\"\nfiles_on_host = true\n", 1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, "berth.toml", c.text)
			code, out, errs := offline(t, "check", file)
			if c.want == "" {
				if code != 0 || !strings.HasSuffix(out, "no mistake\n") {
					t.Error(code, out, errs)
				}
				return
			}
			if code != 2 || !strings.Contains(out, filepath.Base(file)+c.want) && (c.want[1] == ':' || !strings.Contains(out, c.want)) || strings.Count(out, "\n") != 1 {
				t.Error(code, out, errs)
			}
		})
	}
}
