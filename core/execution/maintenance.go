package execution

import (
	"context"
	"fmt"
	"strings"
	"time"

	"berth/core/run"
	"berth/schema"
)

// Maintenance is what is done to core itself.
type Maintenance interface {
	// Backup writes a backup into core's folder of backups.
	Backup(ctx context.Context) (Backup, error)
	// ClearRepos empties core's cache of repositories.
	ClearRepos(ctx context.Context) (repos int, bytes int64, err error)
	// Rotations says of every server whether its agent is to change its key.
	Rotations(ctx context.Context) ([]Rotation, error)
	// MakeCoreKeys makes the keys that core is to prove itself by from now on.
	MakeCoreKeys(ctx context.Context) (CoreKeys, error)
	// UseCoreKeys puts them in use.
	UseCoreKeys(ctx context.Context, key string) error
}

// Backup is a backup that was written and read back.
type Backup struct {
	File   string // with its folder
	Bytes  int64
	SHA256 string
	Took   time.Duration
	Pruned []string // older ones that were removed
}

// oldPlan is how old a plan may be that is taken up: a core that was restored from
// a backup finds the very run that wrote it.
const oldPlan = time.Hour

// BackupCore writes a backup of core into the configured folder.
func (d *Deps) BackupCore(ctx context.Context, r *run.Run) (run.Outcome, error) {
	planned, err := run.Plan(ctx, r, func(context.Context) (time.Time, error) { return time.Now(), nil })
	if err != nil {
		return run.Outcome{}, err
	}
	if time.Since(planned) > oldPlan {
		return run.Outcome{}, schema.Errorf(schema.Interrupted, "core was restarted, or restored, while it wrote this backup: it is not written anew, the next run writes one")
	}
	b, err := d.Maintenance.Backup(ctx)
	if err != nil {
		return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "back up core")
	}
	dec := schema.Decision{What: "backup", Reason: fmt.Sprintf("wrote and read back %s, %s, sha256 %s, in %s", b.File, size(b.Bytes), b.SHA256, b.Took.Round(10*time.Millisecond))}
	if len(b.Pruned) > 0 {
		dec.Reason += "; removed older " + strings.Join(b.Pruned, ", ")
	}
	return run.Outcome{Note: dec.Reason}, r.Note(ctx, run.Note{Decision: &dec})
}

// ClearRepos empties core's cache of repositories; it is filled again by whoever
// needs it next.
func (d *Deps) ClearRepos(ctx context.Context, r *run.Run) (run.Outcome, error) {
	n, bytes, err := d.Maintenance.ClearRepos(ctx)
	if err != nil {
		return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "empty core's cache of repositories")
	}
	dec := schema.Decision{What: "clear", Reason: fmt.Sprintf("removed %d repositories, %s", n, size(bytes))}
	if n == 0 {
		dec = schema.Decision{What: "nothing", Reason: "core's cache of repositories was empty"}
	}
	return run.Outcome{Note: dec.Reason}, r.Note(ctx, run.Note{Decision: &dec})
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
