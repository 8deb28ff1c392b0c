package script

import (
	"regexp"
	"slices"

	"berth/schema"
)

// named is [[NAME]], or the same escaped by a third pair of brackets.
func named() *regexp.Regexp {
	return regexp.MustCompile(`\[\[\[([^\[\]]+)\]\]\]|\[\[([^\[\]]+)\]\]`)
}

// Interpolate replaces [[NAME]] in a script by the variable's value, where there is
// such a variable: nested lists are full of brackets and must stay as they are. So
// [[[NAME]]] is a literal [[NAME]] only for the name of a variable, and nothing is
// malformed. It returns the names that it replaced.
func Interpolate(text string, vars map[string]schema.VariableValue) (out string, used []string, err error) {
	out = named().ReplaceAllStringFunc(text, func(match string) string {
		m := named().FindStringSubmatch(match)
		if _, ok := vars[m[1]]; ok {
			return "[[" + m[1] + "]]"
		}
		if _, ok := vars[m[2]]; !ok {
			return match
		}
		value, _, ierr := schema.InterpolateVariables("[["+m[2]+"]]", vars)
		if ierr != nil && err == nil {
			err = ierr
		}
		if !slices.Contains(used, m[2]) {
			used = append(used, m[2])
		}
		return value
	})
	return out, used, err
}

// InterpolateAll is Interpolate for every text within arguments; names stay. The
// arguments are not changed.
func InterpolateAll(v any, vars map[string]schema.VariableValue) (any, error) {
	switch v := v.(type) {
	case string:
		out, _, err := Interpolate(v, vars)
		return out, err
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			var err error
			if out[i], err = InterpolateAll(item, vars); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			var err error
			if out[k], err = InterpolateAll(item, vars); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}
