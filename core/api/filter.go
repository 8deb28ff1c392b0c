package api

import (
	"cmp"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"berth/schema"
)

// filter is the subset of MongoDB's filter documents that clients send: equality,
// dotted keys, $and, $or, $nor, $not, $in, $nin, $eq, $ne, $gt, $gte, $lt, $lte,
// $exists, $regex.
type filter func(doc map[string]any) bool

// parseFilter reads a filter; nothing and null match everything. An operator that
// is not known is Invalid.
func parseFilter(raw json.RawMessage) (filter, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return func(map[string]any) bool { return true }, nil
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, schema.Errorf(schema.Invalid, "query: want an object like {\"target.type\": \"Stack\"}")
	}
	return filterOf(m)
}

func filterOf(m map[string]any) (filter, error) {
	var all []filter
	for key, want := range m {
		f, err := clause(key, want)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return func(doc map[string]any) bool {
		return !slices.ContainsFunc(all, func(f filter) bool { return !f(doc) })
	}, nil
}

func clause(key string, want any) (filter, error) {
	switch key {
	case "$and", "$or", "$nor":
		return logical(key, want)
	}
	if strings.HasPrefix(key, "$") {
		return nil, schema.Errorf(schema.Invalid, "query: operator %s is not supported here", key)
	}
	test, err := condition(want)
	if err != nil {
		return nil, err
	}
	return func(doc map[string]any) bool { return test(lookupPath(doc, key)) }, nil
}

func logical(op string, want any) (filter, error) {
	list, ok := want.([]any)
	if !ok || len(list) == 0 {
		return nil, schema.Errorf(schema.Invalid, "query: %s needs a list of filters", op)
	}
	var parts []filter
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			return nil, schema.Errorf(schema.Invalid, "query: %s needs a list of filters", op)
		}
		f, err := filterOf(m)
		if err != nil {
			return nil, err
		}
		parts = append(parts, f)
	}
	return func(doc map[string]any) bool {
		some := slices.ContainsFunc(parts, func(f filter) bool { return f(doc) })
		all := !slices.ContainsFunc(parts, func(f filter) bool { return !f(doc) })
		return op == "$and" && all || op == "$or" && some || op == "$nor" && !some
	}, nil
}

// condition is a test of one value; v is nil when the key is absent.
func condition(want any) (func(v any) bool, error) {
	m, ok := want.(map[string]any)
	isOps := ok && len(m) > 0
	for k := range m {
		isOps = isOps && strings.HasPrefix(k, "$")
	}
	if _, oid := m["$oid"]; !isOps || oid {
		return func(v any) bool { return same(v, want) }, nil
	}
	var tests []func(any) bool
	for op, arg := range m {
		t, err := operator(op, arg)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return func(v any) bool {
		return !slices.ContainsFunc(tests, func(t func(any) bool) bool { return !t(v) })
	}, nil
}

func operator(op string, arg any) (func(v any) bool, error) {
	switch op {
	case "$eq":
		return func(v any) bool { return same(v, arg) }, nil
	case "$ne":
		return func(v any) bool { return !same(v, arg) }, nil
	case "$in", "$nin":
		list, ok := arg.([]any)
		if !ok {
			return nil, schema.Errorf(schema.Invalid, "query: %s needs a list", op)
		}
		return func(v any) bool {
			return slices.ContainsFunc(list, func(x any) bool { return same(v, x) }) == (op == "$in")
		}, nil
	case "$gt", "$gte", "$lt", "$lte":
		return func(v any) bool { return ordered(op, v, arg) }, nil
	case "$exists":
		return func(v any) bool { return (v != nil) == (arg != false) }, nil
	case "$not":
		t, err := condition(arg)
		return func(v any) bool { return !t(v) }, err
	case "$regex":
		text, _ := arg.(string)
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, schema.Errorf(schema.Invalid, "query: $regex: %v", err)
		}
		return func(v any) bool { s, ok := v.(string); return ok && re.MatchString(s) }, nil
	}
	return nil, schema.Errorf(schema.Invalid, "query: operator %s is not supported here", op)
}

// same is MongoDB's equality: a list also equals what it contains.
func same(v, want any) bool {
	if reflect.DeepEqual(v, want) {
		return true
	}
	list, ok := v.([]any)
	return ok && slices.ContainsFunc(list, func(x any) bool { return reflect.DeepEqual(x, want) })
}

func ordered(op string, v, arg any) bool {
	var c int
	switch x := v.(type) {
	case float64:
		y, ok := arg.(float64)
		if !ok {
			return false
		}
		c = cmp.Compare(x, y)
	case string:
		y, ok := arg.(string)
		if !ok {
			return false
		}
		c = cmp.Compare(x, y)
	default:
		return false
	}
	return op == "$gt" && c > 0 || op == "$gte" && c >= 0 || op == "$lt" && c < 0 || op == "$lte" && c <= 0
}

// lookupPath returns the value at a dotted key, or nil.
func lookupPath(doc map[string]any, key string) any {
	if v, ok := doc[key]; ok {
		return v
	}
	head, rest, dotted := strings.Cut(key, ".")
	inner, ok := doc[head].(map[string]any)
	if !dotted || !ok {
		return nil
	}
	return lookupPath(inner, rest)
}
