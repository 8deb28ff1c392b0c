package schema

import (
	"regexp"
	"strings"
)

// Pattern selects resources by name: a list as StrList reads it, of wildcards
// (`*` any run, `?` one character, `\` takes the next as it is) and, between two
// backslashes, regular expressions that need to match anywhere.
type Pattern struct{ items []*regexp.Regexp }

// ParsePattern reads a pattern. A lone backslash and a bad regular expression
// are Invalid errors.
func ParsePattern(text string) (Pattern, error) {
	var p Pattern
	for _, item := range ParseStrList(text) {
		re, err := onePattern(item)
		if err != nil {
			return Pattern{}, err
		}
		p.items = append(p.items, re)
	}
	return p, nil
}

// ParseOnePattern reads a text as one item of a pattern: a comma is a comma.
func ParseOnePattern(text string) (Pattern, error) {
	re, err := onePattern(text)
	return Pattern{items: []*regexp.Regexp{re}}, err
}

func onePattern(item string) (*regexp.Regexp, error) {
	expr := wildcard(item)
	if strings.HasPrefix(item, `\`) && strings.HasSuffix(item, `\`) {
		if len(item) < 3 {
			return nil, Errorf(Invalid, "pattern %q: nothing between the backslashes", item)
		}
		expr = item[1 : len(item)-1]
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, Errorf(Invalid, "pattern %q: %v (a comma separates patterns, also inside a regular expression)", item, err)
	}
	return re, nil
}

// Match reports whether any item matches the name.
func (p Pattern) Match(name string) bool {
	for _, re := range p.items {
		if re.MatchString(name) {
			return true
		}
	}
	return false
}

// wildcard turns a wildcard into an expression for the whole name.
func wildcard(item string) string {
	var b strings.Builder
	escaped := false
	for _, r := range item {
		switch {
		case escaped:
			b.WriteString(regexp.QuoteMeta(string(r)))
			escaped = false
		case r == '\\':
			escaped = true
		case r == '*':
			b.WriteString(".*")
		case r == '?':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return `(?s)\A` + b.String() + `\z`
}
