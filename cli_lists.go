package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth/core/api"
	"berth/schema"
)

func (p *program) listSchedules(ctx context.Context, f listFlags) error {
	type timetable struct {
		Target   schema.ResourceTarget `json:"target"`
		Name     string                `json:"name"`
		Schedule string                `json:"schedule"`
		Enabled  bool                  `json:"enabled"`
		NextRun  int64                 `json:"next_scheduled_run"`
		LastRun  int64                 `json:"last_run_at"`
		Error    string                `json:"schedule_error"`
		Tags     []string              `json:"tags"`
	}
	var raw []json.RawMessage
	if err := p.call(ctx, api.GroupRead, "ListSchedules", map[string]any{"limit": 0, "tags": append([]string{}, f.tags...)}, &raw); err != nil {
		return err
	}
	names, err := p.tagNames(ctx)
	if err != nil {
		return err
	}
	var list []timetable
	var kept []any
	for _, one := range raw {
		var s timetable
		if err := json.Unmarshal(one, &s); err != nil {
			return schema.Wrap(schema.Internal, err, "read the answer of ListSchedules")
		}
		fits, err := matches(f.names, s.Name)
		if err != nil {
			return err
		}
		if !fits || p.asKm() && !f.all && s.NextRun == 0 {
			continue
		}
		for n, t := range s.Tags {
			s.Tags[n] = cmp.Or(names[t], t)
		}
		v, err := withNames(one, s.Tags)
		if err != nil {
			return err
		}
		list, kept = append(list, s), append(kept, v)
	}
	if p.asJSON {
		return p.printJSON(append([]any{}, kept...))
	}
	slices.SortStableFunc(list, func(a, b timetable) int { return cmp.Or(nextFirst(a.NextRun, b.NextRun), cmp.Compare(a.Name, b.Name)) })
	header, rows := []string{"Name", "Type", "Next Run", "Last Run", "Schedule", "Tags"}, [][]string{}
	for _, s := range list {
		row := []string{s.Name, s.Target.Type, cmp.Or(s.Error, when(s.NextRun)), when(s.LastRun), s.Schedule, strings.Join(s.Tags, ", ")}
		if f.links {
			row = append(row, p.link(strings.ToLower(s.Target.Type)+"s", s.Name)) // of procedures and actions
		}
		rows = append(rows, row)
	}
	if f.links {
		header = append(header, "Link")
	}
	return p.table(header, rows)
}

// listTerminals lists the shells that are kept open.
func (p *program) listTerminals(ctx context.Context, f listFlags) error {
	type shell struct {
		Name    string  `json:"name"`
		Target  string  `json:"target_name"`
		Command string  `json:"command"`
		SizeKB  float64 `json:"stored_size_kb"`
		Created int64   `json:"created_at"`
	}
	var list []shell
	err := p.call(ctx, api.GroupRead, "ListTerminals", map[string]any{"use_names": true, "limit": 0}, &list)
	if schema.CodeOf(err) == schema.NotFound {
		return laterTerminals()
	}
	if err != nil {
		return err
	}
	kept := []shell{}
	for _, s := range list {
		fits, err := matches(f.names, s.Name)
		if err != nil {
			return err
		}
		if fits {
			kept = append(kept, s)
		}
	}
	if p.asJSON {
		return p.printJSON(kept)
	}
	var rows [][]string
	for _, s := range kept {
		rows = append(rows, []string{s.Name, s.Target, s.Command, fmt.Sprintf("%.1f KiB", s.SizeKB), when(s.Created)})
	}
	return p.table([]string{"Terminal", "Target", "Command", "Size", "Created"}, rows)
}

func (p *program) listAlerts(ctx context.Context) error {
	var answer struct {
		Alerts []json.RawMessage `json:"alerts"`
	}
	if err := p.call(ctx, api.GroupRead, "ListAlerts", nil, &answer); err != nil {
		return err
	}
	if p.asJSON {
		return p.printJSON(answer.Alerts)
	}
	var rows [][]string
	for _, raw := range answer.Alerts {
		var a struct {
			TS       int64  `json:"ts"`
			Level    string `json:"level"`
			Resolved bool   `json:"resolved"`
			Message  string `json:"message"`
			Data     struct {
				Type string `json:"type"`
			} `json:"data"`
		}
		if err := json.Unmarshal(raw, &a); err != nil {
			return schema.Wrap(schema.Internal, err, "read the answer of ListAlerts")
		}
		state := "open"
		if a.Resolved {
			state = "over"
		}
		rows = append(rows, []string{when(a.TS), a.Level, state, a.Data.Type, brief(a.Message)})
	}
	return p.table([]string{"When", "Level", "State", "Type", "Message"}, rows)
}

func (p *program) listVariables(ctx context.Context) error {
	type variable struct {
		Name        string `json:"name"`
		Value       string `json:"value"`
		Description string `json:"description"`
		IsSecret    bool   `json:"is_secret"`
	}
	l := listing{"ListVariables", nil, []string{"Variable", "Value", "Description"}}
	return show(ctx, p, l, func(v variable) []string { return []string{v.Name, brief(v.Value), v.Description} })
}

// listing is a request for a list, and how its table is headed.
type listing struct {
	request string
	params  any
	header  []string
}

// show prints what core answers to a listing: as JSON, or a row for each.
func show[T any](ctx context.Context, p *program, l listing, row func(T) []string) error {
	var list []T
	if err := p.call(ctx, api.GroupRead, l.request, l.params, &list); err != nil {
		return err
	}
	if p.asJSON {
		return p.printJSON(list)
	}
	var rows [][]string
	for _, v := range list {
		rows = append(rows, row(v))
	}
	return p.table(l.header, rows)
}

// when is a time as people read it; ms is unix milliseconds.
func when(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return time.UnixMilli(ms).Format("2006-01-02 15:04:05")
}
