package sync

import (
	"encoding/json"
	"fmt"

	"berth/schema"
)

// Sizes in bytes of a plan that is stored. What a run records is deflated.
const (
	stateSize  = 400 << 10 // with the state of a sync, one message of its bucket
	recordSize = 3 << 20   // with a run
)

// fit leaves out of a plan that is too large to be stored what is only for show,
// the most dispensable first, until it fits, and says in a warning what that was.
// What is to be done stays; the whole plan is made again whenever somebody looks.
func fit(p schema.SyncPlan, most int) schema.SyncPlan {
	var cut string
	for _, leave := range []func(*schema.SyncPlan) string{
		func(*schema.SyncPlan) string { return "" }, clipFields, dropSame, dropFiles, dropFields, dropReasons,
	} {
		if what := leave(&p); what != "" {
			if cut != "" {
				cut += ", "
			}
			cut += what
		}
		if b, err := json.Marshal(p); err != nil || len(b) <= most {
			break
		}
	}
	if cut != "" {
		p.Issues = append(p.Issues[:len(p.Issues):len(p.Issues)], schema.SyncIssue{Warning: true, Text: fmt.Sprintf(
			"the plan is too large to be kept whole: left out here are %s; a plan made now (`berth plan`) shows them", cut)})
	}
	return p
}

// clipFields keeps of each setting only how it begins.
func clipFields(p *schema.SyncPlan) string {
	const most = 60
	clip := func(s string) string {
		if len(s) > most {
			return s[:most] + "…"
		}
		return s
	}
	for i := range p.Changes {
		for j := range p.Changes[i].Fields {
			f := &p.Changes[i].Fields[j]
			f.Old, f.New = clip(f.Old), clip(f.New)
		}
	}
	return "the rest of long settings"
}

// dropSame leaves out what stays as it is.
func dropSame(p *schema.SyncPlan) string {
	var changes []schema.SyncChange
	for _, c := range p.Changes {
		if c.Pending() || c.Op == "keep" {
			changes = append(changes, c)
		}
	}
	var deploys []schema.SyncDeploy
	for _, d := range p.Deploys {
		if d.What != "unchanged" {
			deploys = append(deploys, d)
		}
	}
	n := len(p.Changes) + len(p.Deploys) - len(changes) - len(deploys)
	if n == 0 {
		return ""
	}
	p.Changes, p.Deploys = append([]schema.SyncChange{}, changes...), append([]schema.SyncDeploy{}, deploys...)
	return fmt.Sprintf("%d that stay as they are", n)
}

func dropFiles(p *schema.SyncPlan) string {
	const few = 100
	n := len(p.Files) - few
	if n <= 0 {
		return ""
	}
	p.Files = p.Files[:few]
	return fmt.Sprintf("%d files", n)
}

func dropFields(p *schema.SyncPlan) string {
	n := 0
	for i := range p.Changes {
		n += len(p.Changes[i].Fields)
		p.Changes[i].Fields = nil
	}
	return fmt.Sprintf("%d settings that change", n)
}

// dropReasons keeps of changes and deploys not much more than their names.
func dropReasons(p *schema.SyncPlan) string {
	for i := range p.Changes {
		p.Changes[i].Reason = ""
	}
	for i := range p.Deploys {
		p.Deploys[i].Changes = nil
	}
	return "reasons"
}

// few bounds a plan that is too large for its state even without all that: what a
// look would find is then only told in part.
func few(p schema.SyncPlan, most int) schema.SyncPlan {
	const bytesEach = 300
	if b, err := json.Marshal(p); err != nil || len(b) <= most {
		return p
	}
	n := most / bytesEach / 2
	left := max(len(p.Changes)-n, 0) + max(len(p.Deploys)-n, 0)
	p.Changes, p.Deploys = p.Changes[:min(n, len(p.Changes))], p.Deploys[:min(n, len(p.Deploys))]
	p.Issues = append(p.Issues[:len(p.Issues):len(p.Issues)], schema.SyncIssue{Warning: true, Text: fmt.Sprintf("and %d more changes and deploys", left)})
	return p
}
