package schema

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeFaults(t *testing.T) {
	for name, c := range map[string]struct {
		tree             string
		errors, warnings []KeyError
	}{
		"wrong types": {
			`{"auto_pull": "yes", "repo": 3, "health_timeout": 1.5, "links": 7, "file_paths": ["a", 1]}`,
			[]KeyError{
				{"links", "want a string or a list of strings, have the number 7", false},
				{"auto_pull", "want true or false, have a string", false},
				{"repo", "want a string, have the number 3", false},
				{"file_paths[1]", "want a string, have the number 1", false},
				{"health_timeout", "want a whole number, have the number 1.5", false},
			},
			nil,
		},
		"alias beside canonical": {
			`{"server": "a", "server_id": "b"}`,
			[]KeyError{{"server", "is the same setting as server_id: give one of them", false}},
			nil,
		},
		"enum": {
			`{"config_files": [{"path": "x", "requires": "restarted"}]}`,
			[]KeyError{{"config_files[0].requires", `"restarted" is none of Redeploy, Restart, None: did you mean Restart?`, false}},
			nil,
		},
		"missing": {`{"additional_env_files": [{}]}`, []KeyError{{"additional_env_files[0].path", "is missing", false}}, nil},
		"unknown key": {
			`{"file_path": "x", "pre_deploy": {"args": 1}, "zzzzzz": 1}`, nil,
			[]KeyError{
				{"pre_deploy.args", "unknown key, ignored", true},
				{"file_path", "unknown key, ignored: did you mean file_paths?", true},
				{"zzzzzz", "unknown key, ignored", true},
			},
		},
		"negative": {`{"wait_timeout": -1}`, []KeyError{{"wait_timeout", "must not be negative, is -1", false}}, nil},
		"bad environment": {
			`{"environment": "A=1\nB\n"}`, nil,
			[]KeyError{{"environment", "line 2 has neither = nor : between a name and a value: this will fail when it is used", false}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree, err := ReadJSON([]byte(c.tree))
			if err != nil {
				t.Fatal(err)
			}
			config := DefaultStack()
			r := Decode(tree, &config)
			if diff := cmp.Diff(c.errors, r.Errors); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.warnings, r.Warnings); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeGivesFreshValues(t *testing.T) {
	config := DefaultStack()
	config.PreDeploy = SystemCommand{Path: "p", Command: "c\n"}
	links := StrList{"old1", "old2"}
	config.Links = links
	r := Decode(map[string]any{"pre_deploy": map[string]any{"command": "d"}, "links": []any{"new"}}, &config)
	if len(r.Errors) > 0 {
		t.Fatal(r.Errors)
	}
	if diff := cmp.Diff(SystemCommand{Command: "d\n"}, config.PreDeploy); diff != "" {
		t.Error(diff)
	}
	if links[0] != "old1" || !cmp.Equal(config.Links, StrList{"new"}) {
		t.Error("the old list was written to", links, config.Links)
	}
}

func TestDefaultsSurviveStorage(t *testing.T) {
	want := DefaultStack()
	want.Environment, want.ConfigFiles = "A = 1\n", []FileDep{{Path: "x", Services: StrList{}, Requires: RequiresNone}}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var have StackConfig
	if err := json.Unmarshal(b, &have); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		rule     NameRule
		in, want string
	}{
		{StackName, " My Stack.v2 ", "my_stack_v2"},
		{StackName, "_-x", "x"},
		{StackName, "ÄÖ", ""},
		{RepoName, " a b\nc ", "a_b_c"},
		{PlainName, " two words\nx ", "two words_x"},
		{PlainName, "  ", ""},
		{PlainName, "0123456789abcdef01234567", ""},
		{VariableName, "CI_TOKEN", "CI_TOKEN"},
		{VariableName, "1X", ""},
		{VariableName, "A B", ""},
		{VariableName, "A\n", ""},
	} {
		have, err := c.rule(c.in)
		if have != c.want || (err != nil) != (c.want == "") || (err != nil && CodeOf(err) != Invalid) {
			t.Errorf("%q: have %q, %v, want %q", c.in, have, err, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	for in, want := range map[string]string{
		"sever": "server", "srever": "server", "Server": "server", "enviroment": "environment", "colour": "", "x": "",
	} {
		if have := Nearest(in, []string{"server", "environment", "links"}); have != want {
			t.Errorf("%q: have %q, want %q", in, have, want)
		}
	}
}
