package api

import (
	"context"
	"encoding/json"
	"iter"
	"strings"
	"time"

	"berth/core/access"
	"berth/core/resource"
	"berth/schema"
)

// Edits are the records of changes of what is declared.
type Edits interface {
	// Record keeps one and returns it with its id.
	Record(ctx context.Context, e schema.Edit) (schema.Edit, error)
	Edits() []schema.Edit // newest first
	Edit(id string) (schema.Edit, error)
	// Watch yields what is recorded from now on.
	Watch(ctx context.Context) iter.Seq[schema.Change]
}

// changing is a change of a resource that is about to be made.
type changing struct {
	verb string // Create, Copy, Update, Rename, Delete
	kind resource.Any
	key  string // of the resource; empty when it is created
	by   schema.Actor
	from string // address
}

// tracked makes a change of a resource and records it, with the resource's TOML
// before and after. What changes nothing and what fails is not recorded. do returns
// the resource as it is afterwards; nil once it is deleted.
func (a *API) tracked(ctx context.Context, c changing, do func() (json.RawMessage, error)) (json.RawMessage, Update, error) {
	name := typeName(c.kind.Name())
	e := schema.Edit{Operation: c.verb + name, Actor: c.by, From: c.from, Began: a.deps.Now().UnixMilli()}
	switch {
	case c.verb == "Copy":
		e.Operation = "Create" + name
	case e.Operation == "UpdateVariable": // Komodo knows no other change of one
		e.Operation = "UpdateVariableValue"
	}
	whole := "" // with secrets: only to see whether anything changes
	if c.key != "" && c.verb != "Copy" {
		t, err := c.kind.Find(c.key)
		if err != nil {
			return nil, Update{}, err
		}
		e.Target, e.Before, whole = t, a.tomlOf(ctx, t, false), a.tomlOf(ctx, t, true)
	}
	raw, err := do()
	if err != nil {
		return nil, Update{}, err
	}
	if raw != nil {
		r, err := readResource(raw)
		if err != nil {
			return nil, Update{}, err
		}
		was := e.Target.Name
		e.Target = r.Target(c.kind.Name())
		e.After = a.tomlOf(ctx, e.Target, false)
		switch same := a.tomlOf(ctx, e.Target, true) == whole; {
		case was != "" && was != r.Name:
			e.Note = was + " → " + r.Name
		case !same && e.After == e.Before:
			e.Note = "a secret changed"
		case same:
			e.Ended = a.deps.Now().UnixMilli()
			return raw, updateOfEdit(e), nil
		}
	}
	e.Ended = a.deps.Now().UnixMilli()
	e = a.record(ctx, e)
	return raw, updateOfEdit(e), nil
}

// edited is tracked for a change that the request's caller makes.
func (a *API) edited(ctx context.Context, verb string, k resource.Any, key string, do func() (json.RawMessage, error)) (json.RawMessage, Update, error) {
	who, _ := access.CallerOf(ctx)
	return a.tracked(ctx, changing{verb: verb, kind: k, key: key, by: who.Actor, from: who.Peer}, do)
}

// done records a change that is complete with its answer and is not one of a
// resource's settings; without a target it is one of core as a whole.
func (a *API) done(ctx context.Context, operation string, t schema.Target, began time.Time, text string) Update {
	who, _ := access.CallerOf(ctx)
	return updateOfEdit(a.record(ctx, schema.Edit{
		Operation: operation, Target: t, Actor: who.Actor, From: who.Peer, Began: began.UnixMilli(), Ended: a.deps.Now().UnixMilli(), Note: text,
	}))
}

// record keeps a record. The change is made already: that it cannot be recorded is
// for the log.
func (a *API) record(ctx context.Context, e schema.Edit) schema.Edit {
	noteChange(ctx, e)
	if a.deps.Edits == nil {
		return e
	}
	kept, err := a.deps.Edits.Record(context.WithoutCancel(ctx), e)
	if err != nil {
		a.deps.Log.Error("record a change", "operation", e.Operation, "target", e.Target.Name, "err", err)
	}
	return kept
}

// tomlOf is a resource as a file has it, secrets masked or in clear.
func (a *API) tomlOf(ctx context.Context, t schema.Target, secrets bool) string {
	text, err := a.deps.Kinds.Export(ctx, resource.ExportOptions{Targets: []schema.Target{{Kind: t.Kind, ID: t.ID}}, Secrets: secrets})
	if err != nil {
		return ""
	}
	return text
}

// updateOfEdit is a record as Komodo's clients read it.
func updateOfEdit(e schema.Edit) Update {
	operator, _ := operatorOf(e.Actor)
	u := Update{
		Operation: e.Operation, Started: e.Began, Ended: &e.Ended, Success: true, Operator: operator, Target: wireTarget(e.Target),
		Status: "Complete", Logs: []Log{}, Other: e.Note,
	}
	if e.Target.Kind == "variable" || e.Target.Kind == "user_group" { // no targets of the wire
		u.Target = target{Type: "System", ID: "system"}
	}
	if e.ID != "" {
		u.ID = &oid{e.ID}
	}
	stage := func(name, text string) {
		u.Logs = append(u.Logs, Log{Stage: name, Stdout: text, Success: true, Started: e.Began, Ended: e.Ended})
	}
	switch {
	case strings.HasPrefix(e.Operation, "Create") && e.After != "":
		stage(spaced(e.Operation), e.Target.Name)
		stage("Config", e.After)
	case strings.HasPrefix(e.Operation, "Delete") && e.Before != "":
		stage(spaced(e.Operation), e.Target.Name)
		stage("Deleted Toml", e.Before)
	case e.Note != "":
		stage(spaced(e.Operation), e.Note)
	default:
		u.Prev, u.Current = e.Before, e.After
		stage(spaced(e.Operation), e.Target.Name)
	}
	return u
}

func itemOfEdit(e schema.Edit) UpdateItem {
	u := updateOfEdit(e)
	_, name := operatorOf(e.Actor)
	return UpdateItem{
		ID: e.ID, Operation: u.Operation, Started: u.Started, Success: true, Username: name, Operator: u.Operator, Target: u.Target,
		Status: u.Status, Other: u.Other,
	}
}

// spaced turns CreateStack into Create Stack.
func spaced(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// edit returns a record that the caller may read.
func (a *API) edit(ctx context.Context, id string) (schema.Edit, error) {
	if a.deps.Edits == nil {
		return schema.Edit{}, schema.Errorf(schema.NotFound, "no run %q", cut(id, 40))
	}
	e, err := a.deps.Edits.Edit(id)
	if err != nil {
		return e, noChange(id)
	}
	return e, unseen(ctx, permitEdit(ctx, e), e.Target, func() error { return noChange(id) })
}

func noChange(id string) error {
	return schema.Errorf(schema.NotFound, "no run and no change %q", cut(id, 40))
}

// permitEdit says whether the caller may read a record: as what it is about, and
// what belongs to core as a whole, or is gone, as an administrator.
func permitEdit(ctx context.Context, e schema.Edit) error {
	if e.Target.ID == "" || e.Target.Kind == "variable" || e.Target.Kind == "user_group" {
		return access.Permit(ctx, access.IsAdmin, schema.Target{})
	}
	return access.Permit(ctx, access.CanRead, e.Target)
}

// edits are the records that the caller may read, newest first.
func (a *API) edits(ctx context.Context) []schema.Edit {
	if a.deps.Edits == nil {
		return nil
	}
	var out []schema.Edit
	for _, e := range a.deps.Edits.Edits() {
		if permitEdit(ctx, e) == nil {
			out = append(out, e)
		}
	}
	return out
}

// history yields runs and records as one list, newest first.
func (a *API) history(ctx context.Context, runs []*schema.Run) iter.Seq[UpdateItem] {
	edits := a.edits(ctx)
	return func(yield func(UpdateItem) bool) {
		for len(runs) > 0 || len(edits) > 0 {
			var item UpdateItem
			if len(edits) == 0 || len(runs) > 0 && runs[0].Queued >= edits[0].Began {
				item, runs = itemOf(runs[0]), runs[1:]
			} else {
				item, edits = itemOfEdit(edits[0]), edits[1:]
			}
			if !yield(item) {
				return
			}
		}
	}
}

// news yields which runs and records are new or changed, until ctx ends.
func (a *API) news(ctx context.Context) iter.Seq[schema.Change] {
	runs := a.deps.Engine.Watch(ctx)
	if a.deps.Edits == nil {
		return runs
	}
	ch := gathered(ctx, runs, a.deps.Edits.Watch(ctx))
	return func(yield func(schema.Change) bool) {
		for {
			select {
			case c := <-ch:
				if !yield(c) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// gathered hands on what each of the sequences yields, until ctx ends.
func gathered(ctx context.Context, all ...iter.Seq[schema.Change]) <-chan schema.Change {
	ch := make(chan schema.Change)
	for _, seq := range all {
		go func() { // ends with ctx
			for c := range seq {
				select {
				case ch <- c:
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	return ch
}
