package api

import (
	"context"

	"berth/schema"
)

// maxTail and defaultTail bound log lines, as Komodo does.
const (
	maxTail     = 5000
	defaultTail = 50
)

// tailOf is how many lines are meant.
func tailOf(tail *int) int {
	if tail == nil {
		return defaultTail
	}
	return min(max(*tail, 0), maxTail)
}

// searchOf is what a search looks for. Komodo's combinator is Or when absent.
func searchOf(terms []string, combinator string, invert bool) (*schema.LogSearch, error) {
	if combinator != "" && combinator != "Or" && combinator != "And" {
		return nil, schema.Errorf(schema.Invalid, "combinator %q: it is Or or And", cut(combinator, 40))
	}
	return &schema.LogSearch{Terms: terms, All: combinator == "And", Invert: invert}, nil
}

// readLog asks a server for log lines and puts the answer in Komodo's form.
func readLog[Req any](ctx context.Context, a *API, server schema.Target, q schema.Query[Req, schema.StackLogResp], req Req, stage string) (Log, error) {
	began := a.deps.Now()
	res, err := ask(ctx, a, server, q, req, "read a log")
	if err != nil {
		return Log{}, err
	}
	return Log{
		Stage: stage, Stdout: res.Stdout, Stderr: res.Stderr, Success: true,
		Started: began.UnixMilli(), Ended: a.deps.Now().UnixMilli(),
	}, nil
}
