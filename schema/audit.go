package schema

import "encoding/json"

// Audit is something that somebody did, or wanted to do and was refused.
type Audit struct {
	Seq     uint64 `json:"seq"` // its place among all, counting up
	At      int64  `json:"at"`  // unix ms
	Actor   Actor  `json:"actor"`
	From    string `json:"from"`    // address
	Via     string `json:"via"`     // click, api, cli, bus, run
	Group   string `json:"group"`   // read, write, execute, …
	Request string `json:"request"` // UpdateStack
	Target  Target `json:"target,omitzero"`
	// Params are those parameters that name things and rights; what could be a secret
	// is not among them.
	Params json.RawMessage `json:"params,omitempty"`
	Code   Code            `json:"code,omitempty"`   // of the failure or refusal; empty when it was done
	Text   string          `json:"text,omitempty"`   // why
	Before string          `json:"before,omitempty"` // the resource, or the user, or what he was given, as TOML, secrets masked
	After  string          `json:"after,omitempty"`
}
