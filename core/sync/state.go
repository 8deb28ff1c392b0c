package sync

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"berth/core/resource"
	"berth/schema"
)

// state returns what is kept of a sync.
func (s *Syncer) state(id string) (schema.SyncState, bool) {
	d, err := s.cfg.States.Get(id)
	return d.Value, err == nil
}

// State returns how a sync stands, as it was looked at last, by name or id. The
// plan has its texts when this process made it. Not_found for no sync; a sync that
// nobody has looked at is Unknown.
func (s *Syncer) State(key string) (schema.SyncState, error) {
	t, err := s.cfg.Syncs.Find(key)
	if err != nil {
		return schema.SyncState{}, err
	}
	st, ok := s.state(t.ID)
	if !ok {
		return schema.SyncState{Status: schema.SyncUnknown, Plan: schema.SyncPlan{Sync: t}}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if full, ok := s.full[t.ID]; ok && full.At == st.Plan.At {
		st.Plan = full
	}
	return st, nil
}

// Refresh looks at a sync's source and keeps what is pending, by name or id.
func (s *Syncer) Refresh(ctx context.Context, key string) (schema.SyncState, error) {
	l := s.repos.look()
	defer l.close()
	return s.refresh(ctx, l, key, "", false)
}

// refresh plans at a commit, the newest when it is empty, and keeps the outcome.
// With start, a sync that runs by itself does so before anybody is told of what is
// pending.
func (s *Syncer) refresh(ctx context.Context, l *look, key, commit string, start bool) (schema.SyncState, error) {
	t, err := s.cfg.Syncs.Find(key)
	if err != nil {
		return schema.SyncState{}, err
	}
	defer s.lock(t.ID)()
	r, err := s.cfg.Syncs.Get(ctx, t.ID)
	if err != nil {
		return schema.SyncState{}, err
	}
	p, err := s.plan(ctx, l, r, Request{Commit: commit})
	if err != nil {
		return schema.SyncState{}, err
	}
	s.texts(ctx, &p)
	return s.keep(ctx, r, p, start)
}

// texts completes a plan with the resources as files have them.
func (s *Syncer) texts(ctx context.Context, p *Planned) {
	for i := range p.Changes {
		c := &p.Changes[i]
		if c.Op == "update" || c.Op == "delete" {
			var kept resource.Kept
			if at := p.at[i]; at >= 0 {
				kept = keptOf(p.resources.Changes[at])
			}
			c.Current, _ = s.shown(ctx, schema.Target{Kind: c.Kind, ID: c.ID, Name: c.Name}, kept) // gone meanwhile: nothing to show
		}
		if c.Op == "create" || c.Op == "update" {
			c.Proposed = tableAt(p.Files, c.File, c.Line)
		}
	}
}

// keptOf is what a file says of a resource that is not stored.
func keptOf(c resource.Change) resource.Kept {
	out := resource.Kept{Deploy: c.Deploy}
	for _, t := range c.After {
		out.After = append(out.After, t.Name)
	}
	return out
}

// declared lists what a plan found declared; what was known before, when it has a mistake.
func declared(p schema.SyncPlan, before []string) []string {
	if p.Problem != nil {
		return before
	}
	var out []string
	for _, c := range p.Changes {
		if c.Op != "delete" && c.Op != "keep" {
			out = append(out, c.Kind+"/"+c.Name)
		}
	}
	return out
}

// keep stores what a look has found, and tells people when what is pending changed.
func (s *Syncer) keep(ctx context.Context, r schema.Resource[schema.SyncConfig], p Planned, start bool) (schema.SyncState, error) {
	was, _ := s.state(r.ID)
	now := schema.SyncState{Plan: few(fit(slim(p.SyncPlan), stateSize), stateSize), CheckedAt: p.At, Last: was.Last, Alert: was.Alert, Digest: pendingDigest(p.SyncPlan), Status: statusOf(r.Config, p.SyncPlan)}
	now.Declared = declared(p.SyncPlan, was.Declared)
	if start {
		s.runItself(ctx, r, now)
	}
	if err := s.tell(ctx, r, &now); err != nil {
		s.cfg.Log.Warn("tell of a pending sync", "sync", r.Name, "err", err) // the next look tells again
	}
	if reflect.DeepEqual(unstamped(was), unstamped(now)) { // nothing to write down
		now.Plan.At, p.At = was.Plan.At, was.Plan.At
		s.remember(r.ID, p.SyncPlan)
		now.Plan = p.SyncPlan
		return now, nil
	}
	s.remember(r.ID, p.SyncPlan)
	doc, err := s.cfg.States.Edit(ctx, r.ID, func(v *schema.SyncState) error {
		last := v.Last // a run may have ended meanwhile
		*v = now
		v.Last = cmp.Or(last, now.Last)
		return nil
	})
	if schema.CodeOf(err) == schema.NotFound {
		doc, err = s.cfg.States.Put(ctx, r.ID, now)
	}
	if err != nil {
		return now, schema.Wrap(schema.CodeOf(err), err, "keep the state of sync %q", r.Name)
	}
	st := doc.Value
	st.Plan = p.SyncPlan
	return st, nil
}

func (s *Syncer) remember(id string, p schema.SyncPlan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full[id] = p
}

// unstamped is a state without its times, as it comes out of the store.
func unstamped(st schema.SyncState) schema.SyncState {
	st.CheckedAt, st.Plan.At = 0, 0
	var out schema.SyncState
	if b, err := json.Marshal(st); err == nil {
		_ = json.Unmarshal(b, &out) // what was just written
	}
	return out
}

func statusOf(c schema.SyncConfig, p schema.SyncPlan) schema.SyncStatus {
	failed := slices.ContainsFunc(p.Deploys, func(d schema.SyncDeploy) bool { return d.What == whatFailed })
	switch {
	case sourceOf(c) == "":
		return schema.SyncUnknown
	case p.Problem != nil || failed:
		return schema.SyncFailed
	case !p.Empty():
		return schema.SyncPending
	}
	return schema.SyncOk
}

// slim is a plan without what can be had again: texts of files and resources, and
// the settings of what is created.
func slim(p schema.SyncPlan) schema.SyncPlan {
	p.Files = slices.Clone(p.Files)
	for i := range p.Files {
		p.Files[i].Text = ""
	}
	p.Changes = slices.Clone(p.Changes)
	for i := range p.Changes {
		c := &p.Changes[i]
		c.Proposed, c.Current = "", ""
		if c.Op != "update" {
			c.Fields = nil
		}
		c.Fields = slices.Clone(c.Fields)
		for j := range c.Fields {
			c.Fields[j].Old, c.Fields[j].New = short(c.Fields[j].Old), short(c.Fields[j].New)
		}
	}
	return p
}

// short bounds a setting in a plan that is stored.
func short(text string) string {
	const most = 2000
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// pendingDigest is the same as long as a run would do the same.
func pendingDigest(p schema.SyncPlan) string {
	h := sha256.New()
	n := 0
	enc := json.NewEncoder(h)
	for _, c := range p.Changes {
		if c.Pending() {
			n++
			_ = enc.Encode([]any{c.Kind, c.Name, c.Op, c.Fields}) // plain data
		}
	}
	for _, d := range p.Deploys {
		if d.Pending() {
			n++
			_ = enc.Encode([]any{d.Kind, d.Name, d.Commit}) // plain data
		}
	}
	if n == 0 {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// tell raises one alert per change of what is pending, and resolves the one before.
// While a run of the sync goes on nothing is raised: it may leave nothing to tell of.
func (s *Syncer) tell(ctx context.Context, r schema.Resource[schema.SyncConfig], now *schema.SyncState) error {
	key := pendingKey(r, *now)
	if s.cfg.Alerts == nil || now.Plan.Problem != nil || now.Alert == key {
		return nil
	}
	if now.Alert != "" {
		if err := s.cfg.Alerts.Resolve(ctx, now.Alert); err != nil && schema.CodeOf(err) != schema.NotFound {
			return err
		}
		now.Alert = ""
	}
	if key == "" {
		return nil
	}
	if s.cfg.Runs != nil {
		if busy, err := s.cfg.Runs.Busy(ctx, r.ID); busy || err != nil {
			return err
		}
	}
	data, err := json.Marshal(map[string]string{"id": r.ID, "name": r.Name})
	if err != nil {
		return err
	}
	err = s.cfg.Alerts.Raise(ctx, schema.Alert{
		Level: schema.SeverityOK, Target: r.Target("resource_sync"), Type: schema.AlertSyncPending, Key: key, Data: data,
		Message: fmt.Sprintf("sync %s has pending changes at %.8s: %s", r.Name, cmp.Or(now.Plan.Commit, "its files"), now.Plan.Counts()),
	})
	if err == nil {
		now.Alert = key
	}
	return err
}

// pendingKey is the key of the alert of what is pending; "" when there is nothing to
// tell.
func pendingKey(r schema.Resource[schema.SyncConfig], st schema.SyncState) string {
	if st.Digest == "" || !r.Config.PendingAlert {
		return ""
	}
	return "sync-pending/" + r.ID + "/" + st.Digest
}

// Ended takes that a run of a sync ended, by the sync's id: what it left pending, and
// nobody was told of meanwhile, is looked at again.
func (s *Syncer) Ended(ctx context.Context, id string) {
	r, err := s.cfg.Syncs.Get(ctx, id)
	if err != nil {
		return // it is gone
	}
	if st, ok := s.state(id); ok && st.Alert != pendingKey(r, st) {
		s.Stir()
	}
}

// Done keeps that a run of a sync went well, and looks again at what is pending.
func (s *Syncer) Done(ctx context.Context, id string, d schema.SyncDone) error {
	_, err := s.cfg.States.Edit(ctx, id, func(v *schema.SyncState) error { v.Last = &d; return nil })
	if schema.CodeOf(err) == schema.NotFound {
		_, err = s.cfg.States.Put(ctx, id, schema.SyncState{Status: schema.SyncUnknown, Last: &d})
	}
	return err
}
