package profile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"berth/schema"
)

// key is a key of the files: its names, the first of which counts, and whether its
// value is for nobody's eyes.
type key struct {
	names  []string
	secret bool
}

// keys are all that a file may say. What only Komodo's database tools need is
// accepted without effect: there is no database here.
func keys() []key {
	return []key{
		{names: []string{"default_profile", "default"}},
		{names: []string{"config_profile", "name"}},
		{names: []string{"config_aliases", "aliases", "alias"}},
		{names: []string{"host"}},
		{names: []string{"cli_key", "key"}, secret: true},
		{names: []string{"cli_secret", "secret"}, secret: true},
		{names: []string{"pin"}},
		{names: []string{"table_borders"}},
		{names: []string{"backups_folder"}},
		{names: []string{"max_backups"}},
		{names: []string{"database", "mongo"}},
		{names: []string{"database_target", "database_copy"}},
		{names: []string{"cli_logging"}},
		{names: []string{"profile", "profiles"}},
	}
}

// document is a file, for messages.
type document struct{ path, text string }

// line is the place of a key, as far as it can be told.
func (d document) line(name string) string {
	at := regexp.MustCompile(`(?m)^[ \t\["'-]*` + regexp.QuoteMeta(name) + `["']?[ \t]*[=:\]]`).FindStringIndex(d.text)
	if at == nil {
		return d.path
	}
	return fmt.Sprintf("%s:%d", d.path, strings.Count(d.text[:at[1]], "\n")+1)
}

// canonical gives every key its first name, and refuses those that there are not.
func canonical(tree map[string]any, d document) (map[string]any, error) {
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		k, known := keyOf(name)
		if !known {
			return nil, schema.Errorf(schema.Invalid, "%s: %s: unknown key%s", d.line(name), name, hint(name))
		}
		v := tree[name]
		if k == "profile" {
			var err error
			if v, err = canonicalProfiles(v, d); err != nil {
				return nil, err
			}
		}
		if _, twice := out[k]; twice {
			return nil, schema.Errorf(schema.Invalid, "%s: %s: the same as another key of this table: remove one", d.line(name), name)
		}
		out[k] = v
	}
	return out, nil
}

func canonicalProfiles(v any, d document) ([]any, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, schema.Errorf(schema.Invalid, "%s: profile: want a list: write [[profile]] above each", d.line("profile"))
	}
	out := []any{}
	for _, one := range list {
		table, ok := one.(map[string]any)
		if !ok {
			return nil, schema.Errorf(schema.Invalid, "%s: profile: want a list of tables", d.line("profile"))
		}
		table, err := canonical(table, d)
		if err != nil {
			return nil, err
		}
		out = append(out, table)
	}
	return out, nil
}

func keyOf(name string) (string, bool) {
	for _, k := range keys() {
		if slices.Contains(k.names, name) {
			return k.names[0], true
		}
	}
	return "", false
}

func hint(name string) string {
	var names []string
	for _, k := range keys() {
		names = append(names, k.names...)
	}
	if near := schema.Nearest(name, names); near != "" {
		return ": did you mean " + near + "?"
	}
	return ""
}

// typed reads a tree of canonical keys.
func typed(tree map[string]any, from string) (Tree, error) {
	var t Tree
	var err error
	if t.Default, err = text(tree, "default_profile", from); err != nil {
		return t, err
	}
	if t.Account, err = accountOf(tree, from); err != nil {
		return t, err
	}
	list, _ := tree["profile"].([]any) // checked when it was read
	for _, one := range list {
		table, _ := one.(map[string]any) // this too
		p := Profile{}
		if p.Name, err = text(table, "config_profile", from); err != nil {
			return t, err
		}
		if p.Aliases, err = texts(table, "config_aliases", from); err != nil {
			return t, err
		}
		if p.Account, err = accountOf(table, from); err != nil {
			return t, err
		}
		t.Profiles = append(t.Profiles, p)
	}
	return t, nil
}

func accountOf(tree map[string]any, from string) (Account, error) {
	var a Account
	for name, to := range map[string]*string{
		"host": &a.Host, "cli_key": &a.Key, "cli_secret": &a.Secret, "pin": &a.Pin, "table_borders": &a.Borders,
		"backups_folder": &a.BackupsFolder, "max_backups": &a.MaxBackups,
	} {
		var err error
		if *to, err = text(tree, name, from); err != nil {
			return a, err
		}
	}
	return a, nil
}

func text(tree map[string]any, name, from string) (string, error) {
	switch v := tree[name].(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case int64, uint64, float64, int:
		return fmt.Sprint(v), nil
	default:
		return "", schema.Errorf(schema.Invalid, "%s: %s: want a text", from, name)
	}
}

// texts reads a list of texts, or one alone.
func texts(tree map[string]any, name, from string) ([]string, error) {
	if list, ok := tree[name].([]any); ok {
		var out []string
		for _, one := range list {
			s, ok := one.(string)
			if !ok {
				return nil, schema.Errorf(schema.Invalid, "%s: %s: want a list of texts", from, name)
			}
			out = append(out, s)
		}
		return out, nil
	}
	one, err := text(tree, name, from)
	if one == "" {
		return nil, err
	}
	return []string{one}, err
}

// interpolate puts variables of the environment in place of ${NAME}.
func interpolate(v any, path string, env func(string) string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, one := range v {
			var err error
			if out[k], err = interpolate(one, path, env); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, one := range v {
			var err error
			if out[i], err = interpolate(one, path, env); err != nil {
				return nil, err
			}
		}
		return out, nil
	case string:
		return expand(v, path, env)
	}
	return v, nil
}

func expand(text, path string, env func(string) string) (string, error) {
	if at := regexp.MustCompile(`\$\([^)]*\)`).FindString(text); at != "" {
		return "", schema.Errorf(schema.Invalid, "%s: %s: commands in files are not run: put its output into a variable, and write ${NAME}", path, at)
	}
	missing := ""
	out := regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}`).ReplaceAllStringFunc(text, func(at string) string {
		name := at[2 : len(at)-1]
		v := env(name)
		if v == "" && missing == "" {
			missing = name
		}
		return v
	})
	if missing != "" {
		return "", schema.Errorf(schema.Invalid, "%s: ${%s}: there is no such variable in the environment", path, missing)
	}
	return out, nil
}

// Redacted is a tree without its secrets.
func Redacted(tree map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range tree {
		switch v := v.(type) {
		case map[string]any:
			out[name] = Redacted(v)
		case []any:
			list := make([]any, len(v))
			for i, one := range v {
				if list[i] = one; isTable(one) {
					list[i] = Redacted(one.(map[string]any)) //nolint:forcetypeassert // just asked
				}
			}
			out[name] = list
		default:
			if out[name] = v; hidden(name) && v != "" {
				out[name] = "##############"
			}
		}
	}
	return out
}

func isTable(v any) bool { _, ok := v.(map[string]any); return ok }

// hidden reports whether a key holds a secret; the last are those of a database.
func hidden(name string) bool {
	i := slices.IndexFunc(keys(), func(k key) bool { return k.names[0] == name })
	return i >= 0 && keys()[i].secret || name == "uri" || name == "password"
}
