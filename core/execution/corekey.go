package execution

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"berth/core/run"
	"berth/schema"
)

// RotateCoreParams are the parameters of RotateCoreKeys.
type RotateCoreParams struct {
	Force bool `json:"force,omitempty" doc:"Although a server is offline: its agent must then join again."`
}

// CoreKeys are the keys that core is to prove itself by, by their public halves, and
// the servers whose agents must learn them.
type CoreKeys struct {
	Key     string          `json:"key"`
	Pin     []string        `json:"pin,omitempty"` // of the TLS key, when it is core's own
	Servers []CoreKeyServer `json:"servers,omitempty"`
}

// CoreKeyServer is a server and whether its agent can be told.
type CoreKeyServer struct {
	Server schema.Target `json:"server"`
	Online bool          `json:"online"`
}

// RotateCoreKeys gives core new keys. First every agent learns them and believes
// either; only then core uses them; then the agents forget those before. Without
// force nothing is changed as long as one agent could not be told.
func (d *Deps) RotateCoreKeys(ctx context.Context, r *run.Run) (run.Outcome, error) {
	var p RotateCoreParams
	if err := r.Params(&p); err != nil {
		return run.Outcome{}, err
	}
	keys, err := run.Plan(ctx, r, d.Maintenance.MakeCoreKeys)
	if err != nil {
		return run.Outcome{}, err
	}
	var away []string
	for _, s := range keys.Servers {
		if !s.Online {
			away = append(away, s.Server.Name)
		}
	}
	if len(away) > 0 && !p.Force {
		return run.Outcome{}, schema.Errorf(schema.Conflict, "core keeps its keys: %s offline and would not know the new ones: start the agent, disable the server, or force it, after which the agent must join again", plural(away))
	}
	missed, err := d.tellCoreKey(ctx, r, "learn", keys, false)
	switch {
	case err != nil:
		return run.Outcome{}, err
	case len(missed) > 0 && !p.Force:
		return run.Outcome{}, schema.Errorf(schema.Failed, "core keeps its keys: not every agent learned the new ones: %s", strings.Join(missed, "; "))
	}
	if err := d.Maintenance.UseCoreKeys(ctx, keys.Key); err != nil {
		return run.Outcome{}, err
	}
	late, err := d.tellCoreKey(ctx, r, "use", keys, true)
	if err != nil {
		return run.Outcome{}, err
	}
	dec := schema.Decision{What: "rotate", Reason: fmt.Sprintf("core has new keys (%.8s…), which %d agents know", keys.Key, len(keys.Servers)-len(away)-len(missed))}
	if len(late) > 0 {
		dec.Reason += "; forget the ones before at their next start: " + strings.Join(late, "; ")
	}
	out := run.Outcome{Note: dec.Reason}
	if lost := append(away, missed...); len(lost) > 0 {
		dec.Reason += "; must join again: " + strings.Join(lost, "; ")
		out = run.Outcome{State: schema.StateWarning, Note: dec.Reason}
	}
	return out, r.Note(ctx, run.Note{Decision: &dec})
}

// tellCoreKey tells every agent that is online of the new keys; missed names those
// that did not take it, with the reason.
func (d *Deps) tellCoreKey(ctx context.Context, r *run.Run, step string, keys CoreKeys, now bool) (missed []string, err error) {
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(16)
	for _, s := range keys.Servers {
		if !s.Online {
			continue
		}
		g.Go(func() error {
			job := run.Job{Step: step + " " + s.Server.Name, Server: s.Server, Key: "core-key-" + s.Server.ID, Wait: rotateWait}
			_, err := run.Do(ctx, r, job, schema.CoreKey, schema.CoreKeyReq{Key: keys.Key, Pin: keys.Pin, Now: now})
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				missed = append(missed, s.Server.Name+": "+schema.SafeText(err))
			}
			return nil
		})
	}
	return missed, g.Wait()
}

func plural(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}
