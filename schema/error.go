package schema

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Code says what kind of failure an Error is. It is all that crosses a boundary
// (HTTP status, exit code, bus) apart from the safe text.
type Code string

// The codes, in the order in which CodeOf looks for them.
const (
	Invalid         Code = "invalid"         // the caller's input is wrong; nothing was changed
	Unauthenticated Code = "unauthenticated" // nobody we know
	Denied          Code = "denied"          // known, but may not
	NotFound        Code = "not_found"       // the named thing does not exist
	Conflict        Code = "conflict"        // somebody else was first, or the name is taken
	TooLarge        Code = "too_large"       // the input is larger than the limit
	TooMany         Code = "too_many"        // tried too often, try again later
	Unsupported     Code = "unsupported"     // understood, but not built yet
	Unavailable     Code = "unavailable"     // an agent, engine or host does not answer now
	Expired         Code = "expired"         // the deadline passed before it was done
	Canceled        Code = "canceled"        // somebody asked for it to stop
	Superseded      Code = "superseded"      // a newer command took its place
	Interrupted     Code = "interrupted"     // the process died half way; the state was looked at, not guessed
	Failed          Code = "failed"          // it was tried and did not work
	Internal        Code = "internal"        // a fault of Berth's own; the cause is logged, not shown
)

// codeTable is the one place where a code becomes an HTTP status and an exit code.
type codeRow struct {
	code   Code
	status int
	exit   int
}

func codeTable() []codeRow {
	return []codeRow{
		{Invalid, http.StatusUnprocessableEntity, 2},
		{Unauthenticated, http.StatusUnauthorized, 3},
		{Denied, http.StatusForbidden, 3},
		{NotFound, http.StatusNotFound, 4},
		{Conflict, http.StatusConflict, 5},
		{TooLarge, http.StatusRequestEntityTooLarge, 2},
		{TooMany, http.StatusTooManyRequests, 6},
		{Unsupported, http.StatusNotImplemented, 2},
		{Unavailable, http.StatusServiceUnavailable, 6},
		{Expired, http.StatusGatewayTimeout, 6},
		{Canceled, http.StatusConflict, 7},
		{Superseded, http.StatusConflict, 7},
		{Interrupted, http.StatusConflict, 1},
		{Failed, http.StatusInternalServerError, 1},
		{Internal, http.StatusInternalServerError, 1},
	}
}

// HTTPStatus returns the status an HTTP answer carries for the code; 500 for a
// code it does not know.
func (c Code) HTTPStatus() int {
	for _, r := range codeTable() {
		if r.code == c {
			return r.status
		}
	}
	return http.StatusInternalServerError
}

// ExitCode returns the exit code of a command that ended with the code.
func (c Code) ExitCode() int {
	for _, r := range codeTable() {
		if r.code == c {
			return r.exit
		}
	}
	return 1
}

// Error is a failure with a code and a text that is safe to show to the user.
// The cause, if any, is for the log; it may name hosts, paths and addresses.
type Error struct {
	Code Code
	Text string
	Err  error
}

// Error returns the text followed by the cause: the trail for the log.
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.Text
	case e.Text == "":
		return e.Err.Error()
	}
	return e.Text + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error with a code and a text that users may see. The text is a
// trail of verbs with the thing named: `read compose.yaml: line 3: ...`.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Wrap gives err a code and puts a safe text before it. The text of err itself
// is shown to users as well when err is an *Error; otherwise only its first
// line's worth is kept for the log. Wrap(nil) is nil.
func Wrap(code Code, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Text: fmt.Sprintf(format, args...), Err: err}
}

// CodeOf returns the code of the outermost *Error in err's chain that has one; a
// context's end maps to Canceled or Expired; anything else is Internal.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) && e.Code != "" {
		return e.Code
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Expired
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Internal
}

// SafeText returns what a user may see of err: the texts of all *Errors in its
// chain, joined as a trail. A chain without any is "internal error", or what a
// context's end says.
func SafeText(err error) string {
	text := ""
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			break
		}
		if e.Text != "" {
			if text != "" {
				text += ": "
			}
			text += e.Text
		}
		err = e.Err
	}
	if text != "" {
		return text
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "it took too long"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "internal error"
}

// Problem is an Error on the wire: code and safe text only.
type Problem struct {
	Code Code   `json:"code"`
	Text string `json:"text"`
}

// ProblemOf returns err as it may cross a boundary; nil for nil.
func ProblemOf(err error) *Problem {
	if err == nil {
		return nil
	}
	return &Problem{Code: CodeOf(err), Text: SafeText(err)}
}

// Err returns the problem as an error; nil for nil.
func (p *Problem) Err() error {
	if p == nil {
		return nil
	}
	return &Error{Code: p.Code, Text: p.Text}
}
