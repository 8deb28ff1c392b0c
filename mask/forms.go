package mask

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"strconv"
	"strings"
)

// forms returns the texts under which a value may be printed.
func forms(value string) map[string]bool {
	set := map[string]bool{}
	trimmed := strings.TrimSpace(value)
	for _, whole := range []string{value, trimmed} {
		escaped(set, whole)
		encoded(set, whole)
	}
	encoded(set, trimmed+"\n") // echo "$SECRET" | base64
	lines := strings.FieldsFunc(trimmed, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) > 1 {
		// Joined as they are often passed on: \n written out is in escaped.
		escaped(set, strings.Join(lines, "\n"))
		escaped(set, strings.Join(lines, " "))
		escaped(set, strings.Join(lines, ""))
		for _, line := range lines {
			line = strings.TrimSpace(line)
			if len(line) >= MinFragment && !strings.HasPrefix(line, "-----") {
				escaped(set, line)
			}
		}
	}
	return set
}

// escaped adds the value and its quoted forms.
func escaped(set map[string]bool, v string) {
	add := func(s string) {
		if len(s) >= minRunes {
			set[s] = true
		}
	}
	add(v)
	quoted := strconv.Quote(v)
	add(quoted[1 : len(quoted)-1])
	ascii := strconv.QuoteToASCII(v)
	add(ascii[1 : len(ascii)-1])
	for _, escape := range []bool{true, false} {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(escape)
		if enc.Encode(v) == nil {
			s := strings.TrimSuffix(b.String(), "\n")
			inner := s[1 : len(s)-1]
			add(inner)
			// JSON within JSON, as in a log line that carries a request's body.
			again, _ := json.Marshal(inner)
			add(string(again[1 : len(again)-1]))
		}
	}
	for _, s := range []string{url.QueryEscape(v), url.PathEscape(v), (&url.URL{Path: v}).EscapedPath(), url.UserPassword("u", v).String()[2:], percentAll(v)} {
		add(s)
		add(lowerPercent(s))
	}
	add(strings.ReplaceAll(v, "'", `'\''`))
	add(strings.ReplaceAll(v, "'", `'"'"'`))
	add(strings.ReplaceAll(v, "'", "''"))
	add(strings.ReplaceAll(v, "$", "$$"))
	add(strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(v))
	add(backslashed(v))
	add(html.EscapeString(v))
}

// encoded adds base64 (plain and URL alphabet, wherever the value begins within
// a longer text, and cut into lines) and hex.
func encoded(set map[string]bool, v string) {
	raw := []byte(v)
	if len(raw) < minRunes {
		return
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		whole := enc.EncodeToString(raw)
		set[whole] = true
		set[strings.TrimRight(whole, "=")] = true
		for shift := range 3 {
			// The characters that depend on the value alone.
			text := enc.EncodeToString(append(make([]byte, shift), raw...))
			from := (shift*8 + 5) / 6
			to := (shift + len(raw)) * 8 / 6
			if to-from >= 8 {
				set[text[from:to]] = true
			}
		}
		for _, width := range []int{76, 64} {
			for at := 0; len(whole) > width && at < len(whole); at += width {
				if line := whole[at:min(at+width, len(whole))]; len(line) >= 16 {
					set[line] = true
				}
			}
		}
	}
	digits := hex.EncodeToString(raw)
	set[digits] = true
	set[strings.ToUpper(digits)] = true
}

// backslashed is the form of `printf %q`: a backslash before all that is special.
func backslashed(v string) string {
	var b strings.Builder
	for _, r := range v {
		if r < 128 && !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,~\n", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// percentAll escapes all but letters, digits and -_.~ as RFC 3986 has it, spaces
// as %20: what curl and JavaScript make of a value.
func percentAll(v string) string {
	return strings.ReplaceAll(url.QueryEscape(v), "+", "%20")
}

// lowerPercent writes %2F as %2f.
func lowerPercent(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}
