package compose

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"berth/schema"
)

// What the loader complains of it quotes in part: the piece of a port mapping that
// is no port, say. Where that mapping came from a secret, the piece is a piece of
// the secret, which no masker of whole values knows. So an error that might quote
// a secret is put to the test: the project is loaded once more with another value
// of the same shape. The same words then say nothing of the value; other words, or
// none, do, and are replaced by the field and the secret's name.

// secretValue is a value of which errors may not tell a part.
type secretValue struct {
	name     string // as an error names it
	value    string
	variable string // of a decrypted env file; else the value is looked for in texts
}

// conceal returns the error of a load without what it tells of secrets; load loads
// another spec in the same way.
func (s Spec) conceal(ctx context.Context, err error, load func(Spec) error) error {
	text := schema.SafeText(err)
	var told []secretValue
	for _, v := range s.secretValues() {
		if !mayQuote(text, v.value) {
			continue
		}
		other := load(s.with(v, disguise(v.value)))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if other == nil || schema.SafeText(other) != text {
			told = append(told, v)
		}
	}
	if len(told) == 0 {
		return err
	}
	var names, fields []string
	for _, v := range told {
		names = append(names, v.name)
		fields = append(fields, s.fieldsOf(ctx, v)...)
	}
	slices.Sort(fields)
	if fields = slices.Compact(fields); len(fields) == 0 {
		fields = []string{"a value"}
	}
	return schema.Errorf(schema.CodeOf(err), "load project %q: %s is not right, and what is wrong with it is not shown, because it comes from the secret %s",
		s.Project, strings.Join(fields, " or "), strings.Join(names, ", "))
}

// secretValues are Secrets and the variables of env files in memory, by name.
func (s Spec) secretValues() []secretValue {
	var out []secretValue
	for _, name := range sorted(s.Secrets) {
		if v := s.Secrets[name]; v != "" {
			out = append(out, secretValue{name: name, value: v})
		}
	}
	known := len(out)
	for _, path := range sorted(s.Memory) {
		vars, err := dotenv.ParseWithLookup(bytes.NewReader(s.Memory[path]), unset)
		if err != nil {
			continue // no env file
		}
		for _, key := range sorted(vars) {
			named := slices.ContainsFunc(out[:known], func(v secretValue) bool { return strings.Contains(vars[key], v.value) })
			if vars[key] != "" && !named {
				out = append(out, secretValue{name: "$" + key, value: vars[key], variable: key})
			}
		}
	}
	return out
}

// with returns the spec with another value in a secret's place.
func (s Spec) with(v secretValue, value string) Spec {
	if v.variable != "" {
		s.override = map[string]string{v.variable: value}
		return s
	}
	replace := func(text string) string { return strings.ReplaceAll(text, v.value, value) }
	s.Memory, s.Environment = maps.Clone(s.Memory), maps.Clone(s.Environment)
	for path, text := range s.Memory {
		s.Memory[path] = []byte(replace(string(text)))
	}
	for key, text := range s.Environment {
		s.Environment[key] = replace(text)
	}
	s.ExtraArgs, s.BuildExtraArgs = slices.Clone(s.ExtraArgs), slices.Clone(s.BuildExtraArgs)
	for _, args := range [][]string{s.ExtraArgs, s.BuildExtraArgs} {
		for i := range args {
			args[i] = replace(args[i])
		}
	}
	return s
}

// mark stands in for a secret while its fields are looked for.
const mark = "berth-secret-goes-here"

// fieldsOf are the settings and fields of compose files that are made from a secret.
func (s Spec) fieldsOf(ctx context.Context, v secretValue) []string {
	variables := map[string]bool{v.variable: true}
	if v.variable == "" {
		s = s.with(v, mark)
		variables = s.marked()
	}
	made := func(text string) bool {
		for _, m := range regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`).FindAllStringSubmatch(text, -1) {
			if variables[m[1]] {
				return true
			}
		}
		return strings.Contains(text, mark)
	}
	var out []string
	if slices.ContainsFunc(s.ExtraArgs, made) {
		out = append(out, "extra_args")
	}
	if slices.ContainsFunc(s.BuildExtraArgs, made) {
		out = append(out, "build_extra_args")
	}
	files, err := s.files()
	if err != nil {
		return out
	}
	for _, f := range files {
		model, err := loader.LoadModelWithContext(ctx, types.ConfigDetails{ConfigFiles: []types.ConfigFile{f}, WorkingDir: s.Dir}, func(o *loader.Options) {
			o.SetProjectName("any", true)
			o.SkipInterpolation, o.SkipValidation, o.SkipExtends, o.SkipInclude, o.SkipDefaultValues, o.ResolvePaths = true, true, true, true, true, false
		})
		if err == nil {
			out = append(out, fieldsWhere("", model, made)...)
		}
	}
	return out
}

// marked are the variables in whose values the mark stands.
func (s Spec) marked() map[string]bool {
	out := map[string]bool{}
	for _, text := range s.Memory {
		vars, err := dotenv.ParseWithLookup(bytes.NewReader(text), unset)
		if err != nil {
			continue // no env file
		}
		for key, value := range vars {
			out[key] = out[key] || strings.Contains(value, mark)
		}
	}
	for key, value := range s.Environment {
		out[key] = out[key] || strings.Contains(value, mark)
	}
	return out
}

func unset(string) (string, bool) { return "", false }

// fieldsWhere lists the paths of texts of a tree.
func fieldsWhere(at string, tree any, is func(text string) bool) []string {
	var out []string
	switch tree := tree.(type) {
	case string:
		if is(tree) {
			out = append(out, at)
		}
	case map[string]any:
		for _, key := range sorted(tree) {
			out = append(out, fieldsWhere(strings.TrimPrefix(at+"."+key, "."), tree[key], is)...)
		}
	case []any:
		for i, item := range tree {
			out = append(out, fieldsWhere(fmt.Sprintf("%s[%d]", at, i), item, is)...)
		}
	}
	return out
}

// mayQuote says whether a text has a word that is part of a value, or three
// characters in a row with it in common. It errs on the side of yes.
func mayQuote(text, value string) bool {
	text, value = strings.ToLower(text), strings.ToLower(value)
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if strings.Contains(value, word) {
			return true
		}
	}
	threes := map[string]bool{}
	for i := range max(0, len(text)-2) {
		threes[text[i:i+3]] = true
	}
	for i := range max(0, len(value)-2) {
		if threes[value[i:i+3]] {
			return true
		}
	}
	return false
}

// disguise returns another value of the same shape: letters for letters of their
// case, and for a number the one beside it, so that a port stays a port.
func disguise(value string) string {
	var b strings.Builder
	for rest := value; rest != ""; {
		n := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if n > 0 {
			b.WriteString(beside(rest[:n]))
			rest = rest[n:]
			continue
		}
		r := []rune(rest)[0]
		rest = rest[len(string(r)):]
		switch {
		case r == 'z' || r == 'Z':
			r -= 25
		case r > unicode.MaxASCII:
			r = 'x'
		case unicode.IsLetter(r):
			r++
		}
		b.WriteRune(r)
	}
	return b.String()
}

// beside is the number before one of the same number of digits, or else behind it.
func beside(digits string) string {
	last := digits[len(digits)-1]
	next := last - 1
	if last == '0' || last == '1' { // 10 would become 9, and a port 0
		next = last + 1
	}
	return digits[:len(digits)-1] + string(next)
}
