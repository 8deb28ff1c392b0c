package resource

import (
	"reflect"
	"strings"

	"berth/schema"
)

// mapSecrets returns a copy of the settings with every secret that is not empty
// replaced. Secrets are fields tagged secret:"true", or secret:"x" while the
// bool field x is true.
func mapSecrets[C any](config C, to func(string) (string, error)) (C, error) {
	out, err := config, error(nil) // a copy already, but for what it points to
	if innerSecrets(reflect.TypeFor[C](), false) {
		out, err = clone(config)
	}
	if err == nil {
		err = walkSecrets(reflect.ValueOf(&out).Elem(), to)
	}
	return out, err
}

// innerSecrets reports whether a type has secrets behind a pointer or in a list.
func innerSecrets(t reflect.Type, behind bool) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return innerSecrets(t.Elem(), true)
	case reflect.Struct:
		for f := range t.Fields() {
			if behind && f.Tag.Get("secret") != "" || innerSecrets(f.Type, behind) {
				return true
			}
		}
	default:
	}
	return false
}

func walkSecrets(v reflect.Value, to func(string) (string, error)) error {
	if part, ok := schema.Variant(v); ok {
		return walkSecrets(part, to)
	}
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			if err := walkSecrets(v.Index(i), to); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if err := walkSecret(v, i, to); err != nil {
				return err
			}
		}
	default:
	}
	return nil
}

// walkSecret replaces field i when it is a secret that is set, else looks deeper.
func walkSecret(v reflect.Value, i int, to func(string) (string, error)) error {
	f := v.Field(i)
	tag := v.Type().Field(i).Tag.Get("secret")
	if tag == "" {
		return walkSecrets(f, to)
	}
	if (tag != "true" && !isSet(v, tag)) || f.String() == "" {
		return nil
	}
	s, err := to(f.String())
	if err == nil {
		f.SetString(s)
	}
	return err
}

// isSet reads the bool field with that JSON name.
func isSet(v reflect.Value, name string) bool {
	for i := range v.NumField() {
		if have, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); have == name {
			return v.Field(i).Bool()
		}
	}
	return false
}

// sealedCopy returns the resource as it is stored.
func (k *Kind[C]) sealedCopy(r schema.Resource[C]) (schema.Resource[C], error) {
	config, err := mapSecrets(r.Config, func(plain string) (string, error) {
		return k.reg.o.Sealer.Seal([]byte(plain))
	})
	if err != nil {
		return r, schema.Wrap(schema.Internal, err, "seal the secrets of %s %q", k.name, r.Name)
	}
	r.Config = config
	return r, nil
}

// opened returns a stored resource with its secrets in clear.
func (k *Kind[C]) opened(r schema.Resource[C]) (schema.Resource[C], error) {
	config, err := mapSecrets(r.Config, func(sealed string) (string, error) {
		plain, err := k.reg.o.Sealer.Unseal(sealed)
		return string(plain), err
	})
	if err != nil {
		return r, schema.Wrap(schema.Internal, err, "open the secrets of %s %q", k.name, r.Name)
	}
	r.Config = config
	return r, nil
}

// masked returns a resource with its secrets masked.
func masked[C any](r schema.Resource[C]) (schema.Resource[C], error) {
	config, err := mapSecrets(r.Config, func(string) (string, error) { return Mask, nil })
	r.Config = config
	return r, err
}

// restoreMasked puts back the secrets that were given as the mask. given says
// which settings the caller named; nil is all of them. A secret is not shown
// again: who calls it none must name its value. schema.Invalid otherwise.
func restoreMasked[C any](config *C, old C, given func(setting string) bool) error {
	v, before := reflect.ValueOf(config).Elem(), reflect.ValueOf(&old).Elem()
	restoreNested(v, before)
	if part, ok := schema.Variant(v); ok {
		v = part
		if before, ok = schema.Variant(before); !ok || before.Type() != v.Type() {
			return nil
		}
	}
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("secret")
		if tag == "" {
			continue
		}
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		named := given == nil || given(name)
		if v.Field(i).String() == Mask {
			v.Field(i).Set(before.Field(i))
			named = false
		}
		if !named && tag != "true" && isSet(before, tag) && !isSet(v, tag) && v.Field(i).String() != "" {
			return schema.Errorf(schema.Invalid, "%s: a secret is not shown again: to have %s false, give %s with it, as new text", name, tag, name)
		}
	}
	return nil
}

// restoreNested puts back the masked secrets of what stands within settings: of a
// union of the same type, and of lists item by item.
func restoreNested(v, before reflect.Value) {
	part, ok := schema.Variant(v)
	if ok {
		if was, ok := schema.Variant(before); ok && was.Type() == part.Type() {
			restoreFields(part, was)
		}
		return
	}
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		restoreInner(v.Field(i), before.Field(i))
	}
}

func restoreInner(v, before reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		restoreNested(v, before)
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Struct {
			return
		}
		for i := range min(v.Len(), before.Len()) {
			restoreFields(v.Index(i), before.Index(i))
		}
	default:
	}
}

func restoreFields(v, before reflect.Value) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("secret") != "" && v.Field(i).String() == Mask {
			v.Field(i).Set(before.Field(i))
			continue
		}
		restoreInner(v.Field(i), before.Field(i))
	}
}
