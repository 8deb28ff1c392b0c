package main

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// item is a resource in a list, of any kind.
type item struct {
	ID   string   `json:"id"`
	Name string   `json:"name"`
	Tags []string `json:"tags"`
	Info struct {
		State     string `json:"state"`
		Server    string `json:"server_name"`
		ServerID  string `json:"server_id"`
		Swarm     string `json:"swarm_name"`
		Address   string `json:"address"`
		Version   any    `json:"version"`
		Link      string `json:"repo_link"`
		Hash      string `json:"cloned_hash"`
		Deployed  string `json:"deployed_hash"`
		Synced    string `json:"last_sync_hash"`
		Image     string `json:"image"`
		BuilderID string `json:"builder_id"`
		Builder   string `json:"builder_type"`
		Enabled   bool   `json:"enabled"`
		Endpoint  string `json:"endpoint_type"`
		NextRun   int64  `json:"next_scheduled_run"`
		LastRun   int64  `json:"last_run_at"`
	} `json:"info"`
}

// version is an agent's or a build's, as text.
func (i item) version() string {
	switch v := i.Info.Version.(type) {
	case string:
		return v
	case map[string]any:
		return fmt.Sprintf("%v.%v.%v", v["major"], v["minor"], v["patch"])
	}
	return ""
}

// kindTable is a kind that can be listed.
type kindTable struct {
	kind, request string
	aliases       []string
	header        []string
	row           func(i item) []string // tags come after it
	states        []string              // in their order
	good          []string              // those that are not down; none is all
	busy          []string              // while something is done to it
	usual         []string              // what km lists unless it is told; none is all
	part          bool                  // only looked at when it is asked for
}

// kindTables are the kinds with km's columns, and then ours.
func kindTables() []kindTable { return slices.Concat(placed(), made(), kept()) }

// placed are kinds that are somewhere, or places.
func placed() []kindTable {
	runs := []string{"running", "deploying"}
	return []kindTable{
		{
			kind: "servers", request: "ListServers", aliases: []string{"server", "sv"}, header: []string{"Server", "State", "Address", "Version"},
			row: func(i item) []string {
				return []string{i.Name, i.Info.State, cmp.Or(i.Info.Address, "inbound"), i.version()}
			},
			states: []string{"Ok", "NotOk", "Disabled"}, good: []string{"Ok"}, usual: []string{"Ok"},
		},
		{
			kind: "swarms", request: "ListSwarms", aliases: []string{"swarm", "sw"}, header: []string{"Swarm", "State"},
			row:    func(i item) []string { return []string{i.Name, i.Info.State} },
			states: []string{"Healthy", "Unhealthy", "Down", "Unknown"}, good: []string{"Healthy"}, usual: []string{"Healthy"},
		},
		{
			kind: "stacks", request: "ListStacks", aliases: []string{"stack", "st"}, header: []string{"Stack", "State", "Server", "Commit"},
			row: func(i item) []string {
				return []string{i.Name, i.Info.State, cmp.Or(i.Info.Server, i.Info.Swarm), i.Info.Deployed}
			},
			states: []string{"deploying", "running", "paused", "stopped", "created", "restarting", "dead", "removing", "unhealthy", "down", "unknown"},
			good:   runs, busy: []string{"deploying", "restarting", "removing"}, usual: runs,
		},
		{
			kind: "deployments", request: "ListDeployments", aliases: []string{"deployment", "dp"}, header: []string{"Deployment", "State", "Server", "Image"},
			row: func(i item) []string {
				return []string{i.Name, i.Info.State, cmp.Or(i.Info.Server, i.Info.Swarm), i.Info.Image}
			},
			states: []string{"deploying", "running", "created", "restarting", "stopping", "removing", "paused", "exited", "dead", "unhealthy", "not_deployed", "unknown"},
			good:   runs, busy: []string{"deploying", "restarting", "stopping", "removing"}, usual: runs,
		},
	}
}

// made are kinds that do something and are done.
func made() []kindTable {
	known := func(states ...string) []string { return append(states, "Ok", "Failed", "Unknown") }
	return []kindTable{
		{
			kind: "builds", request: "ListBuilds", aliases: []string{"build", "bd"}, header: []string{"Build", "State", "Builder", "Version"},
			row:    func(i item) []string { return []string{i.Name, i.Info.State, i.Info.BuilderID, i.version()} },
			states: known("Building"), good: []string{"Building", "Ok"}, busy: []string{"Building"},
		},
		{
			kind: "repos", request: "ListRepos", aliases: []string{"repo", "rp"}, header: []string{"Repo", "State", "Link", "Server", "Commit"},
			row:    func(i item) []string { return []string{i.Name, i.Info.State, i.Info.Link, i.Info.Server, i.Info.Hash} },
			states: known("Cloning", "Pulling", "Building"), good: []string{"Cloning", "Pulling", "Building", "Ok"}, busy: []string{"Cloning", "Pulling", "Building"},
		},
		timed("procedures", "ListProcedures", "Procedure", "procedure", "pr"),
		timed("actions", "ListActions", "Action", "action", "ac"),
		{
			kind: "syncs", request: "ListResourceSyncs", aliases: []string{"sync", "sn"}, header: []string{"Sync", "State", "Commit"},
			row:    func(i item) []string { return []string{i.Name, i.Info.State, i.Info.Synced} },
			states: known("Syncing", "Pending"), good: []string{"Syncing", "Pending", "Ok"}, busy: []string{"Syncing"},
		},
	}
}

// kept are kinds that only are there.
func kept() []kindTable {
	return []kindTable{
		{
			kind: "builders", request: "ListBuilders", aliases: []string{"builder", "bldr"}, header: []string{"Builder", "Type"},
			row: func(i item) []string { return []string{i.Name, i.Info.Builder} }, part: true,
		},
		{
			kind: "alerters", request: "ListAlerters", aliases: []string{"alerter", "alrt"}, header: []string{"Alerter", "Type", "Enabled"},
			row: func(i item) []string { return []string{i.Name, i.Info.Endpoint, fmt.Sprint(i.Info.Enabled)} }, part: true,
		},
		{
			kind: "groups", request: "ListUserGroups", aliases: []string{"group", "user-groups"}, header: []string{"Group"},
			row: func(i item) []string { return []string{i.Name} }, part: true,
		},
	}
}

// timed is a kind that runs, and may do so by the clock.
func timed(kind, request, title string, aliases ...string) kindTable {
	return kindTable{
		kind: kind, request: request, aliases: aliases, header: []string{title, "State", "Next Run", "Last Run"},
		row: func(i item) []string {
			return []string{i.Name, i.Info.State, when(i.Info.NextRun), when(i.Info.LastRun)}
		},
		states: []string{"Running", "Ok", "Failed", "Unknown"}, good: []string{"Running", "Ok"}, busy: []string{"Running"},
	}
}

// timed reports whether what runs next comes first.
func (k kindTable) timed() bool { return slices.Contains(k.header, "Next Run") }

// order is how two items of a kind stand in its list.
func (k kindTable) order(a, b item) int {
	if k.timed() {
		if c := nextFirst(a.Info.NextRun, b.Info.NextRun); c != 0 {
			return c
		}
	}
	place := func(i item) int {
		if at := slices.Index(k.states, i.Info.State); at >= 0 {
			return at
		}
		return len(k.states)
	}
	return cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(a.Name, b.Name))
}

// nextFirst orders times of next runs; who has none comes last.
func nextFirst(a, b int64) int {
	switch {
	case a == b:
		return 0
	case a == 0:
		return 1
	case b == 0:
		return -1
	}
	return cmp.Compare(a, b)
}

// tableOf returns the table of a kind by its name or an alias of it.
func tableOf(kind string) (kindTable, bool) {
	for _, k := range kindTables() {
		if kind == k.kind || slices.Contains(k.aliases, kind) {
			return k, true
		}
	}
	return kindTable{}, false
}

// link is the address of a resource's page.
func (p *program) link(path, name string) string {
	return p.host + "/" + path + "/" + url.PathEscape(name)
}
