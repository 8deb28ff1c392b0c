package schema

import (
	"bytes"
	"encoding/json"
)

// ReadJSON reads a JSON object as a tree for Decode: whole numbers are int64.
func ReadJSON(b []byte) (map[string]any, error) {
	v, err := readJSON(b)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, Errorf(Invalid, "read JSON: want an object, have %s", typeWord(v))
	}
	return m, nil
}

func readJSON(b []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, Errorf(Invalid, "read JSON: %v", err)
	}
	if dec.More() {
		return nil, Errorf(Invalid, "read JSON: more than one value")
	}
	return numbers(v), nil
}

// numbers turns json.Number into int64 or float64.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case map[string]any:
		for k, item := range v {
			v[k] = numbers(item)
		}
	case []any:
		for i, item := range v {
			v[i] = numbers(item)
		}
	}
	return v
}

// marshalList writes a list, never null.
func marshalList[T any](list []T) ([]byte, error) {
	if list == nil {
		return []byte("[]"), nil
	}
	return json.Marshal(list)
}
