package process

import (
	"iter"
	"regexp"
	"strings"
)

// Parse turns the text of a command field into what the shell gets, and says
// whether there is anything to run. In shell mode the text stays as it is.
// Otherwise every line is a command, joined by &&: lines that begin with # are
// dropped, a line is cut at " #", and a backslash after a space joins what
// follows it.
func Parse(text string, shellMode bool) (string, bool) {
	if shellMode {
		return text, strings.TrimSpace(text) != ""
	}
	var b strings.Builder
	joined := true // the last line ended with a continuation, or there is none
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		line, _, _ = strings.Cut(line, " #")
		line, open := continuations(strings.TrimSpace(line))
		if line == "" {
			joined = joined || open
			continue
		}
		switch {
		case b.Len() == 0:
		case joined:
			b.WriteByte(' ')
		default:
			b.WriteString(" && ")
		}
		b.WriteString(line)
		joined = open
	}
	return b.String(), b.Len() > 0
}

// continuations removes backslashes that stand alone between spaces or at the
// end of a line, and says whether there was one at the end.
func continuations(line string) (string, bool) {
	open := line == `\` || strings.HasSuffix(line, ` \`)
	if open {
		line = strings.TrimSpace(strings.TrimSuffix(line, `\`))
	}
	for {
		before, after, ok := strings.Cut(line, ` \ `)
		if !ok {
			return line, open
		}
		line = strings.TrimSpace(before) + " " + strings.TrimSpace(after)
	}
}

// sopsScript is a command that is the well-known decryption script and nothing
// else: by name or path, through a shell or not, with plain arguments.
const sopsScript = `^\s*(?:sudo\s+)?(?:(?:/usr/bin/env\s+)?(?:\S*/)?(?:ba|da|z)?sh\s+(?:-[a-z]+\s+)*|(?:source|\.)\s+)?["']?(?:[^\s"'|&;<>()$` + "`" + `]*/)?sops-decrypt\.sh["']?(?:\s+[^|&;<>()` + "`" + `]*)?(?:\|\|\s*(?:true|:)\s*)?$`

// WithoutSopsScript removes calls of sops-decrypt.sh from the text of a command
// field, in either mode, and says whether there were any: Berth decrypts such
// files itself, and hosts need not have the script. A call that is woven into a
// pipe or a condition is left in place.
func WithoutSopsScript(text string) (rest string, found bool) {
	script := regexp.MustCompile(sopsScript)
	var lines []string
	for _, line := range logicalLines(text) {
		kept, hit := withoutCalls(script, line)
		found = found || hit
		if !hit {
			kept = line
		}
		if !hit || strings.TrimSpace(kept) != "" {
			lines = append(lines, kept)
		}
	}
	if !found {
		return text, false
	}
	rest = strings.Join(lines, "\n")
	if strings.TrimSpace(rest) == "" || !hasCommand(rest) {
		return "", true
	}
	return rest, true
}

// logicalLines splits at line ends that are not escaped.
func logicalLines(text string) []string {
	var lines []string
	start := 0
	for i := range len(text) {
		if text[i] == '\n' && (i == 0 || text[i-1] != '\\') {
			lines = append(lines, text[start:i])
			start = i + 1
		}
	}
	return append(lines, text[start:])
}

// withoutCalls removes the script's calls from a line of commands that are
// separated by && or ; outside of quotes.
func withoutCalls(script *regexp.Regexp, line string) (string, bool) {
	code := line
	if at := commentAt(line); at >= 0 {
		code = line[:at]
	}
	var kept strings.Builder
	found, sep := false, ""
	for code != "" {
		part, end := nextPart(code)
		next := code[len(part):end]
		code = code[end:]
		plain := strings.ReplaceAll(part, "\\\n", " ")
		plain = strings.TrimSuffix(strings.TrimRight(plain, " \t\r"), `\`)
		if script.MatchString(strings.TrimSpace(plain)) {
			found = true
			continue
		}
		if strings.TrimSpace(part) == "" {
			continue
		}
		if kept.Len() > 0 {
			kept.WriteString(sep)
			kept.WriteByte(' ')
			part = strings.TrimLeft(part, " \t")
		}
		kept.WriteString(strings.TrimRight(part, " \t"))
		if sep = next; sep == "&&" {
			sep = " &&"
		}
	}
	return strings.TrimLeft(kept.String(), " \t"), found
}

// nextPart returns the command before the first separator outside of quotes, and
// the index behind the separator.
func nextPart(code string) (string, int) {
	for i, c := range unquoted(code) {
		switch {
		case c == ';':
			return code[:i], i + 1
		case strings.HasPrefix(code[i:], "&&"):
			return code[:i], i + 2
		}
	}
	return code, len(code)
}

// commentAt returns where a comment begins outside of quotes, or -1.
func commentAt(line string) int {
	for i, c := range unquoted(line) {
		if c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return i
		}
	}
	return -1
}

// unquoted goes through what is neither quoted, nor escaped, nor a quote.
func unquoted(code string) iter.Seq2[int, byte] {
	return func(yield func(int, byte) bool) {
		quote := byte(0)
		for i := 0; i < len(code); i++ {
			switch c := code[i]; {
			case c == '\\' && quote != '\'':
				i++
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '\'' || c == '"':
				quote = c
			case !yield(i, c):
				return
			}
		}
	}
}

// hasCommand tells whether a text is more than comments and blank lines.
func hasCommand(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && line != `\` {
			return true
		}
	}
	return false
}
