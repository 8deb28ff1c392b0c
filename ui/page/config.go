package page

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"berth/schema"
)

// ConfigView is the settings of a resource, as a form or as TOML.
type ConfigView struct {
	Kind, Name string
	TOML       string // when the text is shown
	AsText     bool
	Sections   []FormSection
	Error      string
	Saved      bool
	Plan       *PlanView
}

// FormSection is a part of a form.
type FormSection struct {
	Title  string
	Open   bool
	Fields []FormField
}

// FormField is a setting with its value, as a form shows it.
type FormField struct {
	schema.Field
	Label   string
	Value   string // text of inputs, lines of lists
	On      bool   // of switches
	Changed bool   // differs from the default
	Options []Option
	Sub     []FormField
}

// Option is a choice of a select.
type Option struct{ Value, Label string }

// sectionTitles orders the sections of forms; a field belongs to the first whose
// prefixes it has.
func sectionTitles() []struct {
	title    string
	prefixes []string
} {
	return []struct {
		title    string
		prefixes []string
	}{
		{"Where", []string{"server_id", "swarm_id", "builder_id", "enabled", "region", "external_address", "address", "project_name"}},
		{"Source", []string{"linked_repo", "git_", "repo", "branch", "commit", "clone_path", "path", "reclone", "submodules", "files_on_host"}},
		{"Files and environment", []string{"run_directory", "file_paths", "file_contents", "environment", "env_file_path", "additional_env_files", "config_files", "skip_secret_interp"}},
		{"Deploy", []string{"auto_pull", "run_build", "destroy_before", "pre_deploy", "post_deploy", "on_clone", "on_pull", "extra_args", "build_extra", "ignore_services", "check_health", "health_timeout", "deploy_timeout", "wait_timeout", "registry_", "compose_cmd"}},
		{"Stages and schedule", []string{"stages", "schedule"}},
		{"Webhook", []string{"webhook_"}},
		{"Updates", []string{"poll_for_updates", "auto_update"}},
		{"Alerts and thresholds", []string{"send_", "failure_alert", "cpu_", "mem_", "disk_", "maintenance"}},
	}
}

// Form returns the settings of a config as sections of a form. def is the
// config of a resource that declares none; options are the choices by kind.
func Form[C any](config, def C, options map[string][]Option) []FormSection {
	values, err := tree(config)
	if err != nil {
		return nil
	}
	var out []FormSection
	for _, t := range sectionTitles() {
		out = append(out, FormSection{Title: t.title, Open: len(out) < 3})
	}
	rest := FormSection{Title: "More"}
	for _, f := range schema.Fields(def) {
		if f.Ref != "" && options[f.Ref] == nil {
			continue // a kind that this installation does not have
		}
		field := formField(f, values[f.Name], options)
		if i := sectionOf(f.Name); i >= 0 {
			out[i].Fields = append(out[i].Fields, field)
		} else {
			rest.Fields = append(rest.Fields, field)
		}
	}
	out = append(out, rest)
	kept := out[:0]
	for _, s := range out {
		if len(s.Fields) > 0 {
			kept = append(kept, s)
		}
	}
	return kept
}

func sectionOf(name string) int {
	for i, t := range sectionTitles() {
		for _, p := range t.prefixes {
			if strings.HasPrefix(name, p) {
				return i
			}
		}
	}
	return -1
}

func tree(v any) (map[string]any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(text, &out)
}

func formField(f schema.Field, value any, options map[string][]Option) FormField {
	out := FormField{Field: f, Label: label(f.Name), Options: options[f.Ref], Changed: !reflect.DeepEqual(value, f.Default)}
	switch v := value.(type) {
	case bool:
		out.On = v
	case string:
		out.Value = v
	case float64:
		out.Value = strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		var lines []string
		for _, x := range v {
			lines = append(lines, fmt.Sprint(x))
		}
		out.Value = strings.Join(lines, "\n")
	case map[string]any:
		for _, sub := range f.Fields {
			s := formField(sub, v[sub.Name], options)
			s.Name = f.Name + "." + sub.Name
			out.Sub = append(out.Sub, s)
		}
	}
	if f.Secret == "true" {
		out.Value = "" // a secret is never sent to a browser
	}
	return out
}

// label returns a setting's name for people: "git_ssh_key" is "Git SSH key".
func label(name string) string {
	words := strings.Split(strings.TrimSuffix(name, "_id"), "_")
	for i, w := range words {
		switch w {
		case "https", "ssh", "cpu", "toml", "url", "tls", "id":
			words[i] = strings.ToUpper(w)
		case "cmd":
			words[i] = "command"
		case "env":
			words[i] = "env"
		default:
			if i == 0 && w != "" {
				words[i] = strings.ToUpper(w[:1]) + w[1:]
			}
		}
	}
	return strings.Join(words, " ")
}

// editable reports whether a form can show the field; the others are edited as
// TOML.
func editable(f FormField) bool {
	switch f.Type {
	case "bool", "str", "int", "float", "enum", "strlist", "kv", "filetext":
		return true
	case "syscmd":
		return len(f.Sub) > 0
	}
	return false
}

// Patch returns the settings that a posted form changes, as Editor.Save takes
// them; nil when there is none.
func Patch(sections []FormSection, post url.Values) (json.RawMessage, error) {
	patch := map[string]any{}
	for _, s := range sections {
		for _, f := range s.Fields {
			if !editable(f) || !post.Has("has:"+f.Name) {
				continue
			}
			v, changed, err := posted(f, post)
			if err != nil {
				return nil, err
			}
			if changed {
				patch[f.Name] = v
			}
		}
	}
	if len(patch) == 0 {
		return nil, nil
	}
	return json.Marshal(patch)
}

func posted(f FormField, post url.Values) (value any, changed bool, err error) {
	text := strings.ReplaceAll(post.Get(f.Name), "\r\n", "\n")
	switch f.Type {
	case "bool":
		on := post.Get(f.Name) == "on"
		return on, on != f.On, nil
	case "int", "float":
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, false, schema.Errorf(schema.Invalid, "%s: %q is not a number", f.Label, text)
		}
		return n, strconv.FormatFloat(n, 'f', -1, 64) != f.Value, nil
	case "strlist":
		list := []string{}
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				list = append(list, line)
			}
		}
		return list, strings.Join(list, "\n") != f.Value, nil
	case "syscmd":
		return postedCommand(f, post)
	}
	if f.Secret == "true" && text == "" {
		return nil, false, nil // left as it is
	}
	return text, strings.TrimRight(text, "\n") != strings.TrimRight(f.Value, "\n"), nil
}

func postedCommand(f FormField, post url.Values) (any, bool, error) {
	out, some := map[string]any{}, false
	for _, sub := range f.Sub {
		v, changed, err := posted(sub, post)
		if err != nil {
			return nil, false, err
		}
		out[strings.TrimPrefix(sub.Name, f.Name+".")] = v
		some = some || changed
	}
	return out, some, nil
}

func formPost(v ConfigView) string { return "/config/" + v.Kind + "/" + url.PathEscape(v.Name) }

func deleteHref(v ConfigView) string { return "/delete/" + v.Kind + "/" + url.PathEscape(v.Name) }

func rows(text string) string {
	return strconv.Itoa(min(24, max(2, strings.Count(text, "\n")+2)))
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

func changedText(s FormSection) string {
	n := 0
	for _, f := range s.Fields {
		if f.Changed {
			n++
		}
	}
	if n == 0 {
		return "as by default"
	}
	return strconv.Itoa(n) + " set"
}
