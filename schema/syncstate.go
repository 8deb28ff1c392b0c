package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// SyncStatus is how a resource sync stands; the words are Komodo's.
type SyncStatus string

// The states of a sync, worst last.
const (
	SyncOk      SyncStatus = "Ok"
	SyncPending SyncStatus = "Pending" // a run would do something
	SyncFailed  SyncStatus = "Failed"  // the source cannot be had, or has mistakes
	SyncSyncing SyncStatus = "Syncing" // a run goes on
	SyncUnknown SyncStatus = "Unknown" // nobody has looked yet, or it has no source
)

// SyncSource is where a plan's files come from: what makes it the same source as
// that of another plan.
type SyncSource struct {
	Kind   string `json:"kind"`             // git, host, contents; "" for none
	URL    string `json:"url,omitempty"`    // of the repository, without credentials
	Repo   string `json:"repo,omitempty"`   // "namespace/name", as the settings have it
	Branch string `json:"branch,omitempty"` //
	Root   string `json:"root,omitempty"`   // commit that the repository's history began with
	Digest string `json:"digest,omitempty"` // of the files that were read
}

// SyncFile is a file that was read, or could not be.
type SyncFile struct {
	Entry   string `json:"entry"` // the resource_path that led to it
	Path    string `json:"path"`  // relative to the source's root
	Text    string `json:"text,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// SyncIssue is a mistake in a file, which prevents a run, or a warning.
type SyncIssue struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Key     string `json:"key,omitempty"`
	Text    string `json:"text"`
	Warning bool   `json:"warning,omitempty"`
}

// String returns the issue as compilers write it.
func (i SyncIssue) String() string {
	at := i.File
	if i.Line > 0 {
		at += fmt.Sprintf(":%d", i.Line)
	}
	var parts []string
	for _, p := range []string{at, i.Key, i.Text} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ": ")
}

// SyncField is one setting that changes; secrets are masked, other resources are
// shown by name.
type SyncField struct {
	Key string `json:"key"`
	Old string `json:"old"`
	New string `json:"new"`
}

// SyncChange is what a plan does to one resource.
type SyncChange struct {
	Kind   string      `json:"kind"`
	ID     string      `json:"id,omitempty"`
	Name   string      `json:"name"`
	Op     string      `json:"op"`     // create, update, delete, unchanged, keep
	Reason string      `json:"reason"` // one sentence
	Fields []SyncField `json:"fields,omitempty"`
	File   string      `json:"file,omitempty"`
	Line   int         `json:"line,omitempty"`
	// Proposed and Current are the resource as a file has it; one is empty when it
	// is created or deleted.
	Proposed string `json:"proposed,omitempty"`
	Current  string `json:"current,omitempty"`
	// Server is where a deleted stack or deployment runs, when it is taken down first.
	Server  Target `json:"server,omitzero"`
	Destroy bool   `json:"destroy,omitempty"`
}

// Pending reports whether the change does something.
func (c SyncChange) Pending() bool {
	return c.Op == "create" || c.Op == "update" || c.Op == "delete"
}

// SyncDeploy is what a plan decided for a stack or deployment that files want
// deployed.
type SyncDeploy struct {
	Kind    string   `json:"kind"`
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Server  Target   `json:"server,omitzero"`
	What    string   `json:"what"`   // deploy, unchanged
	Reason  string   `json:"reason"` // one sentence
	Changes []string `json:"changes,omitempty"`
	// After are those, of the ones that are deployed too, that go before it.
	After []Target `json:"after,omitempty"`
	// Repo, Ref and Commit are what it is deployed from, where that is git.
	Repo    string `json:"repo,omitempty"`
	Ref     string `json:"ref,omitempty"`
	Commit  string `json:"commit,omitempty"`
	Message string `json:"message,omitempty"`
}

// Pending reports whether it is deployed.
func (d SyncDeploy) Pending() bool { return d.What == "deploy" }

// SyncPlan is everything that a run of a sync does at one commit, and why. It
// holds no secret.
type SyncPlan struct {
	Sync    Target       `json:"sync"`
	At      int64        `json:"at"` // unix ms
	Source  SyncSource   `json:"source"`
	Commit  string       `json:"commit,omitempty"`
	Message string       `json:"message,omitempty"` // the commit's first line
	Files   []SyncFile   `json:"files,omitempty"`
	Issues  []SyncIssue  `json:"issues,omitempty"`
	Changes []SyncChange `json:"changes"` // in the order in which they are applied
	Deploys []SyncDeploy `json:"deploys"` // every one that files want deployed
	// Problem says why there is no plan, or why it cannot be run.
	Problem *Problem `json:"problem,omitempty"`
	// Guard says why a run needs a confirmation of its deletes.
	Guard string `json:"guard,omitempty"`
}

// Empty reports whether a run would do nothing.
func (p SyncPlan) Empty() bool {
	return !slices.ContainsFunc(p.Changes, SyncChange.Pending) && !slices.ContainsFunc(p.Deploys, SyncDeploy.Pending)
}

// Counts says in numbers what a run does: "2 create, 1 delete, 3 deploy"; "nothing
// to do".
func (p SyncPlan) Counts() string {
	count := map[string]int{}
	for _, c := range p.Changes {
		if c.Pending() {
			count[c.Op]++
		}
	}
	for _, d := range p.Deploys {
		if d.Pending() {
			count["deploy"]++
		}
	}
	var parts []string
	for _, op := range []string{"create", "update", "delete", "deploy"} {
		if n := count[op]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, op))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "nothing to do")
}

// Text is the plan for people, line by line.
func (p SyncPlan) Text() string {
	var b strings.Builder
	if p.Commit != "" {
		fmt.Fprintf(&b, "commit %.8s %s\n", p.Commit, p.Message)
	}
	for _, i := range p.Issues {
		if i.Warning {
			b.WriteString("warning: ")
		}
		b.WriteString(i.String() + "\n")
	}
	if p.Problem != nil {
		text := p.Problem.Text
		if slices.ContainsFunc(p.Issues, func(i SyncIssue) bool { return !i.Warning }) { // they stand above
			text, _, _ = strings.Cut(text, ": ")
		}
		return b.String() + "no plan: " + text + "\n"
	}
	same := 0
	for _, c := range p.Changes {
		sign, ok := map[string]string{"create": "+", "update": "~", "delete": "-", "keep": "!"}[c.Op]
		if !ok {
			same++
			continue
		}
		fmt.Fprintf(&b, "%s %s %s: %s\n", sign, c.Kind, c.Name, c.Reason)
		for _, f := range c.Fields {
			if c.Op == "update" {
				fmt.Fprintf(&b, "    %s: %s → %s\n", f.Key, briefly(f.Old), briefly(f.New))
			}
		}
	}
	if same > 0 {
		fmt.Fprintf(&b, "= %d unchanged\n", same)
	}
	for _, d := range p.Deploys {
		sign := "="
		if d.Pending() {
			sign = ">"
		}
		fmt.Fprintf(&b, "%s %s %s %s: %s\n", sign, d.What, d.Kind, d.Name, d.Reason)
	}
	if p.Guard != "" {
		b.WriteString(p.Guard + "\n")
	}
	b.WriteString(p.Counts() + "\n")
	return b.String()
}

func briefly(s string) string {
	if s == "" {
		return `""`
	}
	line, _, more := strings.Cut(strings.TrimSpace(s), "\n")
	if r := []rune(line); len(r) > 80 {
		return string(r[:80]) + " …"
	}
	if more {
		return line + " …"
	}
	return line
}

// SyncRequest says what of a sync is to be planned.
type SyncRequest struct {
	Commit string   // instead of the newest
	Kind   string   // only resources of this kind; empty is all
	Names  []string // only these, by name or id; empty is all
}

// Narrow reports whether it is not all of the sync.
func (q SyncRequest) Narrow() bool { return q.Kind != "" || len(q.Names) > 0 }

// SyncState is how a sync stands, as it was looked at last.
type SyncState struct {
	Status    SyncStatus `json:"status"` // never Syncing: the runs tell that
	CheckedAt int64      `json:"checked_at,omitempty"`
	// Plan is what a run would do now, without texts of files and resources.
	Plan SyncPlan `json:"plan"`
	// Head is where the branch stood when it was looked at, Inputs a digest of all
	// else that the plan follows from: as long as both are the same, so is the plan.
	Head   string    `json:"head,omitempty"`
	Digest string    `json:"digest,omitempty"` // of what is pending
	Alert  string    `json:"alert,omitempty"`  // key of the alert that is open
	Last   *SyncDone `json:"last,omitempty"`   // the last good run
	// Declared is what the last plan without a mistake found declared, as kind/name:
	// while the source cannot be read, other syncs spare it all the same.
	Declared []string `json:"declared,omitempty"`
}

// SyncDone is what the last good run of a sync left behind.
type SyncDone struct {
	Run     string     `json:"run"`
	At      int64      `json:"at"` // unix ms
	Commit  string     `json:"commit,omitempty"`
	Message string     `json:"message,omitempty"`
	Source  SyncSource `json:"source"`
}

// SyncWritten is what was written back to a sync's source.
type SyncWritten struct {
	Commit  string   `json:"commit,omitempty"`
	Branch  string   `json:"branch,omitempty"`
	Message string   `json:"message"`
	Files   []string `json:"files,omitempty"`
}
