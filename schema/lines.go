package schema

import "strings"

// Labels is a text of KEY: value lines, kept as written; ParseEnv reads it. It may
// also be given as a list of {variable, value}.
type Labels string

// UnmarshalJSON accepts a string or a list of {variable, value}.
func (l *Labels) UnmarshalJSON(b []byte) error { return unmarshalTree(b, l) }

func (l *Labels) decodeTree(d *decoder, path string, in any) {
	*l = Labels(d.lines(path, in, "{ variable, value }", func(item any, at string) string {
		var pair kvPair
		d.fresh(&pair, item, at)
		return pair.Variable + ": " + pair.Value
	}))
}

// Conversions is a text of host: container lines, of ports or of volumes, kept as
// written. It may also be given as a list of {local, container}.
type Conversions string

// UnmarshalJSON accepts a string or a list of {local, container}.
func (c *Conversions) UnmarshalJSON(b []byte) error { return unmarshalTree(b, c) }

func (c *Conversions) decodeTree(d *decoder, path string, in any) {
	*c = Conversions(d.lines(path, in, "{ local, container }", func(item any, at string) string {
		var pair struct {
			Local     string `json:"local" required:"true"`
			Container string `json:"container" required:"true"`
		}
		d.fresh(&pair, item, at)
		return pair.Local + ": " + pair.Container
	}))
}

// TermLabels is a text of SIGNAL: label lines, kept as written. It may also be
// given as a list of {signal, label}.
type TermLabels string

// UnmarshalJSON accepts a string or a list of {signal, label}.
func (l *TermLabels) UnmarshalJSON(b []byte) error { return unmarshalTree(b, l) }

func (l *TermLabels) decodeTree(d *decoder, path string, in any) {
	*l = TermLabels(d.lines(path, in, "{ signal, label }", func(item any, at string) string {
		var pair struct {
			Signal string `json:"signal" required:"true" enum:"SIGHUP|1,SIGINT|2,SIGQUIT|3,SIGTERM|15"`
			Label  string `json:"label" required:"true"`
		}
		d.fresh(&pair, item, at)
		return pair.Signal + ": " + pair.Label
	}))
}

// lines reads a text that may be given as a list of pairs, one line each.
func (d *decoder) lines(path string, in any, pair string, line func(item any, at string) string) string {
	switch v := in.(type) {
	case string:
		if v != "" && !strings.HasSuffix(v, "\n") {
			v += "\n"
		}
		return v
	case []any:
		var b strings.Builder
		for i, item := range v {
			b.WriteString("  " + line(item, index(path, i)) + "\n")
		}
		return b.String()
	}
	d.wrong(path, in, "a string or a list of "+pair)
	return ""
}
