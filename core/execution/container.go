package execution

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"berth/core/run"
	"berth/schema"
)

// ContainerParams are the parameters of StartContainer and its like.
type ContainerParams struct {
	Server    string `json:"server" doc:"Name or id of the server."`
	Container string `json:"container" doc:"Name or id of the container."`
}

// StopContainerParams are the parameters of StopContainer and DestroyContainer.
type StopContainerParams struct {
	Server    string        `json:"server" doc:"Name or id of the server."`
	Container string        `json:"container" doc:"Name or id of the container."`
	Signal    schema.Signal `json:"signal,omitempty" doc:"Signal that is sent instead of the container's own: SIGHUP, SIGINT, SIGQUIT or SIGTERM."`
	Time      *int          `json:"time,omitempty" doc:"Seconds until the container is killed, instead of its own."`
}

// ServerParams are the parameters of what is done to all of a server.
type ServerParams struct {
	Server string `json:"server" doc:"Name or id of the server."`
}

// NamedParams are the parameters of DeleteImage and its like.
type NamedParams struct {
	Server string `json:"server" doc:"Name or id of the server."`
	Name   string `json:"name" doc:"Name or id of what is deleted."`
}

// Container returns the body of an action on the one container that is named,
// whoever's it is.
func (d *Deps) Container(verb string) run.Body {
	return func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		var p StopContainerParams
		if err := r.Params(&p); err != nil {
			return run.Outcome{}, err
		}
		name := strings.TrimPrefix(strings.TrimSpace(p.Container), "/")
		switch {
		case name == "":
			return run.Outcome{}, schema.Errorf(schema.Invalid, "%s container: name it", verb)
		case p.Time != nil && *p.Time < 0:
			return run.Outcome{}, schema.Errorf(schema.Invalid, "%s container %q: time is %d: give seconds, 0 or more", verb, name, *p.Time)
		}
		req := schema.ContainerDoReq{Container: name, Verb: verb, Signal: string(p.Signal), Time: p.Time, Core: ownContainer()}
		doing := fmt.Sprintf("%s container %q", verb, name)
		return engineStep(ctx, d, r, engineJob[schema.ContainerDoReq]{verb, doing, schema.ContainerDo, req})
	}
}

// AllContainers returns the body of an action on all containers that Berth manages
// on a server. None at all is a warning.
func (d *Deps) AllContainers(verb string) run.Body {
	return func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		managed, err := d.managed(ctx, r.Record().Target.ID)
		if err != nil {
			return run.Outcome{}, err
		}
		out, err := engineStep(ctx, d, r, engineJob[schema.ContainersDoReq]{
			verb, verb + " all containers", schema.ContainersDo, schema.ContainersDoReq{Verb: verb, Managed: managed},
		})
		if dec := r.Record().Decision; err == nil && dec != nil && dec.What == nothing {
			out.State = schema.StateWarning
		}
		return out, err
	}
}

// Delete returns the body of an action that removes one image, network or volume.
func (d *Deps) Delete(kind string) run.Body {
	return func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		var p NamedParams
		if err := r.Params(&p); err != nil {
			return run.Outcome{}, err
		}
		doing := fmt.Sprintf("delete %s %q", kind, p.Name)
		return engineStep(ctx, d, r, engineJob[schema.EngineDeleteReq]{"delete", doing, schema.EngineDelete, schema.EngineDeleteReq{Kind: kind, Name: p.Name}})
	}
}

// engineJob is one step on a server's engine.
type engineJob[Req any] struct {
	what  string // of the decision: start, prune, ...
	doing string // in words, for errors
	verb  schema.Job[Req, schema.EngineResp]
	req   Req
}

// engineStep sends the work to the server and records what was done and what was
// left alone. What an agent was interrupted in is done again: none of it does harm.
func engineStep[Req any](ctx context.Context, d *Deps, r *run.Run, j engineJob[Req]) (run.Outcome, error) {
	rec := r.Record()
	server, err := d.server(ctx, "action", rec.Action, rec.Target.ID)
	if err != nil {
		return run.Outcome{}, err
	}
	var resp schema.EngineResp
	job := run.Job{Step: j.what, Server: server}
	for attempt := 1; ; attempt++ {
		if attempt > 1 {
			job.Step = fmt.Sprintf("%s, attempt %d", j.what, attempt)
		}
		resp, err = run.Do(ctx, r, job, j.verb, j.req)
		if schema.CodeOf(err) != schema.Interrupted || attempt == maxAttempts {
			break
		}
	}
	if err != nil {
		return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "%s", j.doing)
	}
	dec := engineDecision(j.what, resp)
	if err := r.Note(ctx, run.Note{Decision: &dec}); err != nil {
		return run.Outcome{}, err
	}
	if n := len(resp.Failed); n > 0 {
		return run.Outcome{}, schema.Errorf(schema.Failed, "%s: %d of %d failed: %s", j.doing, n, n+resp.Count, strings.Join(resp.Failed, "; "))
	}
	return run.Outcome{Note: dec.Reason}, nil
}

// The decisions of what found nothing to do: nothing there, or all of it as it is
// to be.
const (
	nothing   = "nothing"
	unchanged = "unchanged"
)

// engineDecision says in one sentence what was done and what was not, and lists it.
func engineDecision(what string, resp schema.EngineResp) schema.Decision {
	dec := schema.Decision{What: what}
	var parts []string
	if sum := sumUp(resp.Changed); sum != "" {
		parts = append(parts, sum)
	}
	if resp.Reclaimed > 0 {
		parts = append(parts, schema.Bytes(resp.Reclaimed)+" reclaimed")
	}
	for _, c := range resp.Changed {
		dec.Changes = append(dec.Changes, fmt.Sprintf("%s %s %s", c.Kind, c.Name, c.What))
	}
	if more := resp.Count - len(resp.Changed); more > 0 {
		dec.Changes = append(dec.Changes, fmt.Sprintf("and %d more", more))
	}
	left := 0
	for _, l := range resp.Left {
		left += l.Count
		names := strings.Join(l.Names, ", ")
		if more := l.Count - len(l.Names); more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		dec.Changes = append(dec.Changes, fmt.Sprintf("left alone: %s %s: %s", l.Kind, names, l.Reason))
	}
	if resp.Count == 0 && len(resp.Failed) == 0 {
		dec.What = nothing
		if slices.ContainsFunc(resp.Left, func(l schema.EngineLeft) bool { return strings.HasSuffix(l.Reason, "already") }) {
			dec.What = unchanged
		}
		parts = append([]string{"nothing to " + what}, parts...)
	}
	if left > 0 {
		parts = append(parts, fmt.Sprintf("%d left alone (%s)", left, reasons(resp.Left)))
	}
	dec.Reason = strings.Join(parts, "; ")
	return dec
}

// sumUp counts what was done: "3 containers stopped, 1 network removed".
func sumUp(list []schema.EngineChange) string {
	var order []string
	count := map[string]int{}
	for _, c := range list {
		key := c.Kind + "\x00" + c.What
		if count[key]++; count[key] == 1 {
			order = append(order, key)
		}
	}
	var out []string
	for _, key := range order {
		kind, what, _ := strings.Cut(key, "\x00")
		if n := count[key]; n == 1 {
			i := slices.IndexFunc(list, func(c schema.EngineChange) bool { return c.Kind == kind && c.What == what })
			out = append(out, fmt.Sprintf("%s %s %s", kind, list[i].Name, what))
		} else {
			out = append(out, fmt.Sprintf("%d %ss %s", n, kind, what))
		}
	}
	return strings.Join(out, ", ")
}

// reasons lists why things were left alone, each once.
func reasons(list []schema.EngineLeft) string {
	var out []string
	for _, l := range list {
		text := fmt.Sprintf("%d %s: %s", l.Count, l.Kind, l.Reason)
		if len(out) == 4 {
			return strings.Join(append(out, "…"), ", ")
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// ownContainer returns the id of the container core runs in, "" for none.
func ownContainer() string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	return schema.OwnContainer(string(table))
}

// managed lists what Berth manages on a server: the stacks and deployments
// that are set to it or were deployed to it last.
func (d *Deps) managed(ctx context.Context, server string) (schema.Managed, error) {
	m := schema.Managed{Core: ownContainer()}
	stacks, err := d.Stacks.AllStacks(ctx)
	if err != nil {
		return m, err
	}
	for _, st := range stacks {
		last, err := d.Stacks.Deployed(ctx, st.ID)
		if err != nil {
			return m, err
		}
		here := last != nil && (last.Server == server || last.Server == "")
		if st.Config.ServerID != server && !here {
			continue
		}
		p := schema.ManagedProject{Name: projectOf(st, last), Stack: st.ID}
		if here {
			for _, s := range last.Services {
				p.Services = append(p.Services, s.Name)
			}
			m.Images = append(m.Images, slices.Concat(append(last.Earlier, imagesOf(last))...)...)
		}
		m.Projects = append(m.Projects, p)
	}
	if m.Containers, err = d.Singles.DeploymentContainers(ctx, server); err != nil {
		return m, err
	}
	singles, err := d.imagesOfSingles(ctx, server)
	if err != nil {
		return m, err
	}
	built, err := d.builtOn(ctx, server)
	m.Images = slices.Concat(m.Images, singles, built)
	slices.Sort(m.Images)
	m.Images = slices.Compact(m.Images)
	return m, err
}

// imagesOfSingles lists the images of the last good deploys of a server's
// deployments.
func (d *Deps) imagesOfSingles(ctx context.Context, server string) ([]string, error) {
	list, err := d.Singles.AllDeployments(ctx)
	var out []string
	for _, r := range list {
		last, err := d.Singles.DeploymentState(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		if last != nil && last.Server == server {
			out = append(out, slices.Concat(append(last.Earlier, imagesOf(last))...)...)
		}
	}
	return out, err
}

// builtOn lists the images that builds made last on a server and that no registry
// has.
func (d *Deps) builtOn(ctx context.Context, server string) ([]string, error) {
	if d.Builds == nil {
		return nil, nil
	}
	list, err := d.Builds.AllBuilds(ctx)
	var out []string
	for _, b := range list {
		s, err := d.Builds.BuildState(ctx, b.ID)
		if err != nil {
			return nil, err
		}
		if s.Server == server && !s.Pushed && s.Digest != "" {
			out = append(out, s.Digest)
		}
	}
	return out, err
}

// keepEarlier is how many sets of images before the last one are kept of a stack.
const keepEarlier = 2

// earlier lists the images of the good deploys before dep, newest first. Deploys
// that changed no image do not push others out.
func earlier(last, dep *schema.Deployed) [][]string {
	if last == nil || last.Server != dep.Server {
		return nil
	}
	was := imagesOf(last)
	if slices.Equal(was, imagesOf(dep)) {
		return last.Earlier
	}
	list := append([][]string{was}, last.Earlier...)
	return list[:min(keepEarlier, len(list))]
}

// imagesOf lists the images of a deploy, by name and by id.
func imagesOf(dep *schema.Deployed) []string {
	var out []string
	for _, s := range dep.Services {
		out = append(out, s.Image)
	}
	for _, in := range dep.Inputs {
		for name, id := range in {
			if strings.HasPrefix(name, "image:") && id != "" {
				out = append(out, id)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
