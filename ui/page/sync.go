package page

import (
	"net/url"
	"strings"

	"berth/schema"
	"berth/ui/part"
)

// SyncView is a sync with what is pending.
type SyncView struct {
	ThingView
	Settings schema.SyncConfig
	State    schema.SyncState
	Busy     *schema.Run // a run of it that goes on
}

// SyncMark returns the mark of a sync.
func SyncMark(st schema.SyncState, busy *schema.Run) part.Mark {
	if busy != nil {
		return part.Mark{State: part.Live, Word: "syncing"}
	}
	switch st.Status {
	case schema.SyncOk:
		return part.Mark{State: part.OK, Word: "in sync"}
	case schema.SyncPending:
		return part.Mark{State: part.Warn, Word: "pending"}
	case schema.SyncFailed:
		return part.Mark{State: part.Bad, Word: "failed"}
	case schema.SyncSyncing:
		return part.Mark{State: part.Live, Word: "syncing"}
	case schema.SyncUnknown:
	}
	return part.Mark{State: part.Unknown, Word: "not looked at yet"}
}

// SyncSourceText says where a sync's files come from.
func SyncSourceText(c schema.SyncConfig, linked string) string {
	switch {
	case c.FilesOnHost:
		return "files on core's host"
	case linked != "":
		return "repo " + linked
	case c.Repo != "":
		return c.GitProvider + "/" + c.Repo + " at " + c.Branch
	case c.FileContents != "":
		return "text in Berth"
	}
	return "no source is set"
}

// Sync is the page of a sync.
func Sync(v SyncView) View {
	return thing(v.ThingView, Section{"sync-plan", syncPlan(v)})
}

// changes are the pending ones; deploys are those of stacks and deployments.
func (v SyncView) changes() []schema.SyncChange {
	var out []schema.SyncChange
	for _, c := range v.State.Plan.Changes {
		if c.Pending() {
			out = append(out, c)
		}
	}
	return out
}

func (v SyncView) deploys() []schema.SyncDeploy {
	var out []schema.SyncDeploy
	for _, d := range v.State.Plan.Deploys {
		if d.Pending() {
			out = append(out, d)
		}
	}
	return out
}

// rest is what nothing is done about, with its reason.
func (v SyncView) rest() []Fact {
	var out []Fact
	same := 0
	for _, c := range v.State.Plan.Changes {
		switch {
		case c.Op == "keep":
			out = append(out, Fact{c.Kind + " " + c.Name, c.Reason})
		case !c.Pending():
			same++
		}
	}
	for _, d := range v.State.Plan.Deploys {
		if !d.Pending() {
			out = append(out, Fact{d.Kind + " " + d.Name, d.What + ": " + d.Reason})
		}
	}
	if same > 0 {
		out = append(out, Fact{part.Count(same, "resource"), "as declared"})
	}
	return out
}

// pick is the value of a choice of the selection: name or id, and its kind.
func pick(kind, id, name string) string {
	if id == "" {
		id = name
	}
	return kind + "/" + id
}

func fileAt(file string, line int) string {
	if line > 0 {
		return file + ":" + part.Int(line)
	}
	return file
}

func syncPost(v SyncView) string { return "/syncs/" + url.PathEscape(v.Name) + "/run" }

// diffLines are the lines of a text, each with what became of it.
func diffLines(sign, text string) []string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		out = append(out, sign+" "+line)
	}
	return out
}

func opClass(op string) string { return "tag t-" + op }
