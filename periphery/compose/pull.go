package compose

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"berth/periphery/docker"
	"berth/schema"
)

// pulls is how many images are pulled at once.
const pulls = 4

// image is one image that services of a plan need.
type image struct {
	ref      string
	platform string
	services []string
	here     bool // the engine has it
	want     bool // it is to be asked for even if it is here
	never    bool
	built    bool // some service builds it
}

// Pull gets the images of the plan's services. What the policies of the files and
// the flags say is kept; an image that cannot be pulled but is here already is a
// warning, one that is not here an error that names it and the registry's answer.
// Up does not pull again after it.
func (d *Deployer) Pull(ctx context.Context, p *Plan, emit Emit) ([]schema.Phase, []string, error) {
	j := newJob(emit, nil)
	err := j.run(PhasePull, func() error { return d.pull(ctx, p, j, true) })
	return j.phases, j.warnings, err
}

func (d *Deployer) pull(ctx context.Context, p *Plan, j *job, all bool) error {
	images, err := d.images(ctx, p, all)
	if err != nil {
		return err
	}
	group, ctx2 := errgroup.WithContext(ctx)
	group.SetLimit(pulls)
	for _, img := range images {
		switch {
		case img.never && img.here, img.built, img.here && !img.want:
			continue
		case img.never:
			return schema.Errorf(schema.NotFound, "pull image %s: pull_policy is never and the image is not on this host", img.ref)
		}
		group.Go(func() error {
			err := d.pullImage(ctx2, p, j, img)
			if err != nil && img.here && ctx2.Err() == nil {
				j.warn("%s; going on with the image that is on this host", schema.SafeText(err))
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return d.explain(ctx, err, "pull images")
	}
	p.pulled = true
	return nil
}

// errSilent says that a registry did not answer in time.
var errSilent = errors.New("i/o timeout: the registry does not answer")

// patience is how long a registry may take to answer at all: not long where the
// image is here and a newer one would only be nice to have.
func (img *image) patience() time.Duration {
	if img.here {
		return 20 * time.Second
	}
	return 2 * time.Minute
}

// images lists the images of the plan's services, with what is to be done.
func (d *Deployer) images(ctx context.Context, p *Plan, all bool) ([]*image, error) {
	byRef := map[string]*image{}
	for _, name := range p.project.ServiceNames() {
		service := p.project.Services[name]
		ref := api.GetImageNameOrDefault(service, p.project.Name)
		if byRef[ref] == nil {
			byRef[ref] = &image{ref: ref, platform: service.Platform}
		}
		byRef[ref].serve(service, p.policy(service), all)
		for _, v := range service.Volumes {
			if v.Type == types.VolumeTypeImage && byRef[v.Source] == nil {
				byRef[v.Source] = &image{ref: v.Source, services: []string{name}, want: all}
			}
		}
		for _, dep := range api.GetDependentImages(service, p.project.Name) {
			if byRef[dep] == nil {
				byRef[dep] = &image{ref: dep, services: []string{name}, want: all}
			}
		}
	}
	var out []*image
	for _, ref := range sorted(byRef) {
		img := byRef[ref]
		var err error
		if img.here, err = d.has(ctx, ref); err != nil {
			return nil, err
		}
		if strings.Contains(ref, "@sha256:") {
			img.want = false // what is here cannot have moved
		}
		out = append(out, img)
	}
	return out, nil
}

// serve notes a service that runs the image, and what its policy says of it.
func (img *image) serve(service types.ServiceConfig, policy string, all bool) {
	img.services = append(img.services, service.Name)
	img.built = img.built || service.Build != nil
	switch policy {
	case types.PullPolicyNever:
		img.never = true
	case types.PullPolicyMissing, types.PullPolicyIfNotPresent:
	case types.PullPolicyAlways:
		img.want = true
	case types.PullPolicyBuild:
		img.built = true
	default:
		img.want = img.want || all
	}
}

// policy is a service's pull policy, which --pull overrides.
func (p *Plan) policy(s types.ServiceConfig) string {
	switch p.flags.pull {
	case types.PullPolicyAlways, types.PullPolicyMissing, types.PullPolicyNever:
		return p.flags.pull
	}
	return s.PullPolicy
}

func (d *Deployer) pullImage(ctx context.Context, p *Plan, j *job, img *image) error {
	service, id := img.services[0], "Image "+img.ref
	j.state(service, id, api.StatusPulling, false)
	named, err := reference.ParseNormalizedNamed(img.ref)
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "pull image %s: %s", img.ref, oneLine(err))
	}
	auth, err := encodedAuth(p.spec.Registries, reference.Domain(named))
	if err != nil {
		return schema.Wrap(schema.Internal, err, "pull image %s", img.ref)
	}
	options := client.ImagePullOptions{RegistryAuth: auth}
	platform := img.platform
	if platform == "" {
		platform = p.project.Environment["DOCKER_DEFAULT_PLATFORM"]
	}
	if platform != "" {
		parsed, err := parsePlatform(platform)
		if err != nil {
			return schema.Wrap(schema.Invalid, err, "pull image %s", img.ref)
		}
		options.Platforms = []ocispec.Platform{parsed}
	}
	ctx2, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(img.patience(), func() { cancel(errSilent) })
	stream, err := d.engine.API().ImagePull(ctx2, img.ref, options)
	if !patience.Stop() && err != nil && ctx.Err() == nil {
		err = errSilent
	}
	if err != nil {
		return d.pullError(ctx, img, err)
	}
	defer stream.Close()
	for m, err := range stream.JSONMessages(ctx) {
		switch {
		case err != nil:
			return d.pullError(ctx, img, err)
		case m.Error != nil:
			return d.pullError(ctx, img, m.Error)
		case m.ID != "" && m.Progress != nil:
			j.progress(service, id+" "+m.ID, m.Status, m.Progress.Current, m.Progress.Total)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	j.state(service, id, api.StatusPulled, false)
	return nil
}

// pullError names the image, the registry's answer, and the way out.
func (d *Deployer) pullError(ctx context.Context, img *image, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if client.IsErrConnectionFailed(err) {
		return d.engine.Explain(err, "pull image "+img.ref)
	}
	text := docker.Text(err) // told once: whoever gets the error says it, or warns of it
	low := strings.ToLower(text)
	code, hint := schema.Failed, ""
	switch {
	case strings.Contains(low, "denied"), strings.Contains(low, "unauthorized"), strings.Contains(low, "no basic auth"):
		code, hint = schema.Denied, "; does it exist, and does the stack name a registry account that may read it?"
	case strings.Contains(low, "not found"), strings.Contains(low, "manifest unknown"), strings.Contains(low, "manifest_unknown"):
		code, hint = schema.NotFound, "; check name and tag"
	case strings.Contains(low, "no such host"), strings.Contains(low, "connection refused"), strings.Contains(low, "timeout"), strings.Contains(low, "deadline exceeded"),
		strings.Contains(low, "dial tcp"), strings.Contains(low, "toomanyrequests"):
		code, hint = schema.Unavailable, "; the registry does not serve this host now"
	}
	return schema.Wrap(code, err, "pull image %s for service %s: %s%s", img.ref, strings.Join(img.services, ", "), text, hint)
}

// encodedAuth is the login for a registry as the engine wants it.
func encodedAuth(auths map[string]Auth, domain string) (string, error) {
	for host, a := range auths {
		if authKey(host) == authKey(domain) {
			return authconfig.Encode(registry.AuthConfig{Username: a.User, Password: a.Password, ServerAddress: authKey(domain)})
		}
	}
	return "", nil
}

func parsePlatform(platform string) (ocispec.Platform, error) {
	parsed, err := platforms.Parse(platform)
	return parsed, schema.Wrap(schema.Invalid, err, "platform %q is not understood", platform)
}
