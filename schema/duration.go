package schema

import (
	"encoding/json"
	"time"
)

// Duration is a length of time, written as "90s", "10m" or "1h30m"; "" is none.
type Duration time.Duration //nolint:recvcheck // decoding writes, all else reads

// UnmarshalJSON accepts a string.
func (l *Duration) UnmarshalJSON(b []byte) error { return unmarshalTree(b, l) }

// MarshalJSON writes a string, empty for none.
func (l Duration) MarshalJSON() ([]byte, error) { return json.Marshal(l.String()) }

// String returns it as it is written.
func (l Duration) String() string {
	if l == 0 {
		return ""
	}
	return time.Duration(l).String()
}

func (l *Duration) decodeTree(d *decoder, path string, in any) {
	text, ok := in.(string)
	if !ok {
		d.wrong(path, in, "a length of time as \"10m\"")
		return
	}
	if text == "" {
		*l = 0
		return
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		d.fail(path, "%q is no length of time: write 90s, 10m or 1h30m", clip(text))
		return
	}
	*l = Duration(v)
}
