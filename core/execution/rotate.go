package execution

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/core/run"
	"berth/schema"
)

// Rotation says of a server whether its agent is to change its key.
type Rotation struct {
	Server schema.Target `json:"server"`
	// Skip is why not; empty when it is to.
	Skip string `json:"skip,omitempty"`
	// Wanted says that it is skipped although nobody asked for that.
	Wanted bool `json:"wanted,omitempty"`
}

// rotateWait is how long a server that was online may take to begin.
const rotateWait = 2 * time.Minute

// RotateServerKeys has the agent of every server that is online, and has
// auto_rotate_keys, change its key; the others are named with the reason. The runs
// of agents and the connection of core are not disturbed.
func (d *Deps) RotateServerKeys(ctx context.Context, r *run.Run) (run.Outcome, error) {
	plan, err := run.Plan(ctx, r, d.Maintenance.Rotations)
	if err != nil {
		return run.Outcome{}, err
	}
	res := &rotated{}
	var g errgroup.Group
	g.SetLimit(16)
	for _, p := range plan {
		if p.Skip != "" {
			res.skip(p)
			continue
		}
		g.Go(func() error {
			job := run.Job{Step: "rotate " + p.Server.Name, Server: p.Server, Key: "key-" + p.Server.ID, Wait: rotateWait}
			_, err := run.Do(ctx, r, job, schema.KeyRotate, schema.KeyRotateReq{})
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			res.took(p.Server.Name, err)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return run.Outcome{}, err
	}
	dec := res.decision()
	if err := r.Note(ctx, run.Note{Decision: &dec}); err != nil {
		return run.Outcome{}, err
	}
	return res.outcome(dec), res.err()
}

// RotateServer has the agent of one server change its key.
func (d *Deps) RotateServer(ctx context.Context, r *run.Run) (run.Outcome, error) {
	t := r.Record().Target
	job := run.Job{Step: "rotate", Server: t, Key: "key-" + t.ID, Wait: rotateWait}
	_, err := run.Do(ctx, r, job, schema.KeyRotate, schema.KeyRotateReq{})
	return run.Outcome{}, err
}

// rotated counts what became of the servers.
type rotated struct {
	mu                           sync.Mutex
	done, skipped, missed, wrong []string
}

func (t *rotated) skip(p Rotation) {
	text := p.Server.Name + " (" + p.Skip + ")"
	if p.Wanted {
		t.missed = append(t.missed, text)
		return
	}
	t.skipped = append(t.skipped, text)
}

func (t *rotated) took(name string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.wrong = append(t.wrong, name+": "+schema.SafeText(err))
		return
	}
	t.done = append(t.done, name)
}

func (t *rotated) decision() schema.Decision {
	if len(t.done)+len(t.skipped)+len(t.missed)+len(t.wrong) == 0 {
		return schema.Decision{What: "nothing", Reason: "there is no server"}
	}
	var parts []string
	for _, p := range []struct {
		what string
		list []string
	}{{"rotated ", t.done}, {"not rotated: ", t.missed}, {"left alone: ", t.skipped}, {"failed: ", t.wrong}} {
		if len(p.list) > 0 {
			parts = append(parts, p.what+strings.Join(p.list, ", "))
		}
	}
	return schema.Decision{What: "rotate", Reason: strings.Join(parts, "; ")}
}

func (t *rotated) outcome(dec schema.Decision) run.Outcome {
	out := run.Outcome{Note: dec.Reason}
	if len(t.missed) > 0 || len(t.done) == 0 { // what was wanted was not done, or nothing was
		out.State = schema.StateWarning
	}
	return out
}

func (t *rotated) err() error {
	if len(t.wrong) == 0 {
		return nil
	}
	return schema.Errorf(schema.Failed, "%d of %d servers keep the key they have: %s", len(t.wrong), len(t.wrong)+len(t.done), strings.Join(t.wrong, "; "))
}

// Rotate is the plan of one server.
func Rotate(server schema.Resource[schema.ServerConfig], online bool, since time.Time) Rotation {
	p := Rotation{Server: server.Target("server")}
	switch {
	case !server.Config.Enabled:
		p.Skip = "disabled"
	case !server.Config.AutoRotateKeys:
		p.Skip = "auto_rotate_keys = false"
	case !online && since.IsZero():
		p.Skip = "no agent has joined it yet"
	case !online:
		p.Skip, p.Wanted = fmt.Sprintf("offline since %s", since.UTC().Format("2006-01-02 15:04 UTC")), true
	}
	return p
}
