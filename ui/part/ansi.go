package part

import (
	"html"
	"strings"
)

// ANSIHTML returns text as HTML: everything escaped, SGR sequences turned into
// spans with classes, other control sequences and characters dropped.
func ANSIHTML(text string) string {
	if !strings.ContainsAny(text, "\x1b\r\b") {
		return html.EscapeString(text)
	}
	if i := strings.LastIndexByte(strings.TrimRight(text, "\r"), '\r'); i >= 0 {
		text = text[i+1:] // a line that was overwritten: its last state
	}
	var b strings.Builder
	var style sgr
	for text != "" {
		i := strings.IndexByte(text, '\x1b')
		if i < 0 {
			i = len(text)
		}
		style.write(&b, text[:i])
		text = text[i:]
		if text == "" {
			break
		}
		var args string
		var final byte
		args, final, text = sequence(text[1:])
		if final == 'm' {
			style.set(args)
		}
	}
	return b.String()
}

// sequence cuts a control sequence, without its ESC, off the front of s.
func sequence(s string) (args string, final byte, rest string) {
	switch {
	case s == "":
		return "", 0, ""
	case s[0] == ']': // operating system command: up to BEL or ESC \
		if i := strings.IndexAny(s, "\a\x1b"); i >= 0 {
			return "", 0, strings.TrimPrefix(strings.TrimPrefix(s[i:], "\a"), "\x1b\\")
		}
		return "", 0, ""
	case s[0] != '[':
		return "", 0, s[1:]
	}
	for i := 1; i < len(s); i++ {
		if s[i] >= '@' && s[i] <= '~' {
			return s[1:i], s[i], s[i+1:]
		}
	}
	return "", 0, ""
}

type sgr struct{ color, weight string }

func (s *sgr) write(b *strings.Builder, text string) {
	text = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' {
			return -1
		}
		return r
	}, text)
	if text == "" {
		return
	}
	class := strings.TrimSpace(s.weight + " " + s.color)
	if class == "" {
		b.WriteString(html.EscapeString(text))
		return
	}
	b.WriteString(`<span class="` + class + `">` + html.EscapeString(text) + `</span>`)
}

func (s *sgr) set(args string) {
	list := strings.Split(args, ";")
	for i := 0; i < len(list); i++ {
		switch p := list[i]; {
		case p == "" || p == "0":
			*s = sgr{}
		case p >= "1" && p <= "4" && len(p) == 1:
			s.weight = "a" + p
		case p == "22", p == "23", p == "24":
			s.weight = ""
		case p == "39":
			s.color = ""
		case p == "38" || p == "48": // extended colours: skip their arguments
			if i+1 < len(list) && list[i+1] == "5" {
				i += 2
			} else {
				i += 4
			}
		case len(p) == 2 && (p[0] == '3' || p[0] == '9') && p[1] >= '1' && p[1] <= '6':
			s.color = "f" + p[1:]
		}
	}
}
