package schema

// OnboardingKey lets agents in that nobody has announced: each makes its own server
// with it, until it expires.
type OnboardingKey struct {
	PublicKey  string   `json:"public_key"` // of the private key that agents are given, as SPKI in base64
	Enabled    bool     `json:"enabled"`
	Expires    int64    `json:"expires"` // unix ms; 0 is never
	Name       string   `json:"name"`
	Onboarded  []string `json:"onboarded"` // ids of the servers that came with it
	Created    int64    `json:"created_at"`
	Tags       []string `json:"tags"`           // of the servers it makes
	Privileged bool     `json:"privileged"`     // may give a server that there is another agent
	CopyServer string   `json:"copy_server"`    // id of the server whose settings they get
	Builder    bool     `json:"create_builder"` // make a builder of each
}

// OnboardReq is how an agent that core does not know asks to be let in. It holds
// nothing secret: the proofs are over all of it.
type OnboardReq struct {
	Name  string `json:"name" doc:"Name or id of the server to be."`
	NKey  string `json:"nkey" doc:"The agent's public nkey."`
	Sent  int64  `json:"sent" doc:"When, by the agent's clock: Unix milliseconds."`
	Nonce []byte `json:"nonce" doc:"32 random bytes."`
	Key   string `json:"key,omitempty" doc:"Public half of the onboarding key; absent asks an administrator."`
	Proof []byte `json:"proof,omitempty" doc:"That the agent has the onboarding key: HMAC-SHA256."`
	Sig   []byte `json:"sig" doc:"That the agent has the nkey's private half."`
}

// OnboardResp says to an agent who it is and whom to trust.
type OnboardResp struct {
	Server Target   `json:"server"`
	Core   string   `json:"core"`            // core's public nkey
	Pin    []string `json:"pin,omitempty"`   // of core's TLS key
	Proof  []byte   `json:"proof,omitempty"` // that core knows the onboarding key
	Sig    []byte   `json:"sig"`             // that core has its private half
}
