package schema

import "strings"

// Interpolate replaces every [[NAME]] that lookup knows by its value, in one
// pass: values are not looked into. Names are exact, unknown ones stay as they
// stand, [[[NAME]]] is a literal [[NAME]]. It returns the names it replaced, each
// once, in order. A `[[` that is not closed, stands four in a row, at the end or
// before a character beyond ASCII is an Invalid error; the text is never in it.
func Interpolate(text string, lookup func(name string) (value string, ok bool)) (out string, used []string, err error) {
	pieces := strings.Split(text, "[[")
	var b strings.Builder
	b.WriteString(pieces[0])
	seen := map[string]bool{}
	line := 1 + strings.Count(pieces[0], "\n")
	for _, p := range pieces[1:] {
		if err := checkPiece(p, line); err != nil {
			return "", nil, err
		}
		line += strings.Count(p, "\n")
		if p[0] == '[' { // [[[NAME]]]
			b.WriteString("[[" + unescape(p[1:]))
			continue
		}
		name, rest, _ := strings.Cut(p, "]]")
		value, ok := lookup(name)
		if !ok {
			b.WriteString("[[" + p)
			continue
		}
		b.WriteString(value + rest)
		if !seen[name] {
			seen[name] = true
			used = append(used, name)
		}
	}
	return b.String(), used, nil
}

// Placeholders returns the names that Interpolate would look up, each once.
func Placeholders(text string) ([]string, error) {
	_, names, err := Interpolate(text, func(string) (string, bool) { return "", true })
	return names, err
}

// InterpolateVariables replaces variables as Komodo's two passes do: the value of
// a variable that is not secret may itself name secrets. It returns the names of
// the secrets whose values are now in the text.
func InterpolateVariables(text string, vars map[string]VariableValue) (out string, secrets []string, err error) {
	seen := map[string]bool{}
	secret := func(name string) (string, bool) {
		v, ok := vars[name]
		if !ok || !v.Secret {
			return "", false
		}
		if !seen[name] {
			seen[name] = true
			secrets = append(secrets, name)
		}
		return v.Value, true
	}
	var inner error
	out, _, err = Interpolate(text, func(name string) (string, bool) {
		v, ok := vars[name]
		if !ok || v.Secret {
			return secret(name)
		}
		value, _, err := Interpolate(v.Value, secret)
		if err != nil && inner == nil {
			inner = Wrap(Invalid, err, "value of variable %s", name)
		}
		return value, true
	})
	if err == nil {
		err = inner
	}
	return out, secrets, err
}

// checkPiece looks at what follows a `[[`.
func checkPiece(p string, line int) error {
	switch {
	case p == "":
		return Errorf(Invalid, "line %d: [[ stands before another [[ or at the end", line)
	case p[0] >= 0x80:
		return Errorf(Invalid, "line %d: [[ stands before a character that cannot begin a name", line)
	case p[0] != '[' && !strings.Contains(p, "]]"):
		return Errorf(Invalid, "line %d: [[ is not closed by ]]", line)
	}
	return nil
}

// unescape ends an escaped name: the first ]]] becomes ]], further ones vanish
// (as they do in Komodo).
func unescape(p string) string {
	head, rest, found := strings.Cut(p, "]]]")
	if !found {
		return p
	}
	return head + "]]" + strings.ReplaceAll(rest, "]]]", "")
}
