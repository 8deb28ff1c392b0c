package api

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"berth/schema"
)

// clientFiles is the part of the TypeScript client that does not depend on the
// table.
//
//go:embed client
var clientFiles embed.FS

// clientFile serves a file of the TypeScript client. Its content-type is what
// Komodo's is; a browser that loads it as a script is given one it accepts.
func (a *API) clientFile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	text, known := a.clientOf()[name]
	if !known {
		a.fail(w, r, schema.Errorf(schema.NotFound, "there is no file %q of the client: they are lib, types, responses and terminal, .js and .d.ts", cut(name, 80)))
		return
	}
	secure(w)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if r.Header.Get("Sec-Fetch-Dest") == "script" {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	}
	if base, isScript := strings.CutSuffix(name, ".js"); isScript {
		w.Header().Set("X-TypeScript-Types", "/client/"+base+".d.ts")
	}
	_, _ = w.Write([]byte(text))
}

// typescript makes the files of the client: types and answers are those of the
// table.
func (a *API) typescript() (map[string]string, error) {
	out := map[string]string{}
	for _, name := range []string{"lib.js", "lib.d.ts", "terminal.js", "terminal.d.ts"} {
		text, err := clientFiles.ReadFile("client/" + name)
		if err != nil {
			return nil, err
		}
		out[name] = string(text)
	}
	g := &typeScript{shapes: newShapes()}
	g.shapes.of(reflect.TypeFor[user]())
	g.shapes.of(reflect.TypeFor[UpdateItem]())
	out["responses.d.ts"] = g.responses(a.table.rows)
	out["responses.js"] = "export {};\n"
	out["types.d.ts"] = g.types()
	names := map[string][]string{}
	for _, r := range a.table.rows {
		names[string(r.Group)] = append(names[string(r.Group)], r.Name)
	}
	list, err := json.MarshalIndent(names, "", " ")
	out["types.js"] = "/** The names of all requests, by group. */\nexport const requests = " + string(list) + ";\n"
	return out, err
}

// typeScript writes JSON schemas as types.
type typeScript struct{ shapes *shapes }

// responses is responses.d.ts: what each request takes and answers.
func (g *typeScript) responses(rows []Row) string {
	var b strings.Builder
	b.WriteString("// Made from the table of requests.\nimport type * as Types from \"./types.js\";\n")
	for _, group := range groups() {
		var params, answers strings.Builder
		for i := range rows {
			r := &rows[i]
			if r.Group != group {
				continue
			}
			doc := comment("  ", r.Doc+" Needs "+needsText(r)+".")
			fmt.Fprintf(&params, "%s  %s: %s;\n", doc, r.Name, g.typeOf(g.shapes.paramShapes(r.Params), "Types.", "  "))
			fmt.Fprintf(&answers, "%s  %s: %s;\n", doc, r.Name, g.typeOf(r.Result(g.shapes), "Types.", "  "))
		}
		name := groupType(group)
		fmt.Fprintf(&b, "\nexport interface %sParams {\n%s}\n\nexport interface %sResponses {\n%s}\n", name, params.String(), name, answers.String())
	}
	return b.String()
}

// groupType is what the types of a group begin with.
func groupType(g Group) string {
	last := string(g)[strings.LastIndex(string(g), "/")+1:]
	return strings.ToUpper(last[:1]) + last[1:]
}

// types is types.d.ts: the components.
func (g *typeScript) types() string {
	var b strings.Builder
	b.WriteString("// Made from the table of requests.\n\n/** The names of all requests, by group. */\nexport declare const requests: Record<string, string[]>;\n")
	for _, name := range slices.Sorted(maps.Keys(g.shapes.components)) {
		fmt.Fprintf(&b, "\nexport type %s = %s;\n", name, g.typeOf(g.shapes.components[name], "", ""))
	}
	return b.String()
}

func comment(indent, text string) string {
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "*/", "* /")
	if text == "" {
		return ""
	}
	return indent + "/** " + text + " */\n"
}

// typeOf is the type of a schema; components are found behind the prefix.
func (g *typeScript) typeOf(shape any, prefix, indent string) string {
	m, err := plainShape(shape)
	if err != nil || len(m) == 0 {
		return "any"
	}
	if ref, ok := m["$ref"].(string); ok {
		return prefix + ref[strings.LastIndex(ref, "/")+1:]
	}
	if v, ok := m["const"]; ok {
		return literal(v)
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		if forms, ok := m[key].([]any); ok {
			return g.union(forms, prefix, indent)
		}
	}
	if values, ok := m["enum"].([]any); ok {
		var out []string
		for _, v := range values {
			out = append(out, literal(v))
		}
		return strings.Join(out, " | ")
	}
	switch t := m["type"].(type) {
	case []any: // a type or null
		var out []string
		for _, one := range t {
			m["type"] = one
			out = append(out, g.typeOf(m, prefix, indent))
		}
		return strings.Join(out, " | ")
	case string:
		return g.simple(t, m, prefix, indent)
	}
	return "any"
}

func (g *typeScript) union(forms []any, prefix, indent string) string {
	var out []string
	for _, f := range forms {
		if one := g.typeOf(f, prefix, indent); !slices.Contains(out, one) {
			out = append(out, one)
		}
	}
	return strings.Join(out, " | ")
}

func (g *typeScript) simple(name string, m map[string]any, prefix, indent string) string {
	switch name {
	case "integer":
		return "number"
	case "array":
		return "Array<" + g.typeOf(m["items"], prefix, indent) + ">"
	case "object":
		return g.object(m, prefix, indent)
	}
	return name // string, number, boolean, null
}

func (g *typeScript) object(m map[string]any, prefix, indent string) string {
	props, _ := m["properties"].(map[string]any)
	if len(props) == 0 {
		if of, ok := m["additionalProperties"]; ok {
			return "Record<string, " + g.typeOf(of, prefix, indent) + ">"
		}
		if m["properties"] != nil {
			return "{}"
		}
		return "Record<string, any>"
	}
	required, _ := m["required"].([]any)
	var b strings.Builder
	b.WriteString("{\n")
	for _, name := range slices.Sorted(maps.Keys(props)) {
		inner, _ := props[name].(map[string]any)
		doc, _ := inner["description"].(string)
		optional := "?"
		if slices.Contains(required, any(name)) {
			optional = ""
		}
		key := name
		if !identifier().MatchString(name) {
			key = literal(name)
		}
		fmt.Fprintf(&b, "%s%s  %s%s: %s;\n", comment(indent+"  ", doc), indent, key, optional, g.typeOf(inner, prefix, indent+"  "))
	}
	return b.String() + indent + "}"
}

func identifier() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*$`) }

func literal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "any"
	}
	return string(b)
}

// plainShape is a schema as JSON would read it back: maps and lists of any.
func plainShape(shape any) (map[string]any, error) {
	b, err := json.Marshal(shape)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	return m, json.Unmarshal(b, &m)
}
