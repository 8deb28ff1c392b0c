package resource

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"berth/schema"
)

// generator makes resources of all kinds, each referring only to earlier ones.
type generator struct {
	t    *rapid.T
	desk *desk
	ids  map[string][]string // by kind
}

// fill makes a desk with some resources of every kind.
func fill(tt *testing.T, t *rapid.T) *desk {
	g := &generator{t: t, desk: newDesk(), ids: map[string][]string{}}
	d := g.desk
	some(tt, g, d.variables, schema.DefaultVariable)
	some(tt, g, d.servers, schema.DefaultServer)
	some(tt, g, d.swarms, schema.DefaultSwarm)
	some(tt, g, d.builders, schema.DefaultBuilder)
	some(tt, g, d.repos, schema.DefaultRepo)
	some(tt, g, d.builds, schema.DefaultBuild)
	some(tt, g, d.stacks, schema.DefaultStack)
	some(tt, g, d.deployments, schema.DefaultDeployment)
	some(tt, g, d.actions, schema.DefaultAction)
	some(tt, g, d.syncs, schema.DefaultSync)
	some(tt, g, d.alerters, schema.DefaultAlerter)
	some(tt, g, d.procedures, schema.DefaultProcedure)
	some(tt, g, d.groups, schema.DefaultUserGroup)
	return d
}

func some[C any](tt *testing.T, g *generator, k *Kind[C], def func() C) {
	for i := range rapid.IntRange(0, 2).Draw(g.t, k.name+"s") {
		r := schema.Resource[C]{Name: fmt.Sprintf("%s_%d", k.name, i), Tags: []string{}, Config: config(g, def)}
		if !k.flat {
			r.Template = g.flip()
			r.Tags = rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,12}`), 0, 3, rapid.ID).Draw(g.t, "tags")
		}
		r.Description = g.text()
		if r.Tags == nil {
			r.Tags = []string{}
		}
		r, err := k.Put(tt.Context(), r)
		if err != nil {
			tt.Fatal(err)
		}
		g.ids[k.name] = append(g.ids[k.name], r.ID)
	}
}

// config makes settings that can be: what a check refuses has its default.
func config[C any](g *generator, def func() C) C {
	c := def()
	g.value(reflect.ValueOf(&c).Elem(), "")
	if b, ok := any(&c).(*schema.BuildConfig); ok && !b.Version.IsZero() {
		b.AutoIncrementVersion = false // else the version is not exported
	}
	for {
		checker, ok := any(c).(schema.Checker)
		if !ok {
			return c
		}
		bad := checker.Check().Errors
		if len(bad) == 0 {
			return c
		}
		d := def()
		for _, e := range bad {
			top := reference{path: e.Path}.top()
			for i := range reflect.TypeFor[C]().NumField() {
				if name, _, _ := strings.Cut(reflect.TypeFor[C]().Field(i).Tag.Get("json"), ","); name == top {
					reflect.ValueOf(&c).Elem().Field(i).Set(reflect.ValueOf(d).Field(i))
				}
			}
		}
	}
}

func (g *generator) flip() bool { return rapid.Bool().Draw(g.t, "flip") }

// text is any text that TOML can hold, often an awkward one.
func (g *generator) text() string {
	s := rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "a b", "x\ny\n", "\\", "\\\\n", `"`, `"""`, "a\n\"\"\"\nb\n", "'''", "a\n\"", "# x", "a = \"b\"\n# c\n", "\t", "\r\n", "\x00", "é ☃", "[[X]]", " lead", "trail \n", "line\\\nnext\n", "C:\\new\n"}),
		rapid.String(),
		rapid.StringMatching(`[a-z0-9 ,."'\\\n-]{0,60}`),
	).Draw(g.t, "text")
	s = strings.ToValidUTF8(s, "?")
	if s == Mask || strings.HasPrefix(s, "\uFEFF") {
		return "mask"
	}
	return s
}

func (g *generator) lines() string {
	s := g.text()
	if s != "" && !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	return s
}

// one returns the id of a resource there is, or "".
func (g *generator) one(kind string) string {
	ids := g.ids[kind]
	if len(ids) == 0 || g.flip() {
		return ""
	}
	return rapid.SampledFrom(ids).Draw(g.t, "ref")
}

// value changes a value of settings, field by field.
func (g *generator) value(v reflect.Value, kind string) {
	switch x := v.Addr().Interface().(type) {
	case *schema.Execution:
		*x = g.execution()
		return
	case *schema.ResourceTarget:
		g.target(x)
		return
	case *schema.Levels:
		*x = schema.Levels{}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(schema.ResourceTypes()), 0, 3, rapid.ID).Draw(g.t, "levels") {
			(*x)[name] = schema.Level{Level: g.level(), Specific: g.specific()}
		}
		return
	case *schema.GroupPermission:
		*x = schema.GroupPermission{Target: schema.PatternTarget{Type: rapid.SampledFrom(schema.ResourceTypes()).Draw(g.t, "type"), ID: `\^a.*$\`}, Level: g.level(), Specific: g.specific()}
		return
	case *schema.KV, *schema.Labels, *schema.Conversions, *schema.TermLabels:
		v.SetString(g.lines())
		return
	case *schema.FileText:
		s := strings.TrimRightFunc(g.text(), unicode.IsSpace)
		if s != "" {
			s += "\n"
		}
		v.SetString(s)
		return
	case *schema.Version:
		n := rapid.IntRange(0, 99)
		*x = schema.Version{Major: n.Draw(g.t, "major"), Minor: n.Draw(g.t, "minor"), Patch: n.Draw(g.t, "patch")}
		return
	case *schema.Duration:
		*x = schema.Duration(rapid.Int64Range(0, 1<<50).Draw(g.t, "duration"))
		return
	}
	g.plain(v, kind)
}

func (g *generator) level() string {
	return rapid.SampledFrom([]string{"Read", "Execute", "Write"}).Draw(g.t, "level")
}

func (g *generator) specific() []string {
	out := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"Terminal", "Attach", "Inspect", "Logs", "Processes"}), 0, 3, rapid.ID).Draw(g.t, "specific")
	return append([]string{}, out...)
}

func (g *generator) target(x *schema.ResourceTarget) {
	*x = schema.ResourceTarget{Type: "System", ID: "system"}
	for _, kind := range []string{"server", "stack", "deployment", "build", "repo", "resource_sync", "procedure"} {
		if id := g.one(kind); id != "" {
			*x = schema.ResourceTarget{Type: schema.TypeOf(kind), ID: id}
			return
		}
	}
}

// plain is value of what is not special.
func (g *generator) plain(v reflect.Value, kind string) {
	switch v.Kind() {
	case reflect.String:
		if kind != "" {
			v.SetString(g.one(kind))
			return
		}
		v.SetString(g.text())
	case reflect.Bool:
		v.SetBool(g.flip())
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64Range(0, 1<<40).Draw(g.t, "int"))
	case reflect.Float64:
		v.SetFloat(rapid.SampledFrom([]float64{0, 1, 90, 12.5, 1e-7, 1e21, 0.1}).Draw(g.t, "float"))
	case reflect.Slice:
		list := reflect.MakeSlice(v.Type(), 0, 0)
		for range rapid.IntRange(0, 2).Draw(g.t, "items") {
			item := reflect.New(v.Type().Elem()).Elem()
			g.value(item, kind)
			if kind == "" || item.String() != "" {
				list = reflect.Append(list, item)
			}
		}
		v.Set(list)
	case reflect.Struct:
		if slices.ContainsFunc(reflect.VisibleFields(v.Type()), func(f reflect.StructField) bool { return f.Tag.Get("variant") != "" }) {
			g.union(v)
			return
		}
		g.fields(v)
	default:
	}
}

// fields changes some of a struct's fields.
func (g *generator) fields(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		unset := f.Tag.Get("enum") != "" && v.Field(i).Kind() == reflect.String && v.Field(i).String() == ""
		if v.Field(i).Kind() == reflect.Slice && v.Field(i).IsNil() {
			v.Field(i).Set(reflect.MakeSlice(f.Type, 0, 0))
		}
		if !unset && f.Tag.Get("required") != "true" && rapid.IntRange(0, 3).Draw(g.t, f.Name) > 0 {
			continue
		}
		if e := f.Tag.Get("enum"); e != "" {
			var values []string
			for one := range strings.SplitSeq(e, ",") {
				value, _, _ := strings.Cut(one, "|")
				values = append(values, value)
			}
			if v.Field(i).Kind() == reflect.String {
				v.Field(i).SetString(rapid.SampledFrom(values).Draw(g.t, f.Name))
			} else {
				v.Field(i).Set(reflect.ValueOf(append([]string{}, rapid.SliceOfN(rapid.SampledFrom(values), 0, 3).Draw(g.t, f.Name)...)))
			}
			continue
		}
		g.value(v.Field(i), f.Tag.Get("ref"))
	}
}

// union sets one variant of it.
func (g *generator) union(v reflect.Value) {
	var at []int
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("variant") != "" {
			at = append(at, i)
			v.Field(i).SetZero()
		}
	}
	i := rapid.SampledFrom(at).Draw(g.t, "variant")
	part := reflect.New(v.Type().Field(i).Type.Elem())
	g.fields(part.Elem())
	v.Field(i).Set(part)
	v.FieldByName("Type").SetString(v.Type().Field(i).Tag.Get("variant"))
}

// execution makes one that works on what there is.
func (g *generator) execution() schema.Execution {
	known := slices.DeleteFunc(schema.Executions(), func(e schema.ExecutionType) bool { return e.Group == "Swarm" })
	e := known[rapid.IntRange(0, len(known)-1).Draw(g.t, "execution")]
	params := map[string]any{}
	for _, p := range e.Params {
		if !p.Required && g.flip() {
			continue
		}
		switch v, ok := g.param(p); {
		case ok:
			params[p.Name] = v
		case p.Required:
			return schema.Execution{Type: "None", Params: json.RawMessage("{}")}
		}
	}
	var out schema.EnabledExecution // decoded, so that it is in canonical form
	tree := map[string]any{"execution": map[string]any{"type": e.Type, "params": params}}
	if err := schema.Decode(tree, &out).Err(); err != nil {
		return schema.Execution{Type: "None", Params: json.RawMessage("{}")}
	}
	return out.Execution
}

func (g *generator) param(p schema.Param) (v any, ok bool) {
	switch {
	case p.Ref != "" && p.Type == "str":
		id := g.one(p.Ref)
		return id, id != ""
	case p.Ref != "":
		id := g.one(p.Ref)
		return []any{id}, id != ""
	}
	switch p.Type {
	case "str":
		return g.text(), true
	case "pattern":
		return `web-*, \^a$\`, true
	case "int":
		return rapid.Int64Range(0, 1<<60).Draw(g.t, "int"), true
	case "bool":
		return g.flip(), true
	case "list<str>":
		return []any{g.text(), g.text()}, true
	case "table":
		return map[string]any{g.text(): g.text(), "n": rapid.Int64().Draw(g.t, "n"), "f": 1.0, "deep": map[string]any{"x": []any{true, "y"}}}, true
	case "map<str,str>":
		return map[string]any{g.text(): g.text()}, true
	}
	return nil, false
}
