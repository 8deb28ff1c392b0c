package periphery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"berth/periphery/docker"
	"berth/periphery/single"
	"berth/schema"
)

// containerInputs is the key of a deployment's inputs in schema.Deployed.
const containerInputs = "container"

// oneUp is a single container on its way to being deployed.
type oneUp struct {
	a      *Agent
	job    *Job
	req    schema.DeploymentUpReq
	know   *known
	spec   single.Spec
	image  string            // id
	inputs map[string]string // name → keyed digest
	digest string            // of them all
	stale  error             // why the image that is here was not pulled anew
	resp   schema.DeploymentUpResp
}

// deploymentUp puts a deployment's container in the place of the one before, or
// decides that nothing changed.
func (a *Agent) deploymentUp(ctx context.Context, j *Job, req schema.DeploymentUpReq) (schema.DeploymentUpResp, error) {
	d := &oneUp{a: a, job: j, req: req}
	for _, part := range []func(context.Context) error{d.recover, d.prepare, d.pull, d.replace} {
		if err := part(ctx); err != nil {
			return d.resp, err
		}
	}
	return d.resp, nil
}

// recover finishes or takes back what an earlier deploy was interrupted in.
func (d *oneUp) recover(ctx context.Context) error {
	note, err := d.a.single.Recover(ctx, d.req.ID)
	if note != "" {
		d.job.line("an earlier deploy was interrupted: %s", note)
	}
	return err
}

// prepare replaces variables and turns the settings into what the engine is asked
// for: what is wrong with them is said before anything is touched.
func (d *oneUp) prepare(ctx context.Context) error {
	c := d.req.Config
	var n needs
	if d.req.RegistryAccount != "" {
		n.registry = append(n.registry, d.req.Account())
	}
	var texts []string
	if !c.SkipSecretInterp {
		for _, f := range oneFields(c) {
			texts = append(texts, f.text)
		}
	}
	var err error
	if d.know, err = d.job.learn(ctx, texts, n); err != nil {
		return err
	}
	return d.job.phase(ctx, "config", func(context.Context) (string, error) {
		s := single.Settings{Name: d.req.Container(), Image: d.req.Image, Network: c.Network, Restart: c.Restart}
		for field, to := range map[string]*string{
			"environment": &s.Environment, "ports": &s.Ports, "volumes": &s.Volumes, "labels": &s.Labels, "command": &s.Command,
		} {
			if err := d.text(field, to); err != nil {
				return "", err
			}
		}
		for _, arg := range c.ExtraArgs {
			text, _, err := d.know.interpolate(arg, c.SkipSecretInterp)
			if err != nil {
				return "", schema.Wrap(schema.Invalid, err, "extra_args")
			}
			s.ExtraArgs = append(s.ExtraArgs, text)
		}
		d.unknown()
		if d.spec, err = single.Translate(s); err != nil {
			return "", err
		}
		return s.Image, d.digests()
	})
}

// oneFields are the fields in which variables are replaced (reference: resources.md
// §4.3).
func oneFields(c schema.DeploymentConfig) []fieldText {
	return []fieldText{
		{"environment", string(c.Environment)},
		{"ports", string(c.Ports)},
		{"volumes", string(c.Volumes)},
		{"labels", string(c.Labels)},
		{"command", c.Command},
		{"extra_args", strings.Join(c.ExtraArgs, "\n")},
	}
}

func (d *oneUp) text(field string, to *string) error {
	for _, f := range oneFields(d.req.Config) {
		if f.field == field {
			text, _, err := d.know.interpolate(f.text, d.req.Config.SkipSecretInterp)
			*to = text
			return schema.Wrap(schema.Invalid, err, "%s", field)
		}
	}
	return nil
}

// unknown warns of variables that do not exist: that their names are left in the
// texts is Komodo's way.
func (d *oneUp) unknown() {
	if d.req.Config.SkipSecretInterp {
		return
	}
	for _, f := range oneFields(d.req.Config) {
		names, err := schema.Placeholders(f.text)
		if err != nil {
			continue // learn has refused it
		}
		for _, name := range names {
			if _, ok := d.know.Variables[name]; !ok {
				d.warn("`[[%s]]` in %s: no variable of that name; it is left as it stands", name, f.field)
			}
		}
	}
}

func (d *oneUp) warn(format string, args ...any) {
	text := d.job.mask.Mask(fmt.Sprintf(format, args...))
	if !slices.Contains(d.resp.Warnings, text) {
		d.job.line("warning: %s", text)
		d.resp.Warnings = append(d.resp.Warnings, text)
	}
}

// digests makes the inputs comparable with those of the next deploy.
func (d *oneUp) digests() error {
	values, err := d.spec.Inputs()
	if err != nil {
		return err
	}
	d.inputs = map[string]string{}
	var all [][]byte
	for _, name := range slices.Sorted(maps.Keys(values)) {
		d.inputs[name] = d.a.digests.Digest([]byte("deployment"), []byte(name), []byte(values[name]))
		all = append(all, []byte(d.inputs[name]))
	}
	d.digest = d.a.digests.Digest(all...)
	return nil
}

// pull gets the image. One that is here already does when the registry has it not.
func (d *oneUp) pull(ctx context.Context) error {
	var err error
	if d.image, err = d.a.single.Has(ctx, d.req.Image); err != nil {
		return err
	}
	policy := d.spec.Pull
	switch {
	case d.image != "" && (d.req.Local || policy != "always" || strings.Contains(d.req.Image, "@sha256:")):
		return nil
	case d.req.Local:
		return schema.Errorf(schema.NotFound, "image %s is not on this server, and no registry has it: the build pushed it nowhere. Set image_registry of the build, or deploy on the server that built it", d.req.Image)
	case policy == "never":
		return schema.Errorf(schema.NotFound, "image %s is not on this server, and --pull never forbids to pull it", d.req.Image)
	}
	login, err := d.login()
	if err != nil {
		return err
	}
	return d.job.phase(ctx, "pull", func(ctx context.Context) (string, error) {
		err := d.a.single.Pull(ctx, d.spec, login, d.image != "", func(id, text string, current, total int64) {
			d.job.out.add(schema.Entry{Kind: schema.EntryProgress, ID: id, Text: text, Current: current, Total: total})
		})
		if err != nil && (d.image == "" || ctx.Err() != nil) {
			return "", err
		}
		if err != nil {
			d.stale = err
			d.warn("%s; going on with the image that is on this server", schema.SafeText(err))
			return "not pulled", nil
		}
		if d.image, err = d.a.single.Has(ctx, d.req.Image); err == nil && d.image == "" {
			err = schema.Errorf(schema.NotFound, "image %s was pulled, but the engine does not have it under that name", d.req.Image)
		}
		return d.req.Image, err
	})
}

// login is the account that the image is pulled with; nil for none.
func (d *oneUp) login() (*single.Login, error) {
	if d.req.RegistryAccount == "" {
		return nil, nil //nolint:nilnil // without one
	}
	for _, t := range d.know.Registry {
		if t.AccountRef == d.req.Account() {
			return &single.Login{User: t.Account, Password: t.Token}, nil
		}
	}
	return nil, schema.Errorf(schema.NotFound, "no token for account %q at registry %s: add it to core's configuration: [[image_registry]] domain = %q, accounts = [{ username = %q, token = … }]",
		d.req.RegistryAccount, d.req.RegistryProvider, d.req.RegistryProvider, d.req.RegistryAccount)
}

// replace puts the container in its place, unless the one that runs is the same.
func (d *oneUp) replace(ctx context.Context) error {
	before, err := d.before(ctx)
	if err != nil {
		return err
	}
	var done bool
	d.resp.Decision, done = d.decide(before)
	d.job.line("decision: %s: %s", d.resp.Decision.What, d.resp.Decision.Reason)
	if done {
		d.resp.Container = before.ID
		if d.req.Last == nil || d.req.Last.Dirty != "" || d.req.Last.Digest != d.digest {
			d.resp.Deployed = d.deployed()
		}
		return nil
	}
	if before != nil {
		if err := d.notItself(before); err != nil {
			return err
		}
	}
	d.job.touches()
	res, err := d.a.single.Replace(ctx, single.Replacement{
		Deployment: d.req.ID, Run: d.job.cmd.Run, Inputs: d.digest, Spec: d.spec, Before: before, Stop: d.stop(),
		Phase: d.job.phase, Say: d.job.line,
	})
	for _, w := range res.Warnings {
		d.warn("%s", w)
	}
	if err != nil {
		return err
	}
	d.resp.Container, d.resp.Deployed = res.ID, d.deployed()
	return nil
}

// before returns the container that is to be replaced; nil for none. One of that
// name that is not the deployment's is refused.
func (d *oneUp) before(ctx context.Context) (*single.Container, error) {
	own, err := d.a.single.Find(ctx, d.req.ID)
	if err != nil {
		return nil, err
	}
	named, err := d.a.single.Named(ctx, d.spec.Name)
	if err != nil || named == nil || named.Deployment() == d.req.ID {
		return own, err
	}
	switch project := named.Labels[docker.LabelProject]; {
	case named.Deployment() != "":
		return nil, schema.Errorf(schema.Conflict, "container %q belongs to another deployment (id %s): choose another name or custom_name", named.Name, named.Deployment())
	case project != "":
		return nil, schema.Errorf(schema.Conflict, "container %q belongs to the compose project %q: choose another name or custom_name", named.Name, project)
	case !d.req.Adopt:
		return nil, schema.Errorf(schema.Conflict, "there is a container %q on this server that Berth did not make: it was not touched. "+
			"Deploy with `adopt = true` to replace it (as after a move from Komodo), or choose another name or custom_name", named.Name)
	case own != nil:
		return nil, schema.Errorf(schema.Conflict, "the deployment runs as container %q, and there is a container %q that Berth did not make: remove one of them", own.Name, named.Name)
	}
	return named, nil
}

// decide says what is done and why; done that there is nothing left to do.
func (d *oneUp) decide(before *single.Container) (dec schema.Decision, done bool) {
	dec.What = "deploy"
	switch {
	case before == nil:
		dec.Reason = "there was no container"
	case before.Deployment() == "":
		dec.Reason = fmt.Sprintf("container %q, which Berth had not made, is adopted", before.Name)
	case d.req.Force && before.Labels[docker.LabelRun] != d.job.cmd.Run:
		dec.Reason = "asked for with force"
	case before.Labels[single.LabelInputs] != d.digest:
		dec.Changes = d.changes()
		dec.Reason = "settings changed"
		if n := len(dec.Changes); n > 0 {
			dec.Reason = strings.Join(dec.Changes[:min(n, 3)], ", ")
			if n > 3 {
				dec.Reason += fmt.Sprintf(" and %d more", n-3)
			}
		}
	case before.ImageID != d.image:
		dec.Reason = fmt.Sprintf("image %s changed: it was %s, it is %s", d.req.Image, shortImage(before.ImageID), shortImage(d.image))
		dec.Changes = []string{"image changed"}
	case before.State != "running":
		dec.Reason = "the container was " + before.State
	case before.Labels[docker.LabelRun] == d.job.cmd.Run:
		dec.Reason = "an earlier attempt of this run put the container in its place"
		done = true
	default:
		dec.What, dec.Reason = "unchanged", "the container runs, and image, settings and secrets are those it was made of"
		done = true
	}
	return dec, done
}

// changes names the inputs that differ from the last good deploy's.
func (d *oneUp) changes() []string {
	if d.req.Last == nil || d.req.Last.Server != "" && d.req.Last.Server != d.a.join.Server {
		return nil
	}
	last := d.req.Last.Inputs[containerInputs]
	var out []string
	for name, digest := range d.inputs {
		if was, ok := last[name]; !ok {
			out = append(out, name+" added")
		} else if was != digest {
			out = append(out, name+" changed")
		}
	}
	for name := range last {
		if _, ok := d.inputs[name]; !ok && name != schema.DeploymentImageInput {
			out = append(out, name+" removed")
		}
	}
	slices.Sort(out)
	return out
}

func shortImage(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

// notItself refuses what would end this agent or core half way.
func (d *oneUp) notItself(before *single.Container) error {
	who := "this agent runs in"
	switch before.ID {
	case self():
	case d.req.Core:
		who = "core runs in"
	default:
		return nil
	}
	return schema.Errorf(schema.Conflict, "container %q is the one %s: replacing it would end the work half way. "+
		"Replace it by hand on the server; what runs as a service of the host has no such limit", before.Name, who)
}

// stop says how the container before is ended: as asked for, else in the time that
// the settings give, with the signal they name where that is not the default.
func (d *oneUp) stop() docker.StopOptions {
	c := d.req.Config
	o := docker.StopOptions{Signal: d.req.Signal, Timeout: d.req.StopTime}
	if o.Signal == "" && c.TerminationSignal != schema.DefaultDeployment().TerminationSignal {
		o.Signal = c.TerminationSignal
	}
	if o.Timeout == nil {
		o.Timeout = &c.TerminationTimeout
	}
	return o
}

// deployed is what the next deploy compares with.
func (d *oneUp) deployed() *schema.Deployed {
	in := maps.Clone(d.inputs)
	in[schema.DeploymentImageInput] = d.image
	return &schema.Deployed{
		At: time.Now().UnixMilli(), Project: d.spec.Name, Digest: d.digest, Inputs: map[string]map[string]string{containerInputs: in},
		Services: []schema.DeployedService{{Name: d.req.Name, Image: d.req.Image, Container: d.spec.Name}},
	}
}

// deploymentLook finishes or takes back, after a crash, what was interrupted, so
// that whatever ran before runs again at once; the deploy is then begun anew.
func (a *Agent) deploymentLook(ctx context.Context, _ string, req schema.DeploymentUpReq) (*schema.DeploymentUpResp, string, error) {
	note, err := a.single.Recover(ctx, req.ID)
	if err != nil {
		return nil, "", err
	}
	if note == "" {
		note = "no container was in between"
	}
	return nil, note, nil
}
