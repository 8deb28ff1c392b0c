package api

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"

	"berth/core/access"
	"berth/core/run"
	"berth/schema"
)

// executionRows are the engine's actions. Those over many resources answer one
// item per resource; every other answers the Update of the run it started.
func (a *API) executionRows() []Row {
	var rows []Row
	byName := map[string]run.Action{}
	for _, act := range a.deps.Engine.Actions() {
		byName[act.Name] = act
	}
	for _, act := range a.deps.Engine.Actions() {
		single, isBatch := byName[strings.TrimPrefix(act.Name, "Batch")]
		switch {
		case act.Name == "CancelProcedure", act.Name == "CancelAction", act.Name == "None": // the first are rows of their own
		case isBatch && single.Name != act.Name:
			rows = append(rows, a.batchRow(act, single))
		default:
			rows = append(rows, a.executionRow(act))
		}
	}
	return rows
}

// actionParams lists the parameters of an action; the one that names the target
// is required and comes first.
func actionParams(act run.Action) []Param {
	var list []Param
	if act.Params != nil {
		list = paramsOf(deref(reflect.TypeOf(act.Params)))
	}
	out := []Param{}
	if act.Param != "" && act.Kind != "" {
		out = append(out, Param{Name: act.Param, Type: "string", Required: true, Doc: "Name or id."})
	}
	for _, p := range list {
		if p.Name != act.Param {
			out = append(out, p)
		}
	}
	return out
}

func (a *API) executionRow(act run.Action) Row {
	example := map[string]any{}
	for _, p := range actionParams(act) {
		switch {
		case p.Name == act.Param:
			example[p.Name] = "my-" + act.Kind
		case p.Required && p.Type == "integer":
			example[p.Name] = 1000
		case p.Required:
			example[p.Name] = "…"
		}
	}
	return Row{
		Group: GroupExecute, Name: act.Name, Doc: act.Doc, Needs: needsOf(act), Kind: act.Kind, Filters: act.Open,
		Params: actionParams(act), Example: example, Result: func(s *shapes) any { return s.of(reflect.TypeFor[Update]()) },
		handle: func(ctx context.Context, raw json.RawMessage) (any, error) {
			r, err := a.start(ctx, act, raw)
			if err != nil {
				return nil, err
			}
			return updateOf(r), nil
		},
	}
}

// needsOf is what an action asks of who starts it.
func needsOf(act run.Action) access.Level {
	if act.Admin {
		return access.IsAdmin
	}
	if act.Needs != "" {
		return act.Needs
	}
	return access.CanExec
}

// start checks parameters and permission and starts a run.
func (a *API) start(ctx context.Context, act run.Action, raw json.RawMessage) (*schema.Run, error) {
	keys := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &keys); err != nil {
		return nil, schema.Errorf(schema.Invalid, "%s: the parameters are not a JSON object", act.Name)
	}
	if err := checkParams(act, keys); err != nil {
		return nil, err
	}
	t := schema.Target{Kind: "system", ID: "system", Name: "system"}
	if act.Kind != "" && act.Param != "" {
		var key string
		_ = json.Unmarshal(keys[act.Param], &key) // checked above
		k, err := a.deps.Kinds.Kind(act.Kind)
		if err != nil {
			return nil, err
		}
		if t, err = k.Find(key); err != nil {
			return nil, err
		}
		keys[act.Param], _ = json.Marshal(t.ID) // a plain string
	}
	params, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	return a.startOn(ctx, act.Name, t, params)
}

// startOn starts an action on a target for the caller, if the engine finds that he
// may, to begin when some runs have ended. The run outlives the request.
func (a *API) startOn(ctx context.Context, action string, t schema.Target, params json.RawMessage, after ...string) (*schema.Run, error) {
	c, ok := access.CallerOf(ctx)
	if !ok {
		return nil, schema.Errorf(schema.Unauthenticated, "not signed in")
	}
	return a.deps.Engine.Start(context.WithoutCancel(ctx), run.StartReq{
		Action: action, Target: t, Params: params, Actor: c.Actor, Starter: c.Starter(), Cause: schema.Cause{Kind: c.Via}, Parent: c.Run, Root: c.Root, After: after,
	})
}

// checkParams refuses missing parameters and those of the wrong type; unknown
// ones are dropped.
func checkParams(act run.Action, keys map[string]json.RawMessage) error {
	known := map[string]bool{}
	for _, p := range actionParams(act) {
		known[p.Name] = true
		v, given := keys[p.Name]
		if !given || string(v) == "null" {
			delete(keys, p.Name)
			if p.Required {
				return of(act.Name, lacking(p.Name, actionParams(act), keys))
			}
			continue
		}
		var text string
		if p.Type == "string" && json.Unmarshal(v, &text) != nil || p.Name == act.Param && json.Unmarshal(v, &text) != nil {
			return schema.Errorf(schema.Invalid, "%s: parameter %q: want a string, have %s", act.Name, p.Name, cut(string(v), 60))
		}
	}
	for k := range keys {
		if !known[k] {
			delete(keys, k)
		}
	}
	if act.Params == nil {
		return nil
	}
	into := reflect.New(deref(reflect.TypeOf(act.Params))).Interface()
	all, err := json.Marshal(keys)
	if err == nil {
		err = json.Unmarshal(all, into)
	}
	if err != nil {
		return schema.Errorf(schema.Invalid, "%s: parameters: %v", act.Name, err)
	}
	return nil
}

// batchItem is what became of one resource of a batch.
type batchItem struct {
	Status string `json:"status"` // Ok, Err
	Data   any    `json:"data"`
}

type batchProblem struct {
	Name  string  `json:"name"`
	Error problem `json:"error"`
}

type batchParams struct {
	Pattern string         `json:"pattern" doc:"Names, with * and ? as wildcards, separated by commas or newlines; \\…\\ is a regular expression."`
	Tags    schema.StrList `json:"tags,omitempty" doc:"Of these only resources with all the tags."`
}

func (a *API) batchRow(act, single run.Action) Row {
	return row(GroupExecute, spec{
		name: act.Name, doc: act.Doc, needs: access.CanExec, filters: true, example: map[string]any{"pattern": "web-*, db"},
	}, func(ctx context.Context, p batchParams) ([]batchItem, error) {
		k, err := a.deps.Kinds.Kind(single.Kind)
		if err != nil {
			return nil, err
		}
		tags, err := a.tagNames(ctx, p.Tags)
		if err != nil {
			return nil, err
		}
		targets, err := k.Match(p.Pattern, tags)
		if err != nil {
			return nil, err
		}
		first, last, err := a.order(ctx, executable(ctx, targets))
		if err != nil {
			return nil, err
		}
		b, out := batch{a: a, single: single}, []batchItem{}
		for _, t := range first {
			out = append(out, b.start(ctx, t))
		}
		b.after = b.started
		for _, t := range last {
			out = append(out, b.start(ctx, t))
		}
		return out, nil
	})
}

// order puts last what contains Berth itself.
func (a *API) order(ctx context.Context, targets []schema.Target) (first, last []schema.Target, err error) {
	if a.deps.Order == nil {
		return targets, nil, nil
	}
	return a.deps.Order(ctx, targets)
}

// batch starts one action on many targets.
type batch struct {
	a       *API
	single  run.Action
	started []string // runs
	after   []string // runs that those to come wait for
}

func (b *batch) start(ctx context.Context, t schema.Target) batchItem {
	r, err := b.a.startOn(ctx, b.single.Name, t, config(b.single.Param, t.ID), b.after...)
	if err != nil {
		texts := trail(err)
		return batchItem{"Err", batchProblem{t.Name, problem{Error: texts[0], Trace: texts[1:], Code: schema.CodeOf(err)}}}
	}
	b.started = append(b.started, r.ID)
	return batchItem{"Ok", updateOf(r)}
}
