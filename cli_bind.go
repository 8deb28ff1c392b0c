package main

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"berth/core/api"
	"berth/schema"
)

// bind makes the parameters of what was typed.
func (p *program) bind(r offered, in typed) (map[string]any, error) {
	out := map[string]any{}
	for _, q := range r.Params {
		values := in.named[q.Name]
		if len(values) == 0 {
			continue
		}
		v, err := convert(q, values)
		if err != nil {
			return nil, err
		}
		out[q.Name] = v
	}
	left, err := bindArgs(r, in.args, out)
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		return nil, schema.Errorf(schema.Invalid, "%s: too many arguments: %s: %s", kebab(r.Name), strings.Join(left, " "), p.usage(r))
	}
	for _, q := range r.Params {
		if q.Required && out[q.Name] == nil {
			return nil, schema.Errorf(schema.Invalid, "%s: %s is missing: %s", kebab(r.Name), q.Name, p.usage(r))
		}
	}
	return out, nil
}

// inOrder lists the parameters as arguments fill them: required ones first. What is
// on or off, and what km only has as a flag, is none.
func inOrder(r offered) []api.Param {
	var out []api.Param
	for _, required := range []bool{true, false} {
		for _, q := range r.Params {
			if flag := q.Type == "boolean" || wordFor(r.Name, q.Name).flag; q.Required == required && (q.Required || !flag) {
				out = append(out, q)
			}
		}
	}
	return out
}

// bindArgs fills what has no value yet with the arguments and returns those left. A
// word where a number may be, and a list of words follows, begins the list: a service
// after a stack, without the time to stop it in between.
func bindArgs(r offered, args []string, out map[string]any) ([]string, error) {
	order := inOrder(r)
	for i, q := range order {
		if out[q.Name] != nil || len(args) == 0 {
			continue
		}
		n := 1
		if q.Type == "array" {
			n = len(args)
		}
		v, err := convert(q, args[:n])
		if err != nil && q.Type == "integer" && !q.Required && slices.ContainsFunc(order[i:], func(q api.Param) bool { return q.Type == "array" }) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[q.Name], args = v, args[n:]
	}
	return args, nil
}

// convert turns typed texts into the value of a parameter.
func convert(q api.Param, values []string) (any, error) {
	text := values[len(values)-1]
	bad := func(want string) error {
		return schema.Errorf(schema.Invalid, "%s %q: want %s", q.Name, text, want)
	}
	switch q.Type {
	case "array":
		return values, nil
	case "integer":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, bad("a whole number")
		}
		return n, nil
	case "number":
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, bad("a number")
		}
		return n, nil
	case "boolean":
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, bad("true or false")
		}
		return b, nil
	case "object", "any":
		if q.Type == "object" && text != "" && text[0] != '{' { // as km writes it: A=1&B=2
			return queryArgs(text)
		}
		var v any
		if json.Unmarshal([]byte(text), &v) != nil {
			if q.Type == "any" {
				return text, nil
			}
			return nil, bad(`JSON, like {"key": "value"}`)
		}
		return v, nil
	}
	if q.Name == "level" || q.Name == "signal" || q.Name == "stop_signal" { // km has them in lower case
		text = strings.ToUpper(text)
	}
	return text, nil
}

// queryArgs reads arguments that are written as the query of an address.
func queryArgs(text string) (map[string]any, error) {
	given, err := url.ParseQuery(text)
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "arguments %q: write them as \"A=1&B=2\": %v", text, err)
	}
	values := map[string]any{}
	for name, v := range given {
		if values[name] = v; len(v) == 1 {
			values[name] = v[0]
		}
	}
	return values, nil
}
