package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"berth/schema"
)

// setting is where a setting stands in a kind's struct.
type setting struct {
	name  string
	index int
	plain bool // it names no resource and holds no secret
}

// settingsOf returns the settings of a struct type; none for a union.
func settingsOf(t reflect.Type, fields []schema.Field) []setting {
	var out []setting
	for _, f := range fields {
		for i := range t.NumField() {
			at := t.Field(i)
			if name, _, _ := strings.Cut(at.Tag.Get("json"), ","); name == f.Name {
				plain := at.Tag.Get("ref") == "" && at.Tag.Get("secret") == "" && !mayRefer(at.Type) && !innerSecrets(at.Type, true)
				out = append(out, setting{f.Name, i, plain})
			}
		}
	}
	if len(out) != len(fields) {
		return nil
	}
	return out
}

// diff compares with what is stored, setting by setting.
func (x *proposed[C]) diff(before schema.Resource[C], p *planner) ([]FieldChange, error) {
	out := []FieldChange{}
	add := func(key string, old, now any) {
		a, b := jsonOf(old), jsonOf(now)
		if !bytes.Equal(a, b) {
			out = append(out, FieldChange{Key: key, Old: text(a), New: text(b)})
		}
	}
	if before.Description != x.want.Description {
		add("description", before.Description, x.want.Description)
	}
	if before.Template != x.want.Template {
		add("template", before.Template, x.want.Template)
	}
	if !same(reflect.ValueOf(before.Tags), reflect.ValueOf(x.want.Tags)) {
		add("tags", before.Tags, x.want.Tags)
	}
	changed := x.changed(before.Config)
	if len(changed) == 0 {
		return out, nil
	}
	old, now := byName(before.Config, p.nameOf), byName(x.want.Config, p.nameOf)
	if !x.kind.allPlain(changed) {
		var err error
		if old, err = shown(old, p); err != nil {
			return nil, err
		}
		if now, err = shown(now, p); err != nil {
			return nil, err
		}
	}
	for _, name := range changed {
		if a, ok := x.kind.stagesOf(old, name); ok {
			b, _ := x.kind.stagesOf(now, name)
			if parts := stageChanges(name, a, b); len(parts) > 0 {
				out = append(out, parts...)
				continue
			}
		}
		out = append(out, FieldChange{Key: name, Old: text(x.kind.part(old, name)), New: text(x.kind.part(now, name))})
	}
	return out, nil
}

// changed returns the names of the settings that differ.
func (x *proposed[C]) changed(before C) []string {
	a, b := reflect.ValueOf(before), reflect.ValueOf(x.want.Config)
	var out []string
	if x.kind.settings == nil { // a union
		if !same(a, b) && !bytes.Equal(jsonOf(before), jsonOf(x.want.Config)) {
			for _, f := range x.kind.fields {
				if !bytes.Equal(x.kind.part(before, f.Name), x.kind.part(x.want.Config, f.Name)) {
					out = append(out, f.Name)
				}
			}
		}
		return out
	}
	for _, s := range x.kind.settings {
		if !same(a.Field(s.index), b.Field(s.index)) && !bytes.Equal(jsonOf(a.Field(s.index).Interface()), jsonOf(b.Field(s.index).Interface())) {
			out = append(out, s.name)
		}
	}
	return out
}

// same reports whether two values are the same beyond doubt.
func same(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.String:
		return a.String() == b.String()
	case reflect.Bool:
		return a.Bool() == b.Bool()
	case reflect.Int, reflect.Int64:
		return a.Int() == b.Int()
	case reflect.Slice:
		if a.Len() == 0 && b.Len() == 0 {
			return true
		}
	default:
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// shown returns settings as a plan shows them: resources by name, secrets masked.
func shown[C any](config C, p *planner) (C, error) {
	display := config
	if len(refsOf(&config)) > 0 {
		var err error
		if display, err = mapRefs(config, func(r reference) string { return p.nameOf(r.kind, r.value) }); err != nil {
			return display, err
		}
	}
	return mapSecrets(display, func(string) (string, error) { return Mask, nil })
}

// allPlain reports whether the settings can be shown as they are.
func (k *Kind[C]) allPlain(names []string) bool {
	plain := 0
	for _, s := range k.settings {
		if s.plain && slices.Contains(names, s.name) {
			plain++
		}
	}
	return plain == len(names)
}

// part returns one setting as JSON.
func (k *Kind[C]) part(config C, name string) json.RawMessage {
	for _, s := range k.settings {
		if s.name == name {
			return jsonOf(reflect.ValueOf(config).Field(s.index).Interface())
		}
	}
	var all map[string]json.RawMessage // a union
	if json.Unmarshal(jsonOf(config), &all) != nil {
		return nil
	}
	return all[name]
}

// jsonOf writes plain data, which cannot fail.
func jsonOf(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}

// text is a setting as a plan shows it: a string as it is, the rest as JSON.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return string(raw)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return string(raw)
	}
	return strings.TrimSpace(b.String())
}

// named is how many settings a reason names.
const named = 3

// reason says in one sentence why the change is made.
func (x *proposed[C]) reason(s Scope, op string, fields []FieldChange) string {
	at := x.d.at()
	switch op {
	case OpCreate:
		return "declared in " + at + ", not stored"
	case OpUnchanged:
		return "as declared in " + at
	}
	var parts []string
	for i, f := range fields {
		if i == named {
			parts = append(parts, fmt.Sprintf("and %d more", len(fields)-named))
			break
		}
		parts = append(parts, f.String())
	}
	text := strings.Join(parts, "; ")
	switch {
	case x.d.flat:
	case s.lacks(x.d.hadTags) != "":
		text = fmt.Sprintf("adopted, the stored one lacks the tag %q: %s", s.lacks(x.d.hadTags), text)
	case s.lacks(x.d.tags) != "":
		text = fmt.Sprintf("let go, declared without the tag %q: %s", s.lacks(x.d.tags), text)
	}
	return text
}

// String returns the change on one line: branch: main → release.
func (f FieldChange) String() string {
	if f.Old == Mask && f.New == Mask {
		return f.Key + " changes"
	}
	if f.part() {
		return f.Key + ": " + f.partText()
	}
	if strings.Contains(f.Old+f.New, "\n") {
		return fmt.Sprintf("%s: %s → %s", f.Key, lines(f.Old), lines(f.New))
	}
	return fmt.Sprintf("%s: %s → %s", f.Key, brief(f.Old), brief(f.New))
}

// Setting returns the name of the setting that it is of: of stages there are several
// changes, stages[pull].executions[0] and so on.
func (f FieldChange) Setting() string {
	name, _, _ := strings.Cut(f.Key, "[")
	return name
}

// part reports whether it is of a part of a setting.
func (f FieldChange) part() bool { return f.Setting() != f.Key }

// partText says what becomes of a part: what was not there before is added.
func (f FieldChange) partText() string {
	switch {
	case f.Old == "" && !strings.HasSuffix(f.Key, ".timeout"):
		return "added: " + brief(f.New)
	case f.New == "" && !strings.HasSuffix(f.Key, ".timeout"):
		return "removed: " + brief(f.Old)
	}
	return brief(f.Old) + " → " + brief(f.New)
}

func lines(s string) string {
	switch n := strings.Count(strings.TrimRight(s, "\n")+"\n", "\n"); {
	case strings.TrimSpace(s) == "":
		return "nothing"
	case n == 1:
		return "1 line"
	default:
		return fmt.Sprintf("%d lines", n)
	}
}

// brief is a value on one short line.
func brief(s string) string {
	if s == "" {
		return `""`
	}
	line, rest, more := strings.Cut(strings.TrimRight(s, "\n"), "\n")
	if r := []rune(line); len(r) > 100 {
		line = string(r[:100]) + " …"
	}
	if more {
		return fmt.Sprintf("%s … (%d lines)", line, 2+strings.Count(rest, "\n"))
	}
	return line
}
