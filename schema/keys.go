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
