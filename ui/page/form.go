package page

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"berth/schema"
)

// FormSection is a part of a form.
type FormSection struct {
	Title  string
	Open   bool
	Fields []FormField
}

// FormField is a setting with its value, as a form shows it.
type FormField struct {
	schema.Field
	ID      string // its path, and the name of its inputs: "endpoint.params.Slack.url"
	Shape   shape
	Label   string
	Value   string // text of inputs, lines of lists
	On      bool   // of switches
	Changed bool   // differs from the default
	Options []Option
	Sub     []FormField   // of groups
	Items   [][]FormField // of lists of objects; the last one is a new one
	Choices []FormChoice  // of unions
	raw     any           // as JSON has it; nil when it is not set
}

// FormChoice is one type of a union with its settings.
type FormChoice struct {
	Name   string
	Chosen bool
	Fields []FormField
}

// Option is a choice of a select.
type Option struct{ Value, Label string }

// shape is how a setting is put into a form.
type shape string

const (
	shapeBool   shape = "bool"
	shapeNumber shape = "number"
	shapeText   shape = "text"
	shapeSecret shape = "secret"
	shapeSelect shape = "select"
	shapeLines  shape = "lines"  // a list, one per line
	shapeArea   shape = "area"   // a text of several lines
	shapeChecks shape = "checks" // a list of what is ticked
	shapeGroup  shape = "group"
	shapeUnion  shape = "union"
	shapeItems  shape = "items" // a list of objects
	shapeJSON   shape = "json"
)

// Form returns settings as sections of a form, from what is known of each and
// their values as JSON has them. options are the choices of references by kind;
// a kind that is not there hides its references.
func Form(fields []schema.Field, values map[string]any, options map[string][]Option) []FormSection {
	var out []FormSection
	for _, t := range sectionTitles() {
		out = append(out, FormSection{Title: t.title, Open: true})
	}
	more, own := FormSection{Title: "More"}, FormSection{Title: "Berth only"}
	f := former{options}
	for _, field := range f.fields("", fields, values) {
		i := sectionOf(field.Name)
		switch {
		case field.Own:
			own.Fields = append(own.Fields, field)
		case i >= 0:
			out[i].Fields = append(out[i].Fields, field)
		default:
			more.Fields = append(more.Fields, field)
		}
	}
	out = slices.DeleteFunc(append(out, more, own), func(s FormSection) bool { return len(s.Fields) == 0 })
	for i := range out {
		out[i].Open = i < 3 || len(out) < 5
	}
	return out
}

// former makes the fields of a form.
type former struct{ options map[string][]Option }

// fields returns the settings below a path.
func (f former) fields(at string, fields []schema.Field, values map[string]any) []FormField {
	var out []FormField
	for _, x := range fields {
		if x.Ref != "" && f.options[x.Ref] == nil {
			continue // a kind that this installation does not have
		}
		if on, _ := values[x.Secret].(bool); on {
			x.Secret = "true" // another setting says that it is one
		}
		chosen := ""
		if x.Type == "params" {
			chosen, _ = values["type"].(string)
		}
		out = append(out, f.field(at+x.Name, x, values[x.Name], chosen))
	}
	return out
}

func (f former) field(at string, x schema.Field, raw any, chosen string) FormField {
	out := FormField{Field: x, ID: at, Label: label(x.Name), Shape: f.shapeOf(x), Changed: !reflect.DeepEqual(raw, x.Default), raw: raw}
	switch out.Shape {
	case shapeBool:
		out.On, _ = raw.(bool)
	case shapeSelect, shapeChecks:
		out.Options = f.optionsOf(x)
		out.Value = lines(raw)
		if out.Shape == shapeSelect && !hasOption(out.Options, out.Value) && out.Value != "" {
			out.Options = append(out.Options, Option{out.Value, out.Value})
		}
	case shapeSecret: // is never sent to a browser
	case shapeGroup:
		values, _ := raw.(map[string]any)
		out.Sub = f.fields(at+".", x.Fields, values)
	case shapeUnion:
		out.Choices = f.choices(at, x, raw, chosen)
	case shapeItems:
		list, _ := raw.([]any)
		for i := range len(list) + 1 {
			item := blank(x.Fields)
			if i < len(list) {
				item, _ = list[i].(map[string]any)
			}
			out.Items = append(out.Items, f.fields(itemAt(at, i)+".", x.Fields, item))
		}
	case shapeJSON:
		if raw != nil && !reflect.DeepEqual(raw, x.Default) {
			text, _ := json.MarshalIndent(raw, "", "  ") // it was read from JSON
			out.Value = string(text)
		}
	case shapeNumber, shapeText, shapeLines, shapeArea:
		out.Value = lines(raw)
	}
	return out
}

func (f former) choices(at string, x schema.Field, raw any, chosen string) []FormChoice {
	var out []FormChoice
	names := make([]string, 0, len(x.Variants))
	for name := range x.Variants {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values, _ := raw.(map[string]any)
		if name != chosen {
			values = blank(x.Variants[name])
		}
		out = append(out, FormChoice{name, name == chosen, f.fields(at+"."+name+".", x.Variants[name], values)})
	}
	return out
}

// shapeOf returns how a setting is put into a form.
func (f former) shapeOf(x schema.Field) shape {
	many := strings.HasPrefix(x.Type, "list<") || strings.HasPrefix(x.Type, "one-or-many<")
	switch {
	case x.Type == "bool":
		return shapeBool
	case x.Type == "int" || x.Type == "float":
		return shapeNumber
	case x.Type == "enum":
		return shapeSelect
	case x.Type == "params":
		return shapeUnion
	case x.Type == "list<enum>" || x.Ref != "" && (x.Type == "strlist" || x.Type == "list<str>"):
		return shapeChecks
	case x.Type == "strlist" || x.Type == "list<str>":
		return shapeLines
	case many && len(x.Fields) > 0:
		return shapeItems
	case len(x.Fields) > 0 && !many && !isExecution(x):
		return shapeGroup
	case slices.Contains([]string{"kv", "filetext", "labels", "conv", "termlabels"}, x.Type):
		return shapeArea
	case x.Type == "str" && x.Secret == "true":
		return shapeSecret
	case x.Type == "str" && x.Ref != "":
		return shapeSelect
	case x.Type == "str" && x.Widget != "":
		return shapeArea
	case x.Type == "str" || x.Type == "Version" || x.Type == "duration":
		return shapeText
	}
	return shapeJSON
}

// isExecution tells a procedure's execution, whose params depend on its type.
func isExecution(x schema.Field) bool { return x.Type == "Execution" }

func (f former) optionsOf(x schema.Field) []Option {
	if x.Ref != "" {
		return slices.Clone(f.options[x.Ref])
	}
	var out []Option
	for _, e := range x.Enum {
		out = append(out, Option{e, e})
	}
	return out
}

func hasOption(list []Option, value string) bool {
	return slices.ContainsFunc(list, func(o Option) bool { return o.Value == value || o.Label == value })
}

// blank is an object of default settings.
func blank(fields []schema.Field) map[string]any {
	out := map[string]any{}
	for _, f := range fields {
		out[f.Name] = f.Default
	}
	return out
}

func itemAt(at string, i int) string { return at + "[" + strconv.Itoa(i) + "]" }

// lines is a value as the text of an input.
func lines(raw any) string {
	switch v := raw.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		var out []string
		for _, x := range v {
			out = append(out, fmt.Sprint(x))
		}
		return strings.Join(out, "\n")
	case map[string]any:
		if major, ok := v["major"]; ok { // a version
			return fmt.Sprintf("%v.%v.%v", major, v["minor"], v["patch"])
		}
	}
	return fmt.Sprint(raw)
}

// isNew reports whether item i of a list is the one that is not there yet.
func (f FormField) isNew(i int) bool { return i == len(f.Items)-1 }

// ticked reports whether a choice of a list is in it.
func (f FormField) ticked(o Option) bool {
	return slices.ContainsFunc(strings.Split(f.Value, "\n"), func(s string) bool { return s == o.Value || s == o.Label })
}

// unionAt is the path of the union that a type setting chooses of.
func unionAt(id string) string {
	if i := strings.LastIndexByte(id, '.'); i >= 0 {
		return id[:i+1] + "params"
	}
	return "params"
}
