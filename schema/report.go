package schema

import (
	"fmt"
	"slices"
	"strings"
)

// KeyError is what is wrong with, or odd about, one key. Path is the key as the
// input writes it: `config.stage[0].name`.
type KeyError struct {
	Path    string
	Msg     string
	Unknown bool // a warning: nothing has this key
}

// Error returns the path and what is wrong with it.
func (e KeyError) Error() string {
	if e.Path == "" {
		return e.Msg
	}
	return e.Path + ": " + e.Msg
}

// Report is what decoding found: errors make the value useless, warnings do not.
type Report struct { //nolint:recvcheck // decoding writes, all else reads
	Warnings []KeyError
	Errors   []KeyError
}

// Err returns all errors as one Invalid error, or nil.
func (r Report) Err() error {
	if len(r.Errors) == 0 {
		return nil
	}
	texts := make([]string, len(r.Errors))
	for i, e := range r.Errors {
		texts[i] = e.Error()
	}
	return Errorf(Invalid, "%s", strings.Join(texts, "; "))
}

// Strict returns the report with unknown keys as errors.
func (r Report) Strict() Report {
	out := Report{Errors: slices.Clone(r.Errors)}
	for _, w := range r.Warnings {
		if w.Unknown {
			w.Msg = strings.Replace(w.Msg, "unknown key, ignored", "unknown key", 1)
			out.Errors = append(out.Errors, w)
		} else {
			out.Warnings = append(out.Warnings, w)
		}
	}
	return out
}

func (r *Report) unknownKey(path, more string) {
	r.Warnings = append(r.Warnings, KeyError{Path: path, Msg: "unknown key, ignored" + more, Unknown: true})
}

func (r *Report) fail(path, format string, args ...any) {
	r.Errors = append(r.Errors, KeyError{Path: path, Msg: fmt.Sprintf(format, args...)})
}

func (r *Report) warn(path, format string, args ...any) {
	r.Warnings = append(r.Warnings, KeyError{Path: path, Msg: fmt.Sprintf(format, args...)})
}

// Checker is a settings type with rules beyond the types of its fields.
type Checker interface{ Check() Report }
