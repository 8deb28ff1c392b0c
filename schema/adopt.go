package schema

// AskAdopt tells core of a deploy that was made on the server itself, without core.
// Asking again for the same run changes nothing.
var AskAdopt = Ask[AdoptReq, AdoptResp]{Name: "adopt"}

// AdoptReq is a deploy that somebody made on a server. Times are unix ms by the
// server's clock.
type AdoptReq struct {
	Run      string   `json:"run"`   // id that the agent gave it
	Stack    string   `json:"stack"` // id
	Services []string `json:"services,omitempty"`
	By       string   `json:"by"`   // name of the user on the server
	Host     string   `json:"host"` // name that the server has for itself
	// Why says how it came that core had no part in it: "while core was away".
	Why     string `json:"why,omitempty"`
	Started int64  `json:"started"`
	Ended   int64  `json:"ended"`
	Result  Result `json:"result"` // its value is a StackUpResp
}

// AdoptResp says which run it is in core's history.
type AdoptResp struct {
	Number uint64 `json:"number"`
}

// CauseHost is the kind of cause of a run that core heard of when it was over.
const CauseHost = "host"

// LocalCommand names the one command of a run that an agent made without core.
func LocalCommand(run string) string { return run + "-local" }
