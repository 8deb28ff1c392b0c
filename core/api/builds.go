package api

import (
	"context"
	"strings"
	"time"

	"berth/core/access"
	"berth/schema"
)

// BuildViews are the read models of builds and builders, sorted by name.
type BuildViews interface {
	Builds(ctx context.Context) ([]schema.BuildView, error)
	Builders(ctx context.Context) ([]schema.Resource[schema.BuilderConfig], error)
}

// buildInfo has the members of Komodo's build.
type buildInfo struct {
	Built          int64   `json:"last_built_at"`
	BuiltHash      *string `json:"built_hash"`
	BuiltMessage   *string `json:"built_message"`
	BuiltContents  *string `json:"built_contents"`
	RemotePath     *string `json:"remote_path"`
	RemoteContents *string `json:"remote_contents"`
	RemoteError    *string `json:"remote_error"`
	LatestHash     *string `json:"latest_hash"`
	LatestMessage  *string `json:"latest_message"`
}

type buildItem struct {
	State       string         `json:"state"`
	Built       int64          `json:"last_built_at"`
	Version     schema.Version `json:"version"`
	BuilderID   string         `json:"builder_id"`
	FilesOnHost bool           `json:"files_on_host"`
	Dockerfile  bool           `json:"dockerfile_contents"`
	LinkedRepo  string         `json:"linked_repo"`
	LinkedName  string         `json:"linked_repo_name"`
	Provider    string         `json:"git_provider"`
	Repo        string         `json:"repo"`
	Branch      string         `json:"branch"`
	RepoLink    string         `json:"repo_link"`
	BuiltHash   *string        `json:"built_hash"`
	LatestHash  *string        `json:"latest_hash"`
	Registry    *string        `json:"image_registry_domain"`
}

func (a *API) buildInfos(ctx context.Context, _ []string) (map[string]info, error) {
	out := map[string]info{}
	if a.deps.Builds == nil {
		return out, nil
	}
	list, err := a.deps.Builds.Builds(ctx)
	for _, v := range list {
		c, hash := v.Resource.Config, orNull(short(v.Built.Commit))
		item := buildItem{
			State: v.State, Built: v.Built.BuiltAt, Version: v.Version, BuilderID: c.BuilderID, FilesOnHost: c.FilesOnHost,
			Dockerfile: c.Dockerfile != "", LinkedRepo: c.LinkedRepo, LinkedName: v.Linked.Name, Provider: c.GitProvider,
			Repo: c.Repo, Branch: c.Branch, RepoLink: repoLink(c.GitProvider, c.GitHTTPS, c.Repo, c.Branch), BuiltHash: hash,
			LatestHash: orNull(short(v.Latest.Commit)),
		}
		if len(c.ImageRegistry) > 0 {
			item.Registry = orNull(c.ImageRegistry[0].Domain)
		}
		full := buildInfo{
			Built: v.Built.BuiltAt, BuiltHash: hash, BuiltMessage: orNull(v.Built.Message),
			LatestHash: orNull(short(v.Latest.Commit)), LatestMessage: orNull(v.Latest.Message),
		}
		full.showSources(v)
		out[v.Resource.ID] = info{full: full, item: item, state: v.State}
	}
	return out, err
}

type builderItem struct {
	Type     string  `json:"builder_type"`
	Instance *string `json:"instance_type"`
}

func (a *API) builderInfos(ctx context.Context, _ []string) (map[string]info, error) {
	out := map[string]info{}
	if a.deps.Builds == nil {
		return out, nil
	}
	list, err := a.deps.Builds.Builders(ctx)
	for _, r := range list {
		item := builderItem{Type: r.Config.Type}
		switch {
		case r.Config.Server != nil:
			item.Instance = orNull(strings.Join(r.Config.Server.ServerIDs, ", "))
		case r.Config.AWS != nil:
			item.Instance = orNull(r.Config.AWS.InstanceType)
		}
		out[r.ID] = info{item: item}
	}
	return out, err
}

type buildVersionsParams struct {
	Build string `json:"build" alias:"id,name" doc:"Name or id."`
	Major *int   `json:"major,omitempty" doc:"Only versions with this first part."`
	Minor *int   `json:"minor,omitempty" doc:"Only versions with this second part."`
	Patch *int   `json:"patch,omitempty" doc:"Only versions with this third part."`
	Limit int    `json:"limit,omitempty" doc:"At most so many."`
}

// buildRows tell what builds have made.
func (a *API) buildRows() []Row {
	if a.deps.Builds == nil {
		return nil
	}
	return []Row{
		a.summary("GetBuildsSummary", "build", strings.ToLower, "total", "ok", "failed", "building", "unknown"),
		a.summary("GetBuildersSummary", "builder", func(string) string { return "" }, "total"),
		Read(spec{
			name: "ListBuildVersions", doc: "List the versions that a build has made, newest first.", needs: access.CanRead, kind: "build",
			example: map[string]any{"build": "my-build"},
		}, a.buildVersions),
		Read(spec{
			name: "GetBuildMonthlyStats", doc: "Count builds and their time by day, 30 days a page.", needs: access.AnyUser, example: map[string]any{"page": 0},
		}, a.buildStats),
	}
}

// buildVersions lists what a build has made.
func (a *API) buildVersions(ctx context.Context, p buildVersionsParams) ([]schema.MadeVersion, error) {
	k, err := a.deps.Kinds.Kind("build")
	if err != nil {
		return nil, err
	}
	t, err := k.Find(p.Build)
	if err != nil {
		return nil, err
	}
	list, err := a.deps.Builds.Builds(ctx)
	is := func(want *int, got int) bool { return want == nil || *want == got }
	out := []schema.MadeVersion{}
	for _, b := range list {
		if b.Resource.ID != t.ID {
			continue
		}
		for _, v := range b.Built.Past {
			if is(p.Major, v.Version.Major) && is(p.Minor, v.Version.Minor) && is(p.Patch, v.Version.Patch) && (p.Limit <= 0 || len(out) < p.Limit) {
				out = append(out, v)
			}
		}
	}
	return out, err
}

// statsDays is how many days a page of statistics has.
const statsDays = 30

type buildStats struct {
	Time  float64    `json:"total_time"` // hours
	Count float64    `json:"total_count"`
	Days  []buildDay `json:"days"` // oldest first
}

type buildDay struct {
	Time  float64 `json:"time"` // hours
	Count float64 `json:"count"`
	At    int64   `json:"ts"` // unix ms of its beginning, UTC
}

type statsPage struct {
	Page int `json:"page,omitempty" doc:"Page of 30 days, from 0: the newest."`
}

// buildStats counts the builds that ended, by the day they were started.
func (a *API) buildStats(ctx context.Context, p statsPage) (buildStats, error) {
	day := 24 * time.Hour
	end := a.deps.Now().UTC().Truncate(day).Add(day).AddDate(0, 0, -statsDays*min(max(p.Page, 0), 10_000))
	begin := end.AddDate(0, 0, -statsDays)
	out := buildStats{Days: make([]buildDay, statsDays)}
	for i := range out.Days {
		out.Days[i].At = begin.AddDate(0, 0, i).UnixMilli()
	}
	runs, err := a.deps.Engine.List(ctx, schema.RunFilter{Kind: "build", Action: "RunBuild", From: begin.UnixMilli(), Limit: allRuns})
	for _, r := range runs {
		if !r.State.Terminal() || r.Queued >= end.UnixMilli() {
			continue
		}
		took := time.Duration(r.Ended-r.Queued) * time.Millisecond
		d := &out.Days[(r.Queued-begin.UnixMilli())/day.Milliseconds()]
		d.Count++
		d.Time += took.Hours()
		out.Count++
		out.Time += took.Hours()
	}
	return out, err
}
