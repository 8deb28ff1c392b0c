package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"berth/schema"
)

// configFile is what one or several files say: values as they are nested, and where
// each key stands, by its dotted path.
type configFile struct {
	values map[string]any
	places map[string]string // file:line
	wrong  mistakes          // in values, which are left out
}

// at names the place of a key: file:line: key.
func (f *configFile) at(path string) string {
	for p := path; p != ""; p = above(p) {
		if place := f.places[p]; place != "" {
			return place + ": " + path
		}
	}
	return path
}

func above(path string) string {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)]
}

// readConfig reads a file of TOML, YAML or JSON, by its ending. A key that stands
// in it twice is a mistake.
func readConfig(path string) (*configFile, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "read configuration: %v", err)
	}
	var values map[string]any
	var lines map[string]int
	switch filepath.Ext(path) {
	case ".yaml", ".yml":
		values, lines, err = parseYAML(b)
	case ".json":
		values, lines, err = parseJSON(b)
	default:
		values, lines, err = parseTOML(b)
	}
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "%s:%v", path, err)
	}
	f := &configFile{values: values, places: map[string]string{}}
	for k, line := range lines {
		f.places[k] = fmt.Sprintf("%s:%d", path, line)
	}
	return f, nil
}

func parseTOML(b []byte) (map[string]any, map[string]int, error) {
	values, lines := map[string]any{}, map[string]int{}
	if err := toml.Unmarshal(b, &values); err != nil {
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			row, _ := e.Position()
			return nil, nil, fmt.Errorf("%d: %s: %w", row, strings.Join(e.Key(), "."), err)
		}
		return nil, nil, fmt.Errorf(" %w", err)
	}
	var p unstable.Parser
	p.Reset(b)
	prefix := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			prefix = tomlKey(lines, b, "", e.Key())
		case unstable.KeyValue:
			at := tomlKey(lines, b, prefix, e.Key())
			inlineKeys(lines, b, at, e.Value())
		default:
		}
	}
	return values, lines, nil
}

// inlineKeys notes where the keys of a value stand that is a table in one line.
func inlineKeys(lines map[string]int, text []byte, prefix string, v *unstable.Node) {
	if v.Kind != unstable.InlineTable {
		return
	}
	for it := v.Children(); it.Next(); {
		tomlKey(lines, text, prefix, it.Node().Key())
	}
}

// tomlKey notes where a dotted key stands and returns its path.
func tomlKey(lines map[string]int, text []byte, prefix string, key unstable.Iterator) string {
	path := prefix
	for key.Next() {
		n := key.Node()
		path = joined(path, string(n.Data))
		if _, known := lines[path]; !known {
			lines[path] = 1 + bytes.Count(text[:n.Raw.Offset], []byte("\n"))
		}
	}
	return path
}

func joined(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

func parseYAML(b []byte) (map[string]any, map[string]int, error) {
	values, lines := map[string]any{}, map[string]int{}
	wrong := func(err error) error {
		if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
			return fmt.Errorf("%d: %s", e.GetToken().Position.Line, e.GetMessage())
		}
		return fmt.Errorf(" %w", err)
	}
	file, err := parser.ParseBytes(b, 0)
	if err != nil {
		return nil, nil, wrong(err)
	}
	if len(file.Docs) > 1 {
		return nil, nil, errors.New(" it holds several documents: want one")
	}
	if err := yaml.Unmarshal(b, &values); err != nil {
		return nil, nil, wrong(err)
	}
	for _, d := range file.Docs {
		yamlLines(lines, "", d.Body)
	}
	return plainNumbers(values).(map[string]any), lines, nil //nolint:forcetypeassert // it stays what it is
}

func yamlLines(lines map[string]int, prefix string, n ast.Node) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return
	}
	for _, v := range m.Values {
		path := joined(prefix, v.Key.GetToken().Value)
		lines[path] = v.Key.GetToken().Position.Line
		yamlLines(lines, path, v.Value)
	}
}

// plainNumbers makes whole numbers int64, as TOML has them.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = plainNumbers(x)
		}
	case []any:
		for i, x := range v {
			v[i] = plainNumbers(x)
		}
	case uint64:
		return int64(v) //nolint:gosec // no setting is that large
	case int:
		return int64(v)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // a number, as the decoder says
		return f
	}
	return v
}

func parseJSON(b []byte) (map[string]any, map[string]int, error) {
	p := &jsonFile{text: b, dec: json.NewDecoder(bytes.NewReader(b)), lines: map[string]int{}}
	p.dec.UseNumber()
	v, err := p.value("")
	if err == nil {
		if _, more := p.dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	values, ok := v.(map[string]any)
	if err == nil && !ok {
		err = errors.New("want an object")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%d: %w", p.line(), err)
	}
	return plainNumbers(values).(map[string]any), p.lines, nil //nolint:forcetypeassert // it stays what it is
}

// jsonFile reads JSON token by token: encoding/json takes the last of two keys.
type jsonFile struct {
	text  []byte
	dec   *json.Decoder
	lines map[string]int
}

func (p *jsonFile) line() int {
	return 1 + bytes.Count(p.text[:min(int(p.dec.InputOffset()), len(p.text))], []byte("\n"))
}

func (p *jsonFile) value(path string) (any, error) {
	t, err := p.dec.Token()
	if err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	switch t {
	case json.Delim('{'):
		return p.object(path)
	case json.Delim('['):
		list := []any{}
		for p.dec.More() {
			v, err := p.value(path + "[]")
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = p.dec.Token()
		return list, err
	}
	return t, nil
}

func (p *jsonFile) object(path string) (any, error) {
	m := map[string]any{}
	for p.dec.More() {
		t, err := p.dec.Token()
		if err != nil {
			return nil, fmt.Errorf("read JSON: %w", err)
		}
		name, _ := t.(string) // keys are
		at := joined(path, name)
		if _, twice := m[name]; twice {
			return nil, fmt.Errorf("%s: the key stands there twice", at)
		}
		if _, known := p.lines[at]; !known {
			p.lines[at] = p.line()
		}
		if m[name], err = p.value(at); err != nil {
			return nil, err
		}
	}
	_, err := p.dec.Token()
	return m, err
}

// merging says how files are made one, as Komodo's loader does it: later ones win.
type merging struct{ nested, extend bool }

// merge adds what a later file says.
func (m merging) merge(into, more *configFile) error {
	maps.Copy(into.places, more.places)
	into.wrong = append(into.wrong, more.wrong...)
	return m.tables(into.values, more.values, "", more)
}

func (m merging) tables(into, more map[string]any, path string, file *configFile) error {
	for _, k := range slices.Sorted(maps.Keys(more)) {
		v := more[k]
		switch have := into[k].(type) {
		case map[string]any:
			next, ok := v.(map[string]any)
			if !ok {
				return schema.Errorf(schema.Invalid, "%s: want a table, as in the files before", file.at(joined(path, k)))
			}
			if m.nested {
				if err := m.tables(have, next, joined(path, k), file); err != nil {
					return err
				}
				continue
			}
		case []any:
			if next, ok := v.([]any); ok && m.extend {
				v = append(slices.Clone(have), next...)
			}
		}
		into[k] = v
	}
	return nil
}
