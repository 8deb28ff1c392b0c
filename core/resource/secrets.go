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
	v := reflect.ValueOf(&config).Elem() // config is a copy already; only top-level strings are written
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("secret")
		if tag == "" || (tag != "true" && !isSet(v, tag)) || v.Field(i).String() == "" {
			continue
		}
		s, err := to(v.Field(i).String())
		if err != nil {
			return config, err
		}
		v.Field(i).SetString(s)
	}
	return config, nil
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
