package schema

// Read models: what is shown of a resource beside its settings. Core keeps them
// current; the API, the UI and the command line show them.

// ServerState is whether a server can be worked with; the names are Komodo's.
type ServerState string

// The states of a server.
const (
	ServerOk       ServerState = "Ok"
	ServerNotOk    ServerState = "NotOk"
	ServerDisabled ServerState = "Disabled"
)

// ServerView is a server as it stands now.
type ServerView struct {
	Resource Resource[ServerConfig] `json:"resource"`
	State    ServerState            `json:"state"`
	Online   bool                   `json:"online"`
	Joined   bool                   `json:"joined"`            // an agent has enrolled
	Since    int64                  `json:"since,omitempty"`   // unix ms of the last change of Online
	Address  string                 `json:"address,omitempty"` // where its agent connects from
	Key      string                 `json:"key,omitempty"`     // public nkey of its agent
	Other    string                 `json:"other,omitempty"`   // key that asked to be the agent, and waits for an administrator
	Status   *AgentStatus           `json:"status,omitempty"`  // the last one, also of an absent agent
	Waiting  int                    `json:"waiting"`           // commands that wait for it
	Stacks   int                    `json:"stacks"`
}

// StackState is Komodo's word for how a stack is.
type StackState string

// The states of a stack, worst first (reference: http-api.md §3.2).
const (
	StackDeploying  StackState = "deploying"
	StackRunning    StackState = "running"
	StackPaused     StackState = "paused"
	StackStopped    StackState = "stopped"
	StackCreated    StackState = "created"
	StackRestarting StackState = "restarting"
	StackDead       StackState = "dead"
	StackRemoving   StackState = "removing"
	StackUnhealthy  StackState = "unhealthy"
	StackDown       StackState = "down"
	StackUnknown    StackState = "unknown"
)

// StackView is a stack as it stands now.
type StackView struct {
	Resource Resource[StackConfig] `json:"resource"`
	Server   Target                `json:"server"`
	State    StackState            `json:"state"`
	Status   string                `json:"status,omitempty"` // why, in words
	Services []ServiceView         `json:"services"`
	Deployed *Deployed             `json:"deployed,omitempty"`
	Latest   CommitInfo            `json:"latest,omitzero"` // newest commit known of its branch
	LastRun  *Run                  `json:"last_run,omitempty"`
	Recent   []RunState            `json:"recent,omitempty"` // states of the last runs, oldest first
	// Update is what the last look for newer images found, if nothing was deployed since.
	Update *UpdateState `json:"update,omitempty"`
	// Seen is what was in its sources when somebody looked.
	Seen *Seen `json:"-"`
}

// ServiceView is one service of a stack.
type ServiceView struct {
	Name       string      `json:"name"`
	Image      string      `json:"image"`
	State      string      `json:"state"` // running, unhealthy, exited, missing, ...
	Containers []Container `json:"containers"`
}

// RepoView is a repo as it stands now.
type RepoView struct {
	Resource Resource[RepoConfig] `json:"resource"`
	Server   Target               `json:"server"`
	State    string               `json:"state"` // Cloning, Pulling, Ok, Failed, Unknown
	Cloned   CommitInfo           `json:"cloned,omitzero"`
	Latest   CommitInfo           `json:"latest,omitzero"`     // newest commit known of its branch
	PulledAt int64                `json:"pulled_at,omitempty"` // unix ms
	Built    CommitInfo           `json:"built,omitzero"`
	BuiltAt  int64                `json:"built_at,omitempty"` // unix ms
	LastRun  *Run                 `json:"last_run,omitempty"`
}

// BuildView is a build as it stands now.
type BuildView struct {
	Resource Resource[BuildConfig] `json:"resource"`
	Builder  Target                `json:"builder,omitzero"`
	Linked   Target                `json:"linked,omitzero"` // repo that the sources come from
	State    string                `json:"state"`           // Building, Ok, Failed, Unknown
	Version  Version               `json:"version"`         // of the newest image
	Built    BuildState            `json:"built"`
	Latest   CommitInfo            `json:"latest,omitzero"` // newest commit that was built, or tried
	Seen     *Seen                 `json:"-"`               // what was in its sources when somebody looked
	LastRun  *Run                  `json:"last_run,omitempty"`
	Recent   []RunState            `json:"recent,omitempty"`
}

// ProcedureView is a procedure as it stands now.
type ProcedureView struct {
	Resource Resource[ProcedureConfig] `json:"resource"`
	State    string                    `json:"state"` // Running, Ok, Failed, Unknown
	LastRun  *Run                      `json:"last_run,omitempty"`
	Recent   []RunState                `json:"recent,omitempty"`
}

// Verdict says what became of a webhook delivery.
type Verdict string

// The verdicts on deliveries.
const (
	VerdictAccepted  Verdict = "accepted"  // started a run
	VerdictDuplicate Verdict = "duplicate" // the same delivery came before
	VerdictIgnored   Verdict = "ignored"   // authentic, but nothing to do: the reason says why
	VerdictRefused   Verdict = "refused"   // not authentic or not understood
)

// Delivery is one received webhook and what was decided about it.
type Delivery struct {
	ID       string  `json:"id"`
	Received int64   `json:"received"`         // unix ms
	From     string  `json:"from"`             // peer address
	Provider string  `json:"provider"`         // github, gitlab: as in the URL
	Forge    string  `json:"forge"`            // GitHub, Gitea, Forgejo, GitLab: by its headers
	Event    string  `json:"event"`            // push, ping, ...
	Unique   string  `json:"unique,omitempty"` // the forge's delivery id
	Path     string  `json:"path"`
	Target   Target  `json:"target"`
	Action   string  `json:"action"`
	Cause    Cause   `json:"cause"`
	Verdict  Verdict `json:"verdict"`
	Reason   string  `json:"reason"`
	Run      string  `json:"run,omitempty"`
	Size     int     `json:"size"`            // of the body in bytes
	Took     int64   `json:"took_us"`         // microseconds until the answer
	Again    string  `json:"again,omitempty"` // id of the delivery that this one repeats
	Body     []byte  `json:"body,omitempty"`  // kept of authentic ones, to send them again
}

// RunFilter selects runs. Zero fields do not restrict.
type RunFilter struct {
	Kind    string     // of the target
	Target  string     // id of the target
	Server  string     // id
	Action  string     //
	States  []RunState //
	Parent  string     // id; "-" for top-level runs only
	Text    string     // in action, target, message
	Before  uint64     // number: older than this one
	Limit   int        // 0 = 50
	Actor   string     // id
	Failed  *bool      // ended badly, or not
	Cause   string     // Cause.Kind
	Commit  string     // prefix
	From    int64      // queued at or after, unix ms
	Pending bool       // not ended
	// Only reports whether whoever asks may see runs of the target; nil is all.
	Only func(t Target) bool `json:"-"`
}

// Change says what to look at again; it does not say what changed. Topic is
// "run", "server", "stack", "repo", "procedure", "variable" or "delivery".
type Change struct {
	Topic string `json:"topic"`
	ID    string `json:"id"`
}

// RepoState is what the last pull of a repo left behind.
type RepoState struct {
	Cloned   CommitInfo `json:"cloned"`
	PulledAt int64      `json:"pulled_at"` // unix ms
	Built    CommitInfo `json:"built,omitzero"`
	BuiltAt  int64      `json:"built_at,omitempty"` // unix ms
}
