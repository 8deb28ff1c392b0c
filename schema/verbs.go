package schema

import (
	"strings"
	"time"
)

// What agents do. A new verb is a descriptor here, a function in periphery and a
// line in periphery/verbs.go.
var (
	// RepoResolve looks up the commit a branch stands at.
	RepoResolve = Job[RepoResolveReq, CommitInfo]{Name: "repo.resolve", Timeout: time.Minute, Repeatable: true}
	// RepoSync brings a repository's work tree to a commit.
	RepoSync = Job[RepoSyncReq, RepoSyncResp]{Name: "repo.sync", Timeout: 15 * time.Minute, Repeatable: true}
	// StackUp deploys a stack, or says that nothing changed.
	StackUp = Job[StackUpReq, StackUpResp]{Name: "stack.up", Timeout: 30 * time.Minute, Repeatable: true}
	// StackDo does one of compose's simple verbs to a deployed stack.
	StackDo = Job[StackDoReq, StackDoResp]{Name: "stack.do", Timeout: 15 * time.Minute, Repeatable: true}

	// StackLog reads the newest lines of a stack's containers.
	StackLog = Query[StackLogReq, StackLogResp]{Name: "stack.log"}
	// Ping answers with the agent's status.
	Ping = Query[struct{}, AgentStatus]{Name: "ping"}
)

// What agents ask of core.
var (
	// AskHello makes core prove who it is.
	AskHello = Ask[HelloReq, HelloResp]{Name: "hello"}
	// AskPending lists the commands that wait for the agent.
	AskPending = Ask[struct{}, PendingResp]{Name: "pending"}
	// AskBegin takes a command: only who holds the lease of its key may act.
	AskBegin = Ask[BeginReq, BeginResp]{Name: "begin"}
	// AskRenew keeps a lease and learns whether the work is still wanted.
	AskRenew = Ask[BeginReq, BeginResp]{Name: "renew"}
	// AskSee has core take the agent's status before anything else: what it reads then
	// is not older.
	AskSee = Ask[AgentStatus, struct{}]{Name: "see"}
	// AskSecrets fetches the values a begun command needs. They exist in memory only.
	AskSecrets = Ask[SecretsReq, SecretsResp]{Name: "secrets"}
)

// HelloReq challenges core with a nonce.
type HelloReq struct {
	Nonce []byte `json:"nonce"`
}

// HelloResp is the nonce signed by core's identity, and the agent's own name.
type HelloResp struct {
	Sig     []byte `json:"sig"`
	Server  Target `json:"server"`
	Version string `json:"version"`
}

// PendingResp lists commands, oldest first.
type PendingResp struct {
	Commands []Command `json:"commands"`
}

// BeginReq names a command; Fence is the lease it is held under when renewed.
type BeginReq struct {
	Command string `json:"command"`
	Fence   uint64 `json:"fence,omitempty"`
}

// BeginResp is core's answer to AskBegin and AskRenew.
type BeginResp struct {
	Verdict string `json:"verdict"` // go, held, gone, canceled
	Reason  string `json:"reason,omitempty"`
	Fence   uint64 `json:"fence,omitempty"`
	// Left is how long the work may take, in milliseconds from now.
	Left int64 `json:"left_ms,omitempty"`
	// TTL is how long the lease lives without a renewal, in milliseconds.
	TTL int64 `json:"ttl_ms,omitempty"`
}

// The verdicts of BeginResp.
const (
	VerdictGo       = "go"       // act; the lease is yours under Fence
	VerdictHeld     = "held"     // other work on the same key goes on; ask again
	VerdictGone     = "gone"     // nobody waits for this command any more: drop it
	VerdictCanceled = "canceled" // stop what you do
)

// SecretsReq asks for what a begun command needs: variables by name, and tokens
// of git and registry accounts ("github.com/me").
type SecretsReq struct {
	Command   string       `json:"command"`
	Variables []string     `json:"variables,omitempty"`
	Git       []AccountRef `json:"git,omitempty"`
	Registry  []AccountRef `json:"registry,omitempty"`
}

// AccountRef names an account at a provider (a git host or a registry).
type AccountRef struct {
	Provider string `json:"provider"`
	Account  string `json:"account"`
}

// SecretsResp answers SecretsReq. Names that core does not know are absent.
type SecretsResp struct {
	Variables map[string]VariableValue `json:"variables,omitempty"`
	Git       []AccountToken           `json:"git,omitempty"`
	Registry  []AccountToken           `json:"registry,omitempty"`
}

// VariableValue is a variable as an agent needs it.
type VariableValue struct {
	Value  string `json:"value"`
	Secret bool   `json:"secret,omitempty"`
}

// AccountToken is an account with its token.
type AccountToken struct {
	AccountRef
	Token string `json:"token"`
	HTTP  bool   `json:"http,omitempty"` // the provider speaks plain http
}

// CommitInfo is a commit of a repository.
type CommitInfo struct {
	Commit  string `json:"commit"`
	Message string `json:"message,omitempty"` // first line
	Author  string `json:"author,omitempty"`
}

// GitSource says where sources come from and which commit is wanted.
type GitSource struct {
	Provider   string `json:"provider"` // host[:port], or a URL prefix with scheme
	HTTPS      bool   `json:"https"`
	Account    string `json:"account,omitempty"`
	Repo       string `json:"repo"` // namespace/name, or a whole URL
	Branch     string `json:"branch"`
	Commit     string `json:"commit,omitempty"`      // exactly this one, when set
	SSHKey     string `json:"ssh_key,omitempty"`     // name of the variable that holds the deploy key
	KnownHosts string `json:"known_hosts,omitempty"` // pinned host keys: text, or `[[VARIABLE]]`
	Submodules bool   `json:"submodules"`
}

// RepoResolveReq asks for the commit of a branch.
type RepoResolveReq struct {
	Source GitSource `json:"source"`
}

// RepoSyncReq brings a repository's clone to a commit.
type RepoSyncReq struct {
	Name      string        `json:"name"` // of the repo: its folder
	Path      string        `json:"path,omitempty"`
	Source    GitSource     `json:"source"`
	Reclone   bool          `json:"reclone,omitempty"`
	Clone     bool          `json:"clone,omitempty"` // as CloneRepo: hooks of a clone run as well
	OnClone   SystemCommand `json:"on_clone,omitzero"`
	OnPull    SystemCommand `json:"on_pull,omitzero"`
	Env       string        `json:"env,omitempty"`
	EnvFile   string        `json:"env_file,omitempty"`
	NoSecrets bool          `json:"no_secrets,omitempty"` // skip_secret_interp
}

// RepoSyncResp says what the clone stands at now.
type RepoSyncResp struct {
	CommitInfo
	Cloned  bool     `json:"cloned,omitempty"`
	Before  string   `json:"before,omitempty"` // commit it stood at
	Changed []string `json:"changed,omitempty"`
	Drift   []string `json:"drift,omitempty"` // local edits that were overwritten
}

// Deployed is what the last successful deploy of a stack left behind: what the
// next one is compared with. It holds digests, never contents of secrets.
type Deployed struct {
	Run      string            `json:"run"`
	Number   uint64            `json:"number"`
	At       int64             `json:"at"`
	Project  string            `json:"project"`
	Server   string            `json:"server"` // id
	Commit   string            `json:"commit,omitempty"`
	Message  string            `json:"message,omitempty"`
	Services []DeployedService `json:"services,omitempty"`
	Digest   string            `json:"digest"`
	// Dirty says why what runs is not what was deployed last: a later deploy failed
	// or was ended half way. The next one deploys whatever the digest says.
	Dirty  string                       `json:"dirty,omitempty"`
	Inputs map[string]map[string]string `json:"inputs,omitempty"` // service → input name → digest
	// Earlier are the images of the good deploys before, newest first, by name and id:
	// a prune keeps them to go back to.
	Earlier [][]string `json:"earlier,omitempty"`
}

// DeployedService is one service of a deployed stack.
type DeployedService struct {
	Name      string `json:"name"`
	Image     string `json:"image"`
	Container string `json:"container,omitempty"` // name of its first container
}

// StackUpReq deploys a stack.
type StackUpReq struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Number    uint64       `json:"number"`           // of the run
	Config    StackConfig  `json:"config"`           // as stored; not interpolated
	Repo      *RepoSyncReq `json:"repo,omitempty"`   // of a linked repo
	Source    *GitSource   `json:"source,omitempty"` // of an inline repo, with the commit
	Services  []string     `json:"services,omitempty"`
	StopTime  *int         `json:"stop_time,omitempty"` // seconds
	IfChanged bool         `json:"if_changed,omitempty"`
	Last      *Deployed    `json:"last,omitempty"`
	// Resume says that an earlier attempt was interrupted: whatever stands half
	// way is to be finished.
	Resume bool `json:"resume,omitempty"`
	// Core is the id of the container that core runs in, if it does.
	Core string `json:"core,omitempty"`
}

// StackUpResp is what became of it.
type StackUpResp struct {
	Decision Decision   `json:"decision"`
	Deployed *Deployed  `json:"deployed,omitempty"` // nil when nothing was done
	Commit   CommitInfo `json:"commit,omitzero"`
	// Recreated lists the containers that are new; the others kept their ids.
	Recreated []string `json:"recreated,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
}

// StackDoReq does start, stop, restart, pause, unpause, down or pull.
type StackDoReq struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Project  string   `json:"project"`
	Verb     string   `json:"verb"`
	Services []string `json:"services,omitempty"`
	StopTime *int     `json:"stop_time,omitempty"` // seconds
	Orphans  bool     `json:"remove_orphans,omitempty"`
	// Up is set for pull, which needs the files.
	Up *StackUpReq `json:"up,omitempty"`
}

// StackDoResp says what it did.
type StackDoResp struct {
	Changed  []string `json:"changed,omitempty"` // containers
	Warnings []string `json:"warnings,omitempty"`
}

// StackLogReq asks for log lines.
type StackLogReq struct {
	Project    string   `json:"project"`
	Services   []string `json:"services,omitempty"`
	Tail       int      `json:"tail"`
	Timestamps bool     `json:"timestamps,omitempty"`
	// Search, if set, picks lines among the newest.
	Search *LogSearch `json:"search,omitempty"`
}

// LogSearch picks lines that have one of the terms, or all of them; or, inverted, the
// others. Terms are plain text, in any case.
type LogSearch struct {
	Terms  []string `json:"terms"`
	All    bool     `json:"all,omitempty"`
	Invert bool     `json:"invert,omitempty"`
}

// Picks reports whether a line is one of those that are looked for.
func (s LogSearch) Picks(line string) bool {
	line = strings.ToLower(line)
	missing := 0
	for _, t := range s.Terms {
		if !strings.Contains(line, strings.ToLower(t)) {
			missing++
		}
	}
	if s.All {
		return (missing == 0) != s.Invert
	}
	return (missing < len(s.Terms)) != s.Invert
}

// StackLogResp is the log, split as the containers wrote it.
type StackLogResp struct {
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
}
