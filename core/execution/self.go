package execution

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"berth/core/run"
	"berth/schema"
)

// Hosts knows what agents last said of themselves and their containers; nil where
// nothing is known.
type Hosts interface {
	Host(server string) *schema.AgentStatus
}

// lastWord is why something is done after all others.
const lastWord = "last, because it contains Berth itself"

// placed is a target, and why it is done after all others, if it is.
type placed struct {
	schema.Target

	Last string `json:"last,omitempty"`
}

// lastOnes puts those targets last that contain the container of core, or of the
// agent that deploys them.
func (d *Deps) lastOnes(ctx context.Context, targets []schema.Target) ([]placed, error) {
	var first, last []placed
	for _, t := range targets {
		itself, err := d.itself(ctx, t)
		switch {
		case err != nil:
			return nil, err
		case itself:
			last = append(last, placed{t, lastWord})
		default:
			first = append(first, placed{Target: t})
		}
	}
	return slices.Concat(first, last), nil
}

// Order splits targets into those that are done at once, and those that are done
// when all of these have ended, because they contain Berth itself.
func (d *Deps) Order(ctx context.Context, targets []schema.Target) (first, last []schema.Target, err error) {
	list, err := d.lastOnes(ctx, targets)
	for _, t := range list {
		if t.Last == "" {
			first = append(first, t.Target)
		} else {
			last = append(last, t.Target)
		}
	}
	return first, last, err
}

// noteLast returns the targets that are done after all others, which stand at the
// end, and records why.
func noteLast(ctx context.Context, r *run.Run, targets []placed) ([]placed, error) {
	i := slices.IndexFunc(targets, func(t placed) bool { return t.Last != "" })
	if i < 0 {
		return nil, nil
	}
	var notes []string
	for _, t := range targets[i:] {
		notes = append(notes, t.Name+": "+t.Last)
	}
	dec := schema.Decision{What: "batch", Reason: fmt.Sprintf("%d match; %s", len(targets), strings.Join(notes, ", ")), Changes: notes}
	return targets[i:], r.Note(ctx, run.Note{Decision: &dec})
}

// itself reports whether a target's containers are known to be those of Berth.
func (d *Deps) itself(ctx context.Context, t schema.Target) (bool, error) {
	if t.Kind != "stack" || d.Hosts == nil {
		return false, nil
	}
	st, err := d.Stacks.Stack(ctx, t.ID)
	if err != nil {
		if schema.CodeOf(err) == schema.NotFound {
			return false, nil // its run says so
		}
		return false, err
	}
	last, err := d.Stacks.Deployed(ctx, t.ID)
	if err != nil {
		return false, err
	}
	host := d.Hosts.Host(st.Config.ServerID)
	if host == nil {
		return false, nil
	}
	project, core := projectOf(st, last), ownContainer()
	return slices.ContainsFunc(host.Containers, func(c schema.Container) bool {
		return c.Project == project && c.ID != "" && (c.ID == host.Self || c.ID == core)
	}), nil
}
