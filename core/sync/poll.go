package sync

import (
	"context"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"berth/core/run"
	"berth/schema"
)

const (
	settle  = 2 * time.Second // after a change of a resource, before plans are made anew
	soon    = 10 * time.Second
	longest = 24 * time.Hour
)

// Run looks at sources by time, and at what is pending when resources change,
// until ctx ends.
func (s *Syncer) Run(ctx context.Context) error {
	stop := s.cfg.Registry.Watch(s.changed)
	defer stop()
	for {
		wait := time.NewTimer(s.untilDue())
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-s.woken:
			wait.Stop()
		case <-wait.C:
		}
		s.lookDue(ctx)
	}
}

// changed takes a change of a resource: a sync is looked at anew, what others have
// pending may be something else.
func (s *Syncer) changed(c schema.Change) {
	if c.Topic == "resource_sync" {
		s.mu.Lock()
		s.due[c.ID] = s.cfg.Now()
		s.mu.Unlock()
		s.Wake()
		return
	}
	s.Stir()
}

// Stir says that something changed which plans follow from: those of all syncs are
// made anew, at the commits they are of, without asking any remote.
func (s *Syncer) Stir() {
	s.mu.Lock()
	first := s.stirred.IsZero()
	if first {
		s.stirred = s.cfg.Now()
	}
	s.mu.Unlock()
	if first {
		s.Wake()
	}
}

// Wake has Run see what is due; it does so by itself when the time comes.
func (s *Syncer) Wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// untilDue is how long nothing is to be done.
func (s *Syncer) untilDue() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	next := longest
	for _, at := range s.due {
		next = min(next, at.Sub(now))
	}
	if !s.stirred.IsZero() {
		next = min(next, s.stirred.Add(settle).Sub(now))
	}
	return max(next, 0)
}

// lookDue does what is due. Syncs of one repository are looked at together: its
// remote is asked once.
func (s *Syncer) lookDue(ctx context.Context) {
	now := s.cfg.Now()
	s.mu.Lock()
	var due []string
	for id, at := range s.due {
		if !at.After(now) {
			due = append(due, id)
		}
	}
	stirred := !s.stirred.IsZero() && !s.stirred.Add(settle).After(now)
	if stirred {
		s.stirred = time.Time{}
	}
	s.mu.Unlock()
	if len(due) > 0 {
		s.lookAt(ctx, due)
	}
	if stirred {
		s.lookAgain(ctx, due)
	}
}

// lookAt looks at the sources of syncs that are due, and at others of the same
// repositories.
func (s *Syncer) lookAt(ctx context.Context, due []string) {
	list, err := s.cfg.Syncs.All()
	if err != nil {
		s.cfg.Log.Error("list syncs", "err", err)
		return
	}
	keys := map[string]string{}
	wanted := map[string]bool{}
	for _, r := range list {
		keys[r.ID] = s.repoKey(ctx, r.Config)
		if slices.Contains(due, r.ID) && keys[r.ID] != "" {
			wanted[keys[r.ID]] = true
		}
	}
	l := s.repos.look()
	defer l.close()
	for _, r := range list {
		if ctx.Err() != nil {
			return
		}
		if !slices.Contains(due, r.ID) && !wanted[keys[r.ID]] {
			continue
		}
		s.schedule(r)
		if sourceOf(r.Config) == "" {
			continue
		}
		if _, err := s.refresh(ctx, l, r.ID, "", true); err != nil && ctx.Err() == nil && schema.CodeOf(err) != schema.NotFound {
			s.cfg.Log.Warn("look at a sync", "sync", r.Name, "err", err)
		}
	}
	s.forget(ctx)
}

// repoKey names the repository of a sync; empty when it has none.
func (s *Syncer) repoKey(ctx context.Context, c schema.SyncConfig) string {
	if sourceOf(c) != "git" {
		return ""
	}
	src, err := s.gitSource(ctx, c)
	if err != nil {
		return ""
	}
	p, err := s.repos.place(ctx, src)
	if err != nil {
		return ""
	}
	return p.key
}

// schedule says when a sync is looked at next, not all at the same moment.
func (s *Syncer) schedule(r schema.Resource[schema.SyncConfig]) {
	every, err := schema.ParsePoll(r.Config.PollInterval, s.cfg.Poll)
	if err != nil {
		s.cfg.Log.Warn("poll_interval of a sync cannot be read", "sync", r.Name, "err", err)
		every = s.cfg.Poll
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if every <= 0 || sourceOf(r.Config) == "" {
		delete(s.due, r.ID)
		return
	}
	jitter := time.Duration((rand.Float64() - 0.5) * 0.2 * float64(every)) //nolint:gosec // no secret
	s.due[r.ID] = s.cfg.Now().Add(every + jitter)
}

// forget drops what is kept of syncs that are gone.
func (s *Syncer) forget(ctx context.Context) {
	s.mu.Lock()
	known := slices.Collect(maps.Keys(s.due))
	s.mu.Unlock()
	for _, id := range known {
		if _, err := s.cfg.Syncs.Find(id); schema.CodeOf(err) != schema.NotFound {
			continue
		}
		st, _ := s.state(id)
		s.mu.Lock()
		delete(s.due, id)
		delete(s.full, id)
		delete(s.locks, id)
		s.mu.Unlock()
		if s.cfg.Alerts != nil && st.Alert != "" {
			if err := s.cfg.Alerts.Resolve(ctx, st.Alert); err != nil && ctx.Err() == nil && schema.CodeOf(err) != schema.NotFound {
				s.cfg.Log.Warn("end the alert of a sync that is gone", "sync", id, "err", err)
			}
		}
		if err := s.cfg.States.Delete(ctx, id, 0); err != nil && ctx.Err() == nil && schema.CodeOf(err) != schema.NotFound {
			s.cfg.Log.Warn("forget a sync", "sync", id, "err", err)
		}
	}
}

// lookAgain makes the plans anew, but for those just made.
func (s *Syncer) lookAgain(ctx context.Context, fresh []string) {
	list, err := s.cfg.Syncs.All()
	if err != nil {
		s.cfg.Log.Error("list syncs", "err", err)
		return
	}
	l := s.repos.look()
	defer l.close()
	for _, r := range list {
		st, ok := s.state(r.ID)
		if ctx.Err() != nil || slices.Contains(fresh, r.ID) || !ok || sourceOf(r.Config) == "" || sourceOf(r.Config) == "git" && st.Plan.Commit == "" {
			continue
		}
		for _, d := range st.Plan.Deploys { // what other repositories stood at stays as well
			if d.Commit != "" {
				l.known(d.Repo, d.Ref, d.Commit)
			}
		}
		if _, err := s.refresh(ctx, l, r.ID, st.Plan.Commit, false); err != nil && ctx.Err() == nil && schema.CodeOf(err) != schema.NotFound {
			s.cfg.Log.Warn("look at a sync", "sync", r.Name, "err", err)
		}
	}
}

// known is where a branch stood when it was looked at last, by what the settings
// call it.
func (l *look) known(repo, ref, commit string) {
	l.told[strings.ToLower(repo)+"\x00"+ref] = commit
}

// runItself starts a run of a sync that wants that, once for what is pending.
func (s *Syncer) runItself(ctx context.Context, r schema.Resource[schema.SyncConfig], st schema.SyncState) {
	if s.cfg.Runs == nil || !r.Config.AutoSync || st.Status != schema.SyncPending || st.Plan.Guard != "" {
		return
	}
	last := ""
	if st.Last != nil {
		last = st.Last.Run
	}
	params, err := json.Marshal(map[string]string{"sync": r.ID, "commit": st.Plan.Commit})
	if err == nil {
		_, err = s.cfg.Runs.Start(ctx, run.StartReq{
			ID: schema.DeriveID("sync by itself", r.ID, st.Digest, st.Plan.Commit, last), Action: "RunSync",
			Target: r.Target("resource_sync"), Params: params,
			Actor: schema.Actor{Kind: "system", ID: "000000000000000000000005", Name: "Resource Sync"},
			Cause: schema.Cause{Kind: "system", Repo: st.Plan.Source.Repo, Ref: st.Plan.Source.Branch, Commit: st.Plan.Commit, Message: st.Plan.Message},
		})
	}
	if err != nil && ctx.Err() == nil {
		s.cfg.Log.Error("start a sync by itself", "sync", r.Name, "err", err)
	}
}
