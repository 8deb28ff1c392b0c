package main

import (
	"errors"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"berth/core"
	"berth/periphery"
	"berth/schema"
)

// part is a process that is configured; a row of the table may be for several.
type part uint8

const (
	inCore  part = 1 << iota // berth core
	inUp                     // berth up: core, and an agent of this machine
	inAgent                  // berth periphery

	cores  = inCore | inUp
	agents = inAgent | inUp
	every  = inCore | inUp | inAgent
)

// key is a row of the table of settings: the one place that says what a setting
// is called here and by Komodo, what it does, and how it is read.
type key struct {
	name string // ours: --name, BERTH_NAME, and in files the same with _ for -; empty when only Komodo has it
	in   part   // who heeds it
	core string // Komodo's keys in core.config.toml, the first before its aliases; a.b is b in table a
	peri string // Komodo's keys in periphery.config.toml
	env  string // further variables
	def  string // the default, as text
	doc  string
	read reader
	// secret values are refused when they are those of Komodo's samples, and never shown.
	secret bool
	// none is why the key is accepted and does nothing.
	none string
	// remedy refuses any value but the ones that ask for nothing, and says what to do instead.
	remedy string
}

// reader makes a value of text: lists are one item per line.
type reader struct {
	kind kind
	set  func(c *configs, text string) error
	item func(c *configs, item map[string]any) error // reads one of tables
}

// kind is what a file may hold for a key.
type kind string

const (
	aText   kind = "text"
	aFlag   kind = "true or false"
	aNumber kind = "number"
	aList   kind = "list of texts"
	tables  kind = "tables"
)

// configs are everything that can be configured, as it is filled in.
type configs struct {
	core            core.Config
	agent           periphery.Config
	server          string // name of this machine, of berth up
	root            string // Komodo's name of an agent's data folder
	format, lvl     string // of the log
	port, bind      string // Komodo's halves of listen
	ssl             string // Komodo's switch: empty when it is not said
	sslCert, sslKey string // Komodo's files, which its switch may turn off
}

// ours is the key's name in files.
func (k key) ours() string { return strings.ReplaceAll(k.name, "-", "_") }

// title is the name to speak of a key by.
func (k key) title() string {
	if k.name != "" {
		return k.ours()
	}
	return strings.Fields(k.core + " " + k.peri)[0]
}

// keys are all names of the key in a file.
func (k key) keys() []string {
	var out []string
	if k.name != "" {
		out = append(out, k.ours())
	}
	return append(append(out, strings.Fields(k.core)...), strings.Fields(k.peri)...)
}

// envs are the variables that hold the value, the first that is set counts.
func (k key) envs() []string {
	var out []string
	if k.name != "" {
		out = append(out, "BERTH_"+strings.ToUpper(k.ours()))
	}
	out = append(out, strings.Fields(k.env)...)
	if k.read.kind == tables {
		return nil
	}
	for f := range strings.FieldsSeq(k.core) {
		out = append(out, "KOMODO_"+strings.ToUpper(strings.ReplaceAll(f, ".", "_")))
	}
	for f := range strings.FieldsSeq(k.peri) {
		out = append(out, "PERIPHERY_"+strings.ToUpper(strings.ReplaceAll(f, ".", "_")))
	}
	return out
}

func toText(at func(c *configs) *string) reader {
	return aReader(aText, func(c *configs, v string) error { *at(c) = v; return nil })
}

func aReader(k kind, set func(c *configs, v string) error) reader { return reader{kind: k, set: set} }

func toFlag(at func(c *configs) *bool) reader {
	return aReader(aFlag, func(c *configs, v string) error {
		b, err := strconv.ParseBool(v)
		*at(c) = b
		if err != nil {
			return errors.New("want true or false")
		}
		return nil
	})
}

func toList(at func(c *configs) *[]string) reader {
	return aReader(aList, func(c *configs, v string) error { *at(c) = schema.ParseStrList(v); return nil })
}

func toNumber(at func(c *configs) *int) reader {
	return aReader(aNumber, func(c *configs, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return errors.New("want a number of at least 1")
		}
		*at(c) = n
		return nil
	})
}

// unread is a value that only has to be of its kind.
func unread(k kind) reader {
	switch k {
	case aFlag:
		return toFlag(func(*configs) *bool { return new(bool) })
	case tables:
		return reader{kind: tables, item: func(*configs, map[string]any) error { return nil }}
	case aNumber:
		return aReader(aNumber, func(_ *configs, v string) error {
			if _, err := strconv.ParseFloat(v, 64); err != nil {
				return errors.New("want a number")
			}
			return nil
		})
	default:
		return aReader(k, func(*configs, string) error { return nil })
	}
}

// duration reads "always" as 0.
func duration(at func(c *configs) *time.Duration) reader {
	return aReader(aText, func(c *configs, v string) error {
		if v == "always" {
			*at(c) = 0
			return nil
		}
		d, err := time.ParseDuration(v)
		if err != nil || d <= 0 {
			return errors.New(`want "always" or a time like 100ms`)
		}
		*at(c) = d
		return nil
	})
}

// networks reads addresses and networks: one that is malformed is a mistake, never
// a list that is shorter.
func networks(at func(c *configs) *[]netip.Prefix) reader {
	return aReader(aList, func(c *configs, v string) error {
		*at(c) = nil
		for _, item := range schema.ParseStrList(v) {
			p, err := schema.ParseNetwork(item)
			if err != nil {
				return errors.New(schema.SafeText(err))
			}
			*at(c) = append(*at(c), p)
		}
		return nil
	})
}

// webAddress reads an address with scheme and host.
func webAddress(at func(c *configs) *string) reader {
	return aReader(aText, func(c *configs, v string) error {
		u, err := url.Parse(v)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
			return errors.New("want an address like https://berth.example:9120")
		case u.Hostname() == "komodo.example.com":
			return errors.New("this is the address of Komodo's sample file: give your own, or leave it out")
		}
		*at(c) = strings.TrimRight(v, "/")
		return nil
	})
}

// folder reads an absolute path.
func folder(at func(c *configs) *string) reader {
	return aReader(aText, func(c *configs, v string) error {
		if !filepath.IsAbs(v) {
			return errors.New("want an absolute path")
		}
		*at(c) = filepath.Clean(v)
		return nil
	})
}
