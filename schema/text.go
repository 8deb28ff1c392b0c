package schema

import "strings"

// StrList is a list of strings that may be written as one string: items are
// separated by newlines and commas, `#` starts a comment.
type StrList []string //nolint:recvcheck // decoding writes, all else reads

// ParseStrList splits a text as StrList does when given a string.
func ParseStrList(text string) StrList {
	out := StrList{}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		line, _, _ = strings.Cut(line, " #")
		for item := range strings.SplitSeq(line, ",") {
			if item = strings.TrimSpace(item); item != "" {
				out = append(out, item)
			}
		}
	}
	return out
}

// UnmarshalJSON accepts a string or a list of strings.
func (l *StrList) UnmarshalJSON(b []byte) error { return unmarshalTree(b, l) }

// MarshalJSON writes a list, never null.
func (l StrList) MarshalJSON() ([]byte, error) { return marshalList([]string(l)) }

func (l *StrList) decodeTree(d *decoder, path string, in any) {
	if s, ok := in.(string); ok {
		*l = ParseStrList(s)
		return
	}
	list, ok := d.stringList(path, in, "a string or a list of strings")
	if ok {
		*l = list
	}
}

// KV is a text of KEY = value lines, kept as written; ParseEnv reads it. It may
// also be given as a list of {variable, value}.
type KV string

// UnmarshalJSON accepts a string or a list of {variable, value}.
func (k *KV) UnmarshalJSON(b []byte) error { return unmarshalTree(b, k) }

func (k *KV) decodeTree(d *decoder, path string, in any) {
	*k = KV(d.lines(path, in, "{ variable, value }", func(item any, at string) string {
		var pair kvPair
		d.fresh(&pair, item, at)
		return pair.Variable + " = " + pair.Value
	}))
}

type kvPair struct {
	Variable string `json:"variable" required:"true"`
	Value    string `json:"value" required:"true"`
}

// FileText is the text of a file: without blanks at its end but one newline.
type FileText string

// UnmarshalJSON accepts a string and cleans its end.
func (f *FileText) UnmarshalJSON(b []byte) error { return unmarshalTree(b, f) }

func (f *FileText) decodeTree(d *decoder, path string, in any) {
	s, ok := in.(string)
	if !ok {
		d.wrong(path, in, "a string")
		return
	}
	if s = strings.TrimRightFunc(s, isSpace); s != "" {
		s += "\n"
	}
	*f = FileText(s)
}

// SystemCommand is a command on a server. It is unset when Command is empty.
type SystemCommand struct {
	Path      string   `json:"path" doc:"Folder to run in, relative to the place the command belongs to."`
	Command   FileText `json:"command" widget:"shell" doc:"The command; several lines are joined."`
	ShellMode bool     `json:"shell_mode" doc:"Hand the text to the shell as it is."`
}

// IsZero reports whether there is nothing to run.
func (c SystemCommand) IsZero() bool { return c.Command == "" }

// Script returns what the shell is given: the text itself in shell mode, else
// its lines joined by &&, without comments, lines ending in a backslash
// continued. It is empty when there is nothing to run.
func (c SystemCommand) Script() string {
	if c.ShellMode {
		return string(c.Command)
	}
	return JoinCommand(string(c.Command))
}

// JoinCommand turns a command of several lines into one line, as Script does.
func JoinCommand(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		line, _, _ = strings.Cut(line, " #")
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	// Komodo splits at every space and backslash, not only at those at a line's end.
	parts := strings.Split(strings.Join(lines, "\n"), " \\")
	for i, p := range parts {
		parts[i] = strings.TrimSpace(p)
	}
	return strings.ReplaceAll(strings.Join(parts, " "), "\n", " && ")
}

// EnvFile is a further env file of a stack; as a string it is tracked.
type EnvFile struct {
	Path  string `json:"path" required:"true" doc:"Relative to the run directory."`
	Track bool   `json:"track" doc:"A change of it needs a deploy; it must exist."`
}

func (e *EnvFile) setDefaults() { *e = EnvFile{Track: true} }

func (e *EnvFile) fromString(s string) { *e = EnvFile{Path: s, Track: true} }

// UnmarshalJSON accepts a string or an object.
func (e *EnvFile) UnmarshalJSON(b []byte) error { return unmarshalTree(b, e) }

// What a change of a tracked file needs.
const (
	RequiresRedeploy = "Redeploy"
	RequiresRestart  = "Restart"
	RequiresNone     = "None"
)

// FileDep is a further file that a stack depends on; as a string its changes
// need nothing.
type FileDep struct {
	Path     string  `json:"path" required:"true" doc:"Relative to the run directory."`
	Services StrList `json:"services" alias:"service" doc:"Services that use it; empty is all."`
	Requires string  `json:"requires" alias:"req" enum:"Redeploy|redeploy,Restart|restart,None|none" doc:"What a change needs."`
}

func (f *FileDep) setDefaults() { *f = FileDep{Services: StrList{}, Requires: RequiresNone} }

func (f *FileDep) fromString(s string) {
	f.setDefaults()
	f.Path = s
}

// UnmarshalJSON accepts a string or an object.
func (f *FileDep) UnmarshalJSON(b []byte) error { return unmarshalTree(b, f) }
