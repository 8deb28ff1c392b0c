package schema

import "time"

// How an agent changes its key. Core tells it to; the agent makes a key, has core
// let it in beside the one it has, and only when it has logged in with it does core
// forget the other. Whoever is killed in between keeps a key that core knows.
var (
	// KeyRotate makes an agent change the key it connects with.
	KeyRotate = Job[KeyRotateReq, KeyRotateResp]{Name: "key.rotate", Timeout: 2 * time.Minute, Repeatable: true}
	// AskKeyAdd lets a further key of the agent in.
	AskKeyAdd = Ask[KeyReq, struct{}]{Name: "key-add"}
	// AskKeyKeep makes the named key the agent's only one.
	AskKeyKeep = Ask[KeyReq, struct{}]{Name: "key-keep"}
)

// CoreKey tells an agent which key core is about to use, or uses now.
var CoreKey = Job[CoreKeyReq, struct{}]{Name: "core.key", Timeout: time.Minute, Repeatable: true}

// CoreKeyReq is a key of core by its public half, and the pins of its TLS key: none
// when that is not core's own.
type CoreKeyReq struct {
	Key string   `json:"key"`
	Pin []string `json:"pin,omitempty"`
	Now bool     `json:"now,omitempty"` // core uses it: the one before is forgotten
}

// KeyReq names a key of the agent that asks by its public half.
type KeyReq struct {
	NKey string `json:"nkey"`
}

// KeyRotateReq asks for nothing in particular.
type KeyRotateReq struct{}

// KeyRotateResp says which key took the place of which, by their public halves.
type KeyRotateResp struct {
	NKey   string `json:"nkey"`
	Before string `json:"before"`
}
