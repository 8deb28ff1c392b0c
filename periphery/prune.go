package periphery

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"berth/periphery/docker"
	"berth/schema"
)

// The rules of pruning. A container goes when it is managed and has ended; a network
// when it is of a managed project and no container, running or not, is on it; a
// volume when besides that its stack runs complete without it: the data of a stack
// that is down, or of a service that has no container, waits for its next deploy. An
// image goes when no container uses it, whoever's it was, and core does not name it:
// it names those of the last good deploys and of builds that no registry has. The
// build cache belongs to nobody: all of it goes that no build uses.
//
// What changes between the look and the deed is the engine's to refuse: nothing is
// pruned by force.

// measureTime bounds how long the engine may measure what things take on disk.
const measureTime = 30 * time.Second

// tidy is one batch at work. Its answer is written by several goroutines.
type tidy struct {
	a       *Agent
	job     *Job
	managed schema.Managed

	mu   sync.Mutex // guards what follows
	resp *schema.EngineResp
}

const foreign = "not managed by Berth"

// keeps returns why a batch leaves a thing alone whatever its state; "" when it is
// Berth's to change.
func (t *tidy) keeps(o docker.Object) string {
	if label := docker.Skipped(o.Labels); label != "" {
		return "it has the label " + label
	}
	switch o.Kind {
	case schema.EngineContainers:
		switch {
		case !t.managed.Has(o.Container):
			return foreign
		case o.ID == self():
			return "this agent runs in it"
		case o.ID == t.managed.Core && o.ID != "":
			return "core runs in it"
		}
	case schema.EngineNetworks, schema.EngineVolumes:
		if _, ok := t.managed.Project(o.Labels[docker.LabelProject]); !ok {
			return foreign
		}
	}
	return ""
}

func (t *tidy) leave(o docker.Object, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resp.Leave(o.Kind, o.Name, reason)
}

// try does something to a thing and notes what became of it. A thing that is gone is
// no failure; one that the engine does not give away is left.
func (t *tidy) try(ctx context.Context, o docker.Object, did string, do func() error) bool {
	err := do()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch code := schema.CodeOf(err); {
	case err == nil:
		t.resp.Add(o.Kind, o.Name, did)
		t.job.line("%s %s: %s", o.Kind, o.Name, did)
		return true
	case ctx.Err() != nil, code == schema.NotFound:
	case code == schema.Conflict:
		t.resp.Leave(o.Kind, o.Name, "the engine keeps it: "+schema.SafeText(err))
	default:
		t.resp.Failed = append(t.resp.Failed, schema.SafeText(err))
		t.job.line("%s %s: %s", o.Kind, o.Name, schema.SafeText(err))
	}
	return false
}

func (t *tidy) reclaim(bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resp.Reclaimed += max(bytes, 0)
}

// enginePrune tidies the engine, kind by kind.
func (a *Agent) enginePrune(ctx context.Context, j *Job, req schema.EnginePruneReq) (schema.EngineResp, error) {
	var resp schema.EngineResp
	leave, err := a.batch(ctx, j)
	if err != nil {
		return resp, err
	}
	defer leave()
	t := &tidy{a: a, job: j, managed: req.Managed, resp: &resp}
	if slices.Contains(req.Kinds, schema.EngineContainers) {
		j.touches()
	}
	for _, kind := range req.Kinds {
		prune, ok := map[string]func(context.Context) error{
			schema.EngineContainers: t.containers, schema.EngineNetworks: t.networks, schema.EngineImages: t.images,
			schema.EngineVolumes: t.volumes, schema.EngineCache: t.cache,
		}[kind]
		if !ok {
			return resp, schema.Errorf(schema.Unsupported, "prune %s: this agent (%s) does not know that: update it", kind, a.cfg.Version)
		}
		err := j.phase(ctx, kind, func(ctx context.Context) (string, error) {
			count, freed := resp.Count, resp.Reclaimed
			if err := prune(ctx); err != nil {
				return "", err
			}
			return fmt.Sprintf("%d removed, %s", resp.Count-count, schema.Bytes(resp.Reclaimed-freed)), nil
		})
		if err != nil {
			return resp, err
		}
	}
	for _, l := range resp.Left {
		j.line("left alone: %d × %s: %s: %s", l.Count, l.Kind, l.Reason, strings.Join(l.Names, ", "))
	}
	return resp, nil
}

func (t *tidy) containers(ctx context.Context) error {
	all, err := t.a.engine.ContainerObjects(ctx, true)
	if err != nil {
		return err
	}
	for _, o := range all {
		if slices.Contains([]string{"running", "paused", "restarting", "removing"}, o.Container.State) {
			continue // in use: nothing to say
		}
		if reason := t.keeps(o); reason != "" {
			t.leave(o, reason)
			continue
		}
		if t.try(ctx, o, "removed", func() error { return t.a.engine.Remove(ctx, o.Kind, o.ID) }) {
			t.reclaim(o.Size)
		}
	}
	return ctx.Err()
}

// used lists the names of networks and volumes that containers use, running or not,
// and the services that have containers, by project.
func (t *tidy) used(ctx context.Context) (names map[string]bool, services map[string][]string, err error) {
	all, err := t.a.engine.ContainerObjects(ctx, false)
	names, services = map[string]bool{}, map[string][]string{}
	for _, o := range all {
		for _, name := range o.Uses {
			names[name] = true
		}
		if o.Labels[docker.LabelOneoff] != "True" {
			services[o.Container.Project] = append(services[o.Container.Project], o.Container.Service)
		}
	}
	return names, services, err
}

func (t *tidy) networks(ctx context.Context) error {
	used, _, err := t.used(ctx)
	if err != nil {
		return err
	}
	all, err := t.a.engine.NetworkObjects(ctx)
	if err != nil {
		return err
	}
	for _, o := range all {
		if o.Builtin || used[o.Name] || used[o.ID] {
			continue
		}
		if reason := t.keeps(o); reason != "" {
			t.leave(o, reason)
			continue
		}
		t.try(ctx, o, "removed", func() error { return t.a.engine.Remove(ctx, o.Kind, o.ID) })
	}
	return ctx.Err()
}

func (t *tidy) volumes(ctx context.Context) error {
	used, services, err := t.used(ctx)
	if err != nil {
		return err
	}
	all, err := t.a.engine.VolumeObjects(ctx)
	if err != nil {
		return err
	}
	var sizes map[string]int64
	for _, o := range all {
		if used[o.Name] {
			continue
		}
		reason := t.keeps(o)
		if reason == "" {
			reason = t.needed(o, services)
		}
		if reason != "" {
			t.leave(o, reason)
			continue
		}
		if sizes == nil {
			sizes = t.a.engine.VolumeSizes(ctx, measureTime)
		}
		if t.try(ctx, o, "removed", func() error { return t.a.engine.Remove(ctx, o.Kind, o.ID) }) {
			t.reclaim(sizes[o.Name])
		}
	}
	return ctx.Err()
}

// needed returns why a volume that no container uses may be wanted still.
func (t *tidy) needed(o docker.Object, services map[string][]string) string {
	p, _ := t.managed.Project(o.Labels[docker.LabelProject])
	if len(p.Services) == 0 {
		return fmt.Sprintf("project %s is not deployed by Berth: its data waits for a deploy", p.Name)
	}
	for _, s := range p.Services {
		if !slices.Contains(services[p.Name], s) {
			return fmt.Sprintf("service %s of project %s has no container: its data waits for a deploy", s, p.Name)
		}
	}
	return ""
}

func (t *tidy) images(ctx context.Context) error {
	containers, err := t.a.engine.ContainerObjects(ctx, false)
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, o := range containers {
		used[o.Container.ImageID], used[o.Container.Image] = true, true
	}
	all, err := t.a.engine.ImageObjects(ctx)
	if err != nil {
		return err
	}
	before := int64(-1)
	for _, o := range all {
		if used[o.ID] || slices.ContainsFunc(o.Tags, func(tag string) bool { return used[tag] }) {
			continue
		}
		if reason := t.wanted(o); reason != "" {
			t.leave(o, reason)
			continue
		}
		if before < 0 {
			before = t.a.engine.LayersSize(ctx, measureTime)
		}
		t.try(ctx, o, "removed", func() error { return t.removeImage(ctx, o) })
	}
	if before > 0 {
		t.reclaim(before - t.a.engine.LayersSize(ctx, measureTime))
	}
	return ctx.Err()
}

// wanted returns why an image that no container uses is kept.
func (t *tidy) wanted(o docker.Object) string {
	if reason := t.keeps(o); reason != "" {
		return reason
	}
	for _, ref := range t.managed.Images {
		if ref == o.ID || slices.ContainsFunc(o.Tags, func(tag string) bool { return docker.SameImage(tag, ref) }) {
			return "a recent good deploy used it, or it is the newest of a build"
		}
	}
	return ""
}

// removeImage drops all names of an image, one by one and not by force, so that the
// engine can refuse.
func (t *tidy) removeImage(ctx context.Context, o docker.Object) error {
	names := o.Tags
	if len(names) == 0 {
		names = []string{o.ID}
	}
	for _, name := range names {
		if err := t.a.engine.Remove(ctx, o.Kind, name); err != nil && schema.CodeOf(err) != schema.NotFound {
			return err
		}
	}
	return nil
}

func (t *tidy) cache(ctx context.Context) error {
	n, bytes, err := t.a.engine.PruneCache(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		t.mu.Lock()
		t.resp.Add(schema.EngineCache, fmt.Sprintf("%d entries", n), "removed")
		t.mu.Unlock()
	}
	t.reclaim(bytes)
	return nil
}
