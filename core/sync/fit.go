package sync

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"berth/schema"
)

// Sizes in bytes of a plan that is stored. What a run records is deflated.
const (
	stateSize  = 400 << 10 // with the state of a sync, one message of its bucket
	recordSize = 3 << 20   // with a run
)

// fit leaves out of a slim plan that is too large to be stored what is only for
// show, the most dispensable first, until it fits, and says in a warning what that
// was. What is to be done stays, and its order; the whole plan is made again
// whenever somebody asks for one.
func fit(p schema.SyncPlan, most int) schema.SyncPlan {
	var cut []string
	for _, leave := range []func(*schema.SyncPlan) string{clipFields, dropSame, dropFiles, dropFields, dropReasons} {
		if sizeOf(p) <= most {
			break
		}
		if what := leave(&p); what != "" {
			cut = append(cut, what)
		}
	}
	if len(cut) > 0 {
		p.Issues = append(slices.Clip(p.Issues), schema.SyncIssue{Warning: true, Text: fmt.Sprintf(
			"the plan is too large to be kept whole: left out here are %s; a plan that is made now shows them", strings.Join(cut, ", "))})
	}
	return p
}

// sizeOf is how many bytes a plan takes.
func sizeOf(p schema.SyncPlan) int {
	b, err := json.Marshal(p)
	if err != nil {
		return 0 // plain data; who stores it says so
	}
	return len(b)
}

// clipFields keeps of each setting only how it begins.
func clipFields(p *schema.SyncPlan) string {
	const most = 60
	clip := func(s string) string {
		if len(s) > most {
			return strings.ToValidUTF8(s[:most], "") + "…"
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
	changes, deploys := []schema.SyncChange{}, []schema.SyncDeploy{}
	for _, c := range p.Changes {
		if c.Pending() || c.Op == "keep" {
			changes = append(changes, c)
		}
	}
	for _, d := range p.Deploys {
		if d.What != "unchanged" {
			deploys = append(deploys, d)
		}
	}
	n := len(p.Changes) + len(p.Deploys) - len(changes) - len(deploys)
	p.Changes, p.Deploys = changes, deploys
	if n == 0 {
		return ""
	}
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

// few bounds a plan for the state of a sync that is too large even so: what a look
// has found is then told only in part.
func few(p schema.SyncPlan, most int) schema.SyncPlan {
	total := len(p.Changes) + len(p.Deploys)
	for sizeOf(p) > most && len(p.Changes)+len(p.Deploys) > 0 {
		p.Changes, p.Deploys = p.Changes[:len(p.Changes)/2], p.Deploys[:len(p.Deploys)/2]
	}
	if left := total - len(p.Changes) - len(p.Deploys); left > 0 {
		p.Issues = append(slices.Clip(p.Issues), schema.SyncIssue{Warning: true, Text: fmt.Sprintf("%d more changes and deploys are left out", left)})
	}
	return p
}
