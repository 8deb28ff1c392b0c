package resource

import (
	"fmt"
	"reflect"
)

// clone copies settings so that nothing is shared. Settings are made of texts,
// numbers, lists, tables and pointers to them; anything else is an error.
func clone[T any](v T) (T, error) {
	out := v
	err := unshare(reflect.ValueOf(&out).Elem())
	return out, err
}

// unshare replaces everything that v shares with what it was copied from.
func unshare(v reflect.Value) error {
	if plainType(v.Type()) {
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range v.Fields() {
			if err := unshare(f); err != nil {
				return err
			}
		}
	case reflect.Slice:
		return unshareSlice(v)
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(v.Elem())
		v.Set(p)
		return unshare(p.Elem())
	case reflect.Map:
		return unshareMap(v)
	default:
		return fmt.Errorf("copy %s: not a type of settings", v.Type())
	}
	return nil
}

func unshareSlice(v reflect.Value) error {
	if v.IsNil() {
		return nil
	}
	list := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
	reflect.Copy(list, v)
	v.Set(list)
	if plainType(v.Type().Elem()) {
		return nil
	}
	for i := range v.Len() {
		if err := unshare(v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func unshareMap(v reflect.Value) error {
	if v.IsNil() {
		return nil
	}
	table := reflect.MakeMapWithSize(v.Type(), v.Len())
	for it := v.MapRange(); it.Next(); {
		item := reflect.New(v.Type().Elem()).Elem()
		item.Set(it.Value())
		if err := unshare(item); err != nil {
			return err
		}
		table.SetMapIndex(it.Key(), item)
	}
	v.Set(table)
	return nil
}

// plainType reports whether values of the type share nothing when copied.
func plainType(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64, reflect.String, reflect.Uint8:
		return true
	default:
		return false
	}
}
