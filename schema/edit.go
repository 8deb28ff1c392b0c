package schema

// Edit is a change of what is declared that somebody made: who, when, and the
// resource as TOML before and after, secrets masked. Changes that a sync makes are
// in its run.
type Edit struct {
	ID        string `json:"id"`        // sorts by time
	Operation string `json:"operation"` // CreateStack, UpdateStack, …
	Target    Target `json:"target"`    // none of what belongs to core as a whole
	Actor     Actor  `json:"actor"`
	From      string `json:"from,omitempty"` // address
	Began     int64  `json:"began"`          // unix ms
	Ended     int64  `json:"ended"`          // unix ms
	Note      string `json:"note,omitempty"`
	Before    string `json:"before,omitempty"`
	After     string `json:"after,omitempty"`
}
