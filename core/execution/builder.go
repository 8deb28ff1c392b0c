package execution

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"berth/core/run"
	"berth/schema"
)

// place is where something is built, and why there.
type place struct {
	Server schema.Target `json:"server"`
	Why    string        `json:"why"`
}

// place finds the server that a builder builds on now. The caller holds placing.
func (d *Deps) place(ctx context.Context, r *run.Run, builder string) (place, error) {
	if builder == "" {
		return place{}, schema.Errorf(schema.Invalid, "it has no builder: set `builder`")
	}
	b, err := d.Builds.Builder(ctx, builder)
	if err != nil {
		return place{}, schema.Wrap(schema.CodeOf(err), err, "its builder")
	}
	switch c := b.Config; {
	case c.Server != nil:
		return d.leastBusy(ctx, r.ID(), b.Name, c.Server.ServerIDs)
	case c.URL != nil:
		return d.addressed(ctx, b.Name, c.URL.Address)
	}
	return place{}, schema.Errorf(schema.Unsupported,
		"builder %q is of type %s: Berth starts no machines at AWS; join a machine as a server and make the builder `type = \"Server\"`", b.Name, b.Config.Type)
}

// leastBusy picks, of the servers that are online, the one with the fewest builds;
// of equals the first. When none is online, the build waits for the first.
func (d *Deps) leastBusy(ctx context.Context, self, builder string, ids []string) (place, error) {
	if len(ids) == 0 {
		return place{}, schema.Errorf(schema.Invalid, "builder %q names no servers: set `params.servers`", builder)
	}
	busy, err := d.busy(ctx, self)
	if err != nil {
		return place{}, err
	}
	var (
		best, first schema.Target
		refused     error
		online      int
	)
	for _, id := range ids {
		s, err := d.server(ctx, "builder", builder, id)
		if err != nil {
			refused = err
			continue
		}
		if first.ID == "" {
			first = s
		}
		if !d.Fleet.IsOnline(s.ID) {
			continue
		}
		if online++; best.ID == "" || busy[s.ID] < busy[best.ID] {
			best = s
		}
	}
	switch {
	case first.ID == "":
		return place{}, refused
	case best.ID == "":
		return place{Server: first, Why: fmt.Sprintf("server %s (none of builder %s is online)", first.Name, builder)}, nil
	case len(ids) == 1:
		return place{Server: best, Why: "server " + best.Name}, nil
	}
	return place{Server: best, Why: fmt.Sprintf("server %s (%d builds there now, the fewest of %d servers online)", best.Name, busy[best.ID], online)}, nil
}

// busy counts the builds that go on, but for the run that asks, by server.
func (d *Deps) busy(ctx context.Context, self string) (map[string]int, error) {
	list, err := d.Fleet.BuildRuns(ctx)
	out := map[string]int{}
	for _, rec := range list {
		var plan buildPlan
		if rec.ID == self || len(rec.Plan) == 0 || json.Unmarshal(rec.Plan, &plan) != nil {
			continue
		}
		out[plan.Place.Server.ID]++
	}
	return out, err
}

// addressed finds the server that a builder of type Url means. Core dials nobody:
// it must have joined.
func (d *Deps) addressed(ctx context.Context, builder, address string) (place, error) {
	list, err := d.Fleet.AllServers(ctx)
	if err != nil {
		return place{}, err
	}
	host := hostOf(address)
	i := slices.IndexFunc(list, func(s schema.Resource[schema.ServerConfig]) bool {
		return s.Name == address || s.Name == host || host != "" && (hostOf(s.Config.Address) == host || hostOf(s.Config.ExternalAddress) == host)
	})
	if i < 0 {
		return place{}, schema.Errorf(schema.Unsupported,
			"builder %q is the agent at %s, and no server has that name, address or external_address: Berth dials no agents, they dial in; "+
				"join that machine as a server, and name it in the builder's address or make the builder `type = \"Server\"`", builder, address)
	}
	s, err := d.server(ctx, "builder", builder, list[i].ID)
	return place{Server: s, Why: fmt.Sprintf("server %s (address of builder %s)", s.Name, builder)}, err
}

// hostOf is the host of an address, with or without a scheme and a port.
func hostOf(address string) string {
	if !strings.Contains(address, "://") {
		address = "//" + address
	}
	if u, err := url.Parse(address); err == nil {
		return u.Hostname()
	}
	return ""
}

// BuildRepo clones a repo afresh on its builder and runs its commands there.
func (d *Deps) BuildRepo(ctx context.Context, r *run.Run) (run.Outcome, error) {
	repo, err := d.Repos.Repo(ctx, r.Record().Target.ID)
	if err != nil {
		return run.Outcome{}, err
	}
	plan, err := d.planRepo(ctx, r, repo)
	if err != nil {
		return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "build repo %q", repo.Name)
	}
	req := repoRequest(repo)
	req.Clone, req.Reclone = true, true
	if req.Source, err = d.commitFirst(ctx, r, plan.Place.Server, req.Source, 0); err != nil {
		return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "build repo %q", repo.Name)
	}
	resp, err := run.Do(ctx, r, run.Job{Step: "build", Server: plan.Place.Server, Key: "repo-" + repo.ID, Timeout: schema.BuildRun.Timeout}, schema.RepoSync, req)
	if err != nil {
		return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "build repo %q", repo.Name)
	}
	if err := d.Repos.SaveRepo(ctx, repo.ID, schema.RepoState{Built: resp.CommitInfo, BuiltAt: time.Now().UnixMilli()}); err != nil {
		return run.Outcome{}, err
	}
	dec := schema.Decision{What: "build", Reason: fmt.Sprintf("commit %s of %s, on %s", short(resp.Commit), req.Source.Branch, plan.Place.Why)}
	return run.Outcome{Note: dec.Reason}, r.Note(ctx, run.Note{Commit: resp.Commit, Message: resp.Message, Decision: &dec})
}

func (d *Deps) planRepo(ctx context.Context, r *run.Run, repo schema.Resource[schema.RepoConfig]) (buildPlan, error) {
	d.placing.Lock()
	defer d.placing.Unlock()
	return run.Plan(ctx, r, func(ctx context.Context) (buildPlan, error) {
		where, err := d.place(ctx, r, repo.Config.BuilderID)
		return buildPlan{Place: where}, err
	})
}
