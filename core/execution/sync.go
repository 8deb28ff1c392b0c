package execution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"berth/core/run"
	"berth/core/sync"
	"berth/schema"
)

// Syncs plans what syncs do and does the changes of resources.
type Syncs interface {
	Decide(ctx context.Context, id string, q sync.Request) (schema.SyncPlan, error)
	Begin(ctx context.Context, plan schema.SyncPlan, q sync.Request) (*sync.Work, error)
	Done(ctx context.Context, id string, d schema.SyncDone) error
	Refresh(ctx context.Context, key string) (schema.SyncState, error)
	Commit(ctx context.Context, key, by string) (schema.SyncWritten, error)
	WriteFile(ctx context.Context, key, file, text, by string) (schema.SyncWritten, error)
}

// SyncParams are the parameters of RunSync.
type SyncParams struct {
	Sync           string   `json:"sync" doc:"Name or id of the resource sync."`
	ResourceType   string   `json:"resource_type,omitempty" doc:"Only resources of this type."`
	Resources      []string `json:"resources,omitempty" doc:"Only these resources, by name or id."`
	Commit         string   `json:"commit,omitempty" doc:"This commit instead of the branch's newest."`
	ConfirmDeletes bool     `json:"confirm_deletes,omitempty" doc:"Delete also more than max_delete allows, or what another source does not declare."`
}

// SyncRefParams are the parameters of what needs no more than a sync.
type SyncRefParams struct {
	Sync string `json:"sync" doc:"Name or id of the resource sync."`
}

// CoversSync reports whether a newer run does all that an older one would.
func CoversSync(newer, older json.RawMessage) bool {
	var n, o SyncParams
	if json.Unmarshal(newer, &n) != nil || json.Unmarshal(older, &o) != nil {
		return false
	}
	whole := n.ResourceType == "" && len(n.Resources) == 0
	same := n.ResourceType == o.ResourceType && slices.Equal(n.Resources, o.Resources)
	return n.Commit == "" && (whole || same) && (n.ConfirmDeletes || !o.ConfirmDeletes)
}

// syncing is one run of a sync.
type syncing struct {
	d    *Deps
	r    *run.Run
	p    SyncParams
	q    sync.Request
	plan schema.SyncPlan
	self *schema.SyncChange // of the sync itself: done last
	work *sync.Work

	failed  []string
	skipped []string
	done    int
}

// RunSync brings what is there to what a commit declares: resources one by one,
// then what is to be deployed, in the order of the graph. What it sets out to do is
// recorded first, each with its reason.
func (d *Deps) RunSync(ctx context.Context, r *run.Run) (run.Outcome, error) {
	s := &syncing{d: d, r: r}
	if err := r.Params(&s.p); err != nil {
		return run.Outcome{}, err
	}
	s.q = sync.Request{Kind: schema.KindOf(s.p.ResourceType), Names: s.p.Resources}
	if s.p.ResourceType != "" && s.q.Kind == "" {
		return run.Outcome{}, schema.Errorf(schema.Invalid, "there is no resource type %q", s.p.ResourceType)
	}
	var err error
	if s.plan, err = run.Plan(ctx, r, s.decide); err != nil {
		return run.Outcome{}, err
	}
	if err := s.admit(ctx); err != nil {
		return run.Outcome{}, err
	}
	if !s.plan.Empty() {
		if err := s.carryOut(ctx); err != nil {
			return run.Outcome{}, err
		}
	}
	return s.finish(ctx)
}

// decide makes the plan at the commit that is asked for, or that the push
// announced, or that the branch stands at.
func (s *syncing) decide(ctx context.Context) (schema.SyncPlan, error) {
	rec := s.r.Record()
	q := s.q
	q.Commit = s.p.Commit
	if q.Commit == "" && rec.Cause.Commit != "" {
		pushed := q
		pushed.Commit = rec.Cause.Commit
		plan, err := s.d.Syncs.Decide(ctx, rec.Target.ID, pushed)
		if src := plan.Source; err != nil || src.Kind == "git" && sameRepo(src.Repo, rec.Cause.Repo) && src.Branch == rec.Cause.Ref && plan.Commit != "" {
			return plan, err
		}
	}
	return s.d.Syncs.Decide(ctx, rec.Target.ID, q)
}

// admit records what is to be done, and refuses what must not be.
func (s *syncing) admit(ctx context.Context) error {
	p := s.plan
	dec := schema.Decision{What: "sync", Reason: p.Counts()}
	switch {
	case p.Problem != nil:
		dec = schema.Decision{What: "nothing", Reason: p.Problem.Text}
	case p.Guard != "" && !s.p.ConfirmDeletes:
		dec = schema.Decision{What: "nothing", Reason: "nothing was done: " + p.Guard}
	case p.Empty():
		dec = schema.Decision{What: "unchanged", Reason: "everything is as declared"}
	}
	dec.Changes = lines(p)
	if err := s.r.Note(ctx, run.Note{Commit: p.Commit, Message: p.Message, Decision: &dec}); err != nil {
		return err
	}
	if p.Problem != nil {
		return p.Problem.Err()
	}
	if dec.What == "nothing" {
		return schema.Errorf(schema.Conflict, "%s", dec.Reason)
	}
	return nil
}

// maxLines bounds what a run's record repeats of its plan.
const maxLines = 300

// lines are the plan's decisions for people: what is done first, then what is not.
func lines(p schema.SyncPlan) []string {
	var out, rest []string
	for _, c := range p.Changes {
		line := fmt.Sprintf("%s %s %s: %s", c.Op, c.Kind, c.Name, c.Reason)
		switch {
		case c.Pending():
			out = append(out, line)
		case c.Op == "keep":
			rest = append(rest, line)
		}
	}
	for _, d := range p.Deploys {
		line := fmt.Sprintf("%s %s %s: %s", d.What, d.Kind, d.Name, d.Reason)
		if d.What == "unchanged" {
			rest = append(rest, line)
		} else {
			out = append(out, line)
		}
	}
	out = append(out, rest...)
	if n := len(out) - maxLines; n > 0 {
		out = append(out[:maxLines], fmt.Sprintf("and %d more", n))
	}
	return out
}

// carryOut does the changes, then the deploys, then the sync's own settings.
func (s *syncing) carryOut(ctx context.Context) error {
	work, err := s.d.Syncs.Begin(ctx, s.plan, s.q)
	if err != nil {
		return err
	}
	s.work = work
	todo := work.Todo()
	var deletes []schema.SyncChange
	for _, c := range todo {
		switch {
		case c.Kind == "resource_sync" && c.ID == s.plan.Sync.ID:
			s.self = &c
		case c.Op == "delete":
			deletes = append(deletes, c)
		default:
			if err := work.Do(ctx, c); err != nil {
				return s.stopped(err)
			}
			s.done++
		}
	}
	down := s.takeDown(ctx, deletes)
	defer down.wait() // nothing of it outlives the run, whatever ends that
	if err := s.delete(ctx, work, deletes, down); err != nil {
		return err
	}
	deployed := s.deploy(ctx, down)
	down.wait()
	if cause := context.Cause(ctx); cause != nil {
		return errors.Join(cause, deployed)
	}
	if deployed != nil {
		return deployed
	}
	if s.self != nil {
		if err := work.Do(ctx, *s.self); err != nil {
			return s.stopped(err)
		}
		s.done++
	}
	return nil
}

// stopped is a change that could not be done: what is done stays done.
func (s *syncing) stopped(err error) error {
	return schema.Wrap(schema.CodeOf(err), err, "%d of the changes are done, then it stopped; running the sync again does the rest", s.done)
}

// finish says how it went, and keeps it.
func (s *syncing) finish(ctx context.Context) (run.Outcome, error) {
	rec := s.r.Record()
	for _, d := range s.plan.Deploys {
		if d.What == "failed" {
			s.failed = append(s.failed, d.Name+": "+d.Reason)
		}
	}
	if len(s.failed) > 0 {
		slices.Sort(s.failed)
		s.refresh(ctx)
		text := strings.Join(s.failed, "; ")
		if len(s.skipped) > 0 {
			slices.Sort(s.skipped)
			text += "; skipped: " + strings.Join(s.skipped, "; ")
		}
		return run.Outcome{}, schema.Errorf(schema.Failed, "%d failed: %s", len(s.failed), text)
	}
	done := schema.SyncDone{Run: rec.ID, At: time.Now().UnixMilli(), Commit: s.plan.Commit, Message: s.plan.Message, Source: s.plan.Source}
	if !s.q.Narrow() {
		if err := s.d.Syncs.Done(ctx, rec.Target.ID, done); err != nil {
			return run.Outcome{}, err
		}
	}
	s.refresh(ctx)
	note := s.plan.Counts()
	if len(s.plan.Changes) == 0 && len(s.plan.Deploys) == 0 {
		return run.Outcome{State: schema.StateWarning, Note: "the source declares nothing that is in scope"}, nil
	}
	return run.Outcome{Note: note}, nil
}

// refresh looks again at what is pending; that it cannot is no fault of this run.
func (s *syncing) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, _ = s.d.Syncs.Refresh(ctx, s.r.Record().Target.ID)
}

// RefreshSync looks at a sync's source and keeps what is pending.
func (d *Deps) RefreshSync(ctx context.Context, r *run.Run) (run.Outcome, error) {
	st, err := d.Syncs.Refresh(ctx, r.Record().Target.ID)
	if err != nil {
		return run.Outcome{}, err
	}
	dec := schema.Decision{What: "nothing", Reason: "pending: " + st.Plan.Counts(), Changes: lines(st.Plan)}
	if st.Plan.Problem != nil {
		return run.Outcome{}, st.Plan.Problem.Err()
	}
	return run.Outcome{Note: dec.Reason}, r.Note(ctx, run.Note{Commit: st.Plan.Commit, Message: st.Plan.Message, Decision: &dec})
}

// SyncFileParams are the parameters of WriteSyncFileContents.
type SyncFileParams struct {
	Sync         string `json:"sync" doc:"Name or id of the resource sync."`
	ResourcePath string `json:"resource_path,omitempty" doc:"The entry of resource_path that the file belongs to."`
	FilePath     string `json:"file_path" doc:"The file, relative to the source's root, or to resource_path where that is a folder."`
	Contents     string `json:"contents" doc:"What is to be in it."`
}

// CommitSync writes what is stored of a sync's resources back to its source.
func (d *Deps) CommitSync(ctx context.Context, r *run.Run) (run.Outcome, error) {
	rec := r.Record()
	out, err := d.Syncs.Commit(ctx, rec.Target.ID, rec.Actor.Name)
	return d.writtenBack(ctx, r, out, err)
}

// WriteSyncFile writes one file of a sync's source.
func (d *Deps) WriteSyncFile(ctx context.Context, r *run.Run) (run.Outcome, error) {
	var p SyncFileParams
	if err := r.Params(&p); err != nil {
		return run.Outcome{}, err
	}
	rec := r.Record()
	file := p.FilePath
	if p.ResourcePath != "" && !strings.HasPrefix(file, strings.TrimSuffix(p.ResourcePath, "/")) && !strings.HasSuffix(p.ResourcePath, ".toml") {
		file = path.Join(p.ResourcePath, file)
	}
	out, err := d.Syncs.WriteFile(ctx, rec.Target.ID, file, p.Contents, rec.Actor.Name)
	return d.writtenBack(ctx, r, out, err)
}

// writtenBack records what was written, and looks again at what is pending.
func (d *Deps) writtenBack(ctx context.Context, r *run.Run, out schema.SyncWritten, err error) (run.Outcome, error) {
	if err != nil {
		return run.Outcome{}, err
	}
	dec := schema.Decision{What: "nothing", Reason: out.Message, Changes: out.Files}
	if len(out.Files) > 0 {
		dec.What = "write"
		if out.Commit != "" {
			dec.Reason = fmt.Sprintf("%s: commit %s on branch %s", out.Message, short(out.Commit), out.Branch)
		}
	}
	if err := r.Note(ctx, run.Note{Commit: out.Commit, Message: out.Message, Decision: &dec}); err != nil {
		return run.Outcome{}, err
	}
	_, _ = d.Syncs.Refresh(ctx, r.Record().Target.ID) // the next look finds it
	return run.Outcome{Note: dec.Reason}, nil
}
