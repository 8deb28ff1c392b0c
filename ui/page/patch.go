package page

import (
	"encoding/json"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"berth/schema"
)

// Patch returns the settings that a posted form changes, as Editor.Save takes
// them; nil when there is none.
func Patch(sections []FormSection, post url.Values) (json.RawMessage, error) {
	patch, whole := map[string]any{}, map[string]any{}
	union := false
	for _, s := range sections {
		for _, f := range s.Fields {
			if !post.Has("has:" + f.ID) {
				continue
			}
			v, changed, err := f.posted(post)
			if err != nil {
				return nil, err
			}
			whole[f.Name] = v
			union = union || f.Shape == shapeUnion
			if changed {
				patch[f.Name] = v
			}
		}
	}
	if len(patch) == 0 {
		return nil, nil
	}
	if union { // type and params belong together
		patch["type"], patch["params"] = whole["type"], whole["params"]
	}
	return json.Marshal(patch)
}

// posted returns the value that a form gives a setting, and whether it is another
// one than before.
func (f FormField) posted(post url.Values) (value any, changed bool, err error) {
	text := strings.ReplaceAll(post.Get(f.ID), "\r\n", "\n")
	switch f.Shape {
	case shapeBool:
		on := post.Get(f.ID) == "on"
		return on, on != f.On, nil
	case shapeNumber:
		if text == "" && f.raw == nil {
			return nil, false, nil
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, false, schema.Errorf(schema.Invalid, "%s: %q is not a number", f.Label, text)
		}
		return n, strconv.FormatFloat(n, 'f', -1, 64) != f.Value, nil
	case shapeLines:
		list := []string{}
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				list = append(list, line)
			}
		}
		return list, strings.Join(list, "\n") != f.Value, nil
	case shapeChecks:
		return f.postedChecks(post)
	case shapeGroup:
		return postedFields(f.Sub, f.raw, post)
	case shapeUnion:
		return f.postedUnion(post)
	case shapeItems:
		return f.postedItems(post)
	case shapeJSON:
		return f.postedJSON(text)
	case shapeSecret:
		if text == "" {
			return f.raw, false, nil // left as it is
		}
		return text, true, nil
	case shapeText, shapeArea, shapeSelect:
	}
	if strings.TrimRight(text, "\n") == strings.TrimRight(f.Value, "\n") {
		return f.raw, false, nil
	}
	return text, true, nil
}

func (f FormField) postedChecks(post url.Values) (any, bool, error) {
	list, changed := []string{}, false
	for _, o := range f.Options {
		on := slices.Contains(post[f.ID], o.Value)
		if on {
			list = append(list, o.Value)
		}
		changed = changed || on != f.ticked(o)
	}
	return list, changed, nil
}

// postedFields returns an object: what it was, with what the form says.
func postedFields(fields []FormField, raw any, post url.Values) (any, bool, error) {
	old, _ := raw.(map[string]any)
	out, some := maps.Clone(old), false
	if out == nil {
		out = map[string]any{}
	}
	for _, f := range fields {
		v, changed, err := f.posted(post)
		if err != nil {
			return nil, false, err
		}
		if changed { // what was left out stays so
			out[f.Name], some = v, true
		}
	}
	return out, some, nil
}

func (f FormField) postedUnion(post url.Values) (any, bool, error) {
	want := post.Get(strings.TrimSuffix(f.ID, "params") + "type")
	for _, c := range f.Choices {
		if c.Name != want {
			continue
		}
		raw := f.raw
		if !c.Chosen {
			raw = map[string]any{}
		}
		v, changed, err := postedFields(c.Fields, raw, post)
		return v, changed || !c.Chosen, err
	}
	return nil, false, schema.Errorf(schema.Invalid, "%s: there is no type %q", f.Label, want)
}

func (f FormField) postedItems(post url.Values) (any, bool, error) {
	if n, err := strconv.Atoi(post.Get("n:" + f.ID)); err != nil || n != len(f.Items) {
		return nil, false, schema.Errorf(schema.Conflict, "%s was changed by somebody else meanwhile: load the page again", f.Label)
	}
	list, some := []any{}, false
	old, _ := f.raw.([]any)
	for i, fields := range f.Items {
		if post.Has("del:" + itemAt(f.ID, i)) {
			some = true
			continue
		}
		var raw any
		if i < len(old) {
			raw = old[i]
		}
		v, changed, err := postedFields(fields, raw, post)
		if err != nil {
			return nil, false, err
		}
		if f.isNew(i) && !changed {
			continue
		}
		list, some = append(list, v), some || changed
	}
	return list, some, nil
}

func (f FormField) postedJSON(text string) (any, bool, error) {
	if strings.TrimSpace(text) == strings.TrimSpace(f.Value) {
		return f.raw, false, nil
	}
	if strings.TrimSpace(text) == "" {
		return f.Default, !reflect.DeepEqual(f.raw, f.Default), nil
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, false, schema.Errorf(schema.Invalid, "%s: this is not JSON: %v", f.Label, err)
	}
	return v, !reflect.DeepEqual(v, f.raw), nil
}
