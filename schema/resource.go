package schema

// Resource is one thing a user manages: a stack, a server, ... It is stored as
// this JSON. C is the settings type of its kind.
type Resource[C any] struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Template    bool     `json:"template"` // hidden from default lists; to be copied from
	Tags        []string `json:"tags"`     // by name, in the order given
	// Base is what every user may do with it. Files do not say it.
	Base    Level `json:"base_permission,omitzero"`
	Config  C     `json:"config"`
	Created int64 `json:"created"` // unix ms
	Updated int64 `json:"updated"` // unix ms
	// Rev is the revision it was read at; it is not part of the document.
	Rev uint64 `json:"-"`
}

// Target returns the resource as the target of a run.
func (r Resource[C]) Target(kind string) Target {
	return Target{Kind: kind, ID: r.ID, Name: r.Name}
}

// Declaration is a resource as a file declares it: without id and state, with
// what only a file can say.
type Declaration[C any] struct {
	Name        string   `json:"name" required:"true" doc:"Name, unique among its kind."`
	Description string   `json:"description" doc:"Free text." widget:"text"`
	Template    bool     `json:"template" doc:"Only a pattern to copy from; hidden from default lists."`
	Tags        []string `json:"tags" doc:"Names of tags. A new tag is created." widget:"tags"`
	Deploy      bool     `json:"deploy" doc:"A sync that applies this also deploys it. Of stacks and deployments."`
	After       []string `json:"after" doc:"Names of what a sync deploys first."`
	Config      C        `json:"config" doc:"The settings of the kind."`
}
