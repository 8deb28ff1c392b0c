package api

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"berth/core/access"
	"berth/schema"
)

// Schedules are the times at which procedures and actions run by themselves.
type Schedules interface {
	List() []schema.ScheduleView
}

func (a *API) scheduleRows() []Row {
	return []Row{
		Read(spec{name: "ListSchedules", doc: "List schedules with their next run.", needs: access.CanRead, filters: true, example: map[string]any{"sort_by": "NextRun"}}, a.listSchedules),
	}
}

type schedulesParams struct {
	Tags     schema.StrList `json:"tags,omitempty" doc:"Only of resources with these tags: names or ids."`
	Behavior string         `json:"tag_behavior,omitempty" doc:"All (default) or Any of the tags."`
	Terms    schema.StrList `json:"terms,omitempty" doc:"Only of resources whose name has all of these parts."`
	Page     int            `json:"page,omitempty" doc:"Page, from 0."`
	Limit    *int           `json:"limit,omitempty" doc:"Schedules per page; 50 when absent, all when 0."`
	SortBy   string         `json:"sort_by,omitempty" doc:"Name, Schedule, NextRun or Enabled."`
	SortDesc bool           `json:"sort_desc,omitempty" doc:"Last first."`
}

// scheduleItem has the members of Komodo's list item, and what was missed.
type scheduleItem struct {
	Target    schema.ResourceTarget `json:"target"`
	Name      string                `json:"name"`
	Format    string                `json:"schedule_format"`
	Schedule  string                `json:"schedule"`
	Enabled   bool                  `json:"enabled"`
	Zone      string                `json:"schedule_timezone"`
	LastRun   *int64                `json:"last_run_at"`
	NextRun   *int64                `json:"next_scheduled_run"`
	Error     *string               `json:"schedule_error"`
	Tags      []string              `json:"tags"`
	Missed    *int64                `json:"last_missed_at"`
	MissedWhy *string               `json:"last_missed_reason"`
}

func (a *API) listSchedules(ctx context.Context, p schedulesParams) ([]scheduleItem, error) {
	match, err := a.matcher(ctx, resourceQuery{Tags: p.Tags, Behavior: p.Behavior, Terms: p.Terms})
	if err != nil {
		return nil, err
	}
	may := readable(ctx)
	last := map[string]*int64{}
	for _, kind := range []string{"procedure", "action"} {
		infos, err := a.infos(kind)(ctx, nil)
		if err != nil {
			return nil, err
		}
		for id, i := range infos {
			switch item := i.item.(type) {
			case procedureItem:
				last[id] = item.LastRun
			case actionItem:
				last[id] = item.LastRun
			}
		}
	}
	out := []scheduleItem{}
	for _, v := range a.schedules() {
		if (may == nil || may(v.Target)) && match(rawResource{Name: v.Target.Name, ID: v.Target.ID, Tags: v.Tags}, info{}) {
			out = append(out, scheduleItem{
				Target: schema.ResourceTarget{Type: schema.TypeOf(v.Target.Kind), ID: v.Target.ID}, Name: v.Target.Name,
				Format: v.Format, Schedule: v.Schedule, Enabled: v.Enabled, Zone: v.Zone, LastRun: cmp.Or(last[v.Target.ID], orNone(v.Last)),
				NextRun: orNone(v.Next), Error: orNull(v.Problem), Tags: a.tagIDs(v.Tags), Missed: orNone(v.Missed), MissedWhy: orNull(v.MissedWhy),
			})
		}
	}
	sortSchedules(out, p.SortBy)
	if p.SortDesc {
		slices.Reverse(out)
	}
	return pageOf(out, p.Page, p.Limit)
}

func sortSchedules(list []scheduleItem, by string) {
	slices.SortFunc(list, func(x, y scheduleItem) int {
		first := 0
		switch by {
		case "Schedule":
			first = strings.Compare(x.Schedule, y.Schedule)
		case "Enabled":
			first = strings.Compare(map[bool]string{true: "a", false: "b"}[x.Enabled], map[bool]string{true: "a", false: "b"}[y.Enabled])
		case "NextRun":
			first = compareTimes(x.NextRun, y.NextRun)
		}
		return cmp.Or(first, strings.Compare(x.Name, y.Name), strings.Compare(x.Target.Type, y.Target.Type))
	})
}

// compareTimes puts what has no time last.
func compareTimes(x, y *int64) int {
	switch {
	case x == nil && y == nil:
		return 0
	case x == nil:
		return 1
	case y == nil:
		return -1
	}
	return cmp.Compare(*x, *y)
}

// orNone is a time, or null when there is none.
func orNone(at int64) *int64 {
	if at == 0 {
		return nil
	}
	return &at
}

func (a *API) schedules() []schema.ScheduleView {
	if a.deps.Schedules == nil {
		return nil
	}
	return a.deps.Schedules.List()
}

// scheduled are the schedules of a kind's resources, by id.
func (a *API) scheduled(kind string) map[string]schema.ScheduleView {
	out := map[string]schema.ScheduleView{}
	for _, v := range a.schedules() {
		if v.Target.Kind == kind {
			out[v.Target.ID] = v
		}
	}
	return out
}
