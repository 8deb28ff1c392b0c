package api

import (
	"context"
	"time"

	"berth/core/access"
	"berth/schema"
)

// History is what hosts used.
type History interface {
	// Page returns records of stretches of a length, newest first, and whether there
	// are older ones.
	Page(ctx context.Context, server string, length time.Duration, page int) (list []schema.HostRecord, more bool, err error)
}

// peripheryInfo is what an agent says of itself, with Komodo's members.
type peripheryInfo struct {
	Version     string  `json:"version"`
	PublicKey   string  `json:"public_key"`
	NoTerminals bool    `json:"terminals_disabled"`
	NoContainer bool    `json:"container_terminals_disabled"`
	Rate        string  `json:"stats_polling_rate"`
	Docker      bool    `json:"docker_connected"`
	PublicIP    *string `json:"public_ip"`
}

// minimalStats are those in lists: disks are only summed up.
type minimalStats struct {
	schema.HostUse
	MemFree   float64 `json:"mem_free_gb"`
	DiskTotal float64 `json:"disk_total_gb"`
	DiskUsed  float64 `json:"disk_used_gb"`
	Rate      string  `json:"polling_rate"`
	At        int64   `json:"refresh_ts"`
	ListedAt  int64   `json:"refresh_list_ts"`
}

type historyQuery struct {
	Server string `json:"server" alias:"id,name" doc:"Name or id."`
	Length string `json:"granularity" doc:"Length of time of each record: 15-sec, 1-min, 5-min, 1-hr, 1-day, …"`
	Page   int    `json:"page,omitempty" doc:"Page of 200 lengths of time, from 0, which is the newest."`
}

type historyPage struct {
	Stats []schema.HostRecord `json:"stats"`
	Next  *int                `json:"next_page"`
}

// hostRows tell what the machines of servers are and use.
func (a *API) hostRows() []Row {
	one := map[string]any{"server": "my-server"}
	return []Row{
		Read(spec{
			name: "GetPeripheryInformation", needs: access.CanRead, kind: "server", doc: "Say what the agent of a server is.", example: one,
		}, a.periphery),
		Read(spec{
			name: "GetSystemInformation", needs: access.CanRead, kind: "server", doc: "Say what the machine of a server is.", example: one,
		}, func(ctx context.Context, p serverRef) (schema.HostInfo, error) {
			v, err := a.present(ctx, p.Server)
			if err != nil || v.Status.Host == nil {
				return schema.HostInfo{}, orSilent(err, v, "its machine")
			}
			return *v.Status.Host, nil
		}),
		Read(spec{
			name: "GetSystemStats", needs: access.CanRead, kind: "server", doc: "Say what the machine of a server uses now.", example: one,
		}, func(ctx context.Context, p serverRef) (schema.HostStats, error) {
			v, err := a.present(ctx, p.Server)
			if err != nil || v.Status.Stats == nil {
				return schema.HostStats{}, orSilent(err, v, "what its machine uses")
			}
			return *v.Status.Stats, nil
		}),
		Read(spec{
			name: "ListSystemProcesses", needs: access.CanRead, also: access.Processes, kind: "server",
			doc: "List the processes of a server's machine, busiest first.", example: one,
		}, func(ctx context.Context, p serverRef) (schema.List[schema.HostProcess], error) {
			t, err := a.reachable(ctx, p.Server)
			if err != nil {
				return nil, err
			}
			return ask(ctx, a, t, schema.HostProcesses, struct{}{}, "list the processes")
		}),
		Read(spec{
			name: "GetHistoricalServerStats", needs: access.CanRead, kind: "server",
			doc: "Say what the machine of a server used, page by page, newest first.", example: map[string]any{"server": "my-server", "granularity": "5-min"},
		}, a.hostHistory),
	}
}

// present is a server whose agent is here.
func (a *API) present(ctx context.Context, key string) (schema.ServerView, error) {
	v, err := a.server(ctx, key)
	if err == nil && (!v.Online || v.Status == nil) {
		err = schema.Errorf(schema.Unavailable, "server %q: %s", v.Resource.Name, serverTrouble(v))
	}
	return v, err
}

// orSilent is the error of an agent that does not say something.
func orSilent(err error, v schema.ServerView, what string) error {
	if err != nil {
		return err
	}
	return schema.Errorf(schema.Unavailable, "the agent of server %q (%s) has not said %s: wait a moment, or update it", v.Resource.Name, v.Status.Version, what)
}

func (a *API) periphery(ctx context.Context, p serverRef) (peripheryInfo, error) {
	v, err := a.present(ctx, p.Server)
	if err != nil {
		return peripheryInfo{}, err
	}
	out := peripheryInfo{Version: v.Status.Version, PublicKey: v.Key, NoTerminals: true, NoContainer: true, Docker: v.Status.Engine.Error == "", Rate: "15-sec"}
	if v.Status.Stats != nil {
		out.Rate = v.Status.Stats.Rate
	}
	return out, nil
}

func (a *API) hostHistory(ctx context.Context, p historyQuery) (historyPage, error) {
	length, err := schema.ParseTimelength(p.Length)
	if err != nil {
		return historyPage{}, schema.Wrap(schema.Invalid, err, "granularity")
	}
	t, err := a.reachable(ctx, p.Server)
	if err != nil {
		return historyPage{}, err
	}
	page := min(max(p.Page, 0), 1_000_000)
	list, more, err := a.deps.History.Page(ctx, t.ID, length, page)
	out := historyPage{Stats: list}
	if out.Stats == nil {
		out.Stats = []schema.HostRecord{}
	}
	if next := page + 1; more {
		out.Next = &next
	}
	return out, err
}

// minimal is a sample as lists have it; nil when there is none.
func minimal(s *schema.HostStats) *minimalStats {
	if s == nil {
		return nil
	}
	out := minimalStats{HostUse: s.HostUse, MemFree: s.MemFree, Rate: s.Rate, At: s.At, ListedAt: s.ListedAt}
	out.DiskUsed, out.DiskTotal = schema.DiskSum(s.Disks)
	return &out
}
