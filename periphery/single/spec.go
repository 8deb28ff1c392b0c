package single

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/containerd/platforms"
	"github.com/docker/cli/opts"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"berth/schema"
)

// onFailureTries is how often `restart = on-failure` starts a container again.
const onFailureTries = 10

// Settings are a deployment's, with variables replaced.
type Settings struct {
	Name        string // of the container
	Image       string
	Network     string
	Restart     string
	Command     string
	ExtraArgs   []string
	Ports       string
	Volumes     string
	Environment string
	Labels      string
}

// Spec is what the engine is asked for.
type Spec struct {
	Name     string
	Options  client.ContainerCreateOptions // without the name
	Platform string                        // os/arch, empty for the engine's own
	Pull     string                        // always, missing or never
}

// Translate turns settings into what the engine is asked for. What is wrong with
// them is schema.Invalid and names the setting.
func Translate(s Settings) (Spec, error) {
	f, err := readFlags(s.ExtraArgs)
	if err != nil {
		return Spec{}, err
	}
	t := &translation{s: s, f: f, config: &container.Config{Image: s.Image}, host: &container.HostConfig{}}
	for _, part := range []func() error{t.environment, t.labels, t.command, t.identity, t.ports, t.volumes, t.devices, t.limits, t.rights, t.restart, t.health, t.network} {
		if err := part(); err != nil {
			return Spec{}, err
		}
	}
	return t.spec()
}

// translation is one on its way.
type translation struct {
	s      Settings
	f      *flags
	config *container.Config
	host   *container.HostConfig
	out    Spec
}

func (t *translation) spec() (Spec, error) {
	t.out.Name = t.s.Name
	t.out.Options.Config, t.out.Options.HostConfig = t.config, t.host
	t.out.Pull, t.out.Platform = t.f.text("pull"), t.f.text("platform")
	if t.out.Pull == "" {
		t.out.Pull = "always"
	}
	if !slices.Contains([]string{"always", "missing", "never"}, t.out.Pull) {
		return t.out, schema.Errorf(schema.Invalid, "extra_args: --pull is %q: always, missing or never", t.out.Pull)
	}
	if t.out.Platform != "" {
		p, err := platforms.Parse(t.out.Platform)
		if err != nil {
			return t.out, schema.Errorf(schema.Invalid, "extra_args: --platform is %q: write os/arch, as linux/arm64", t.out.Platform)
		}
		t.out.Options.Platform = &p
	}
	return t.out, nil
}

// pairs reads a field of lines.
func pairs(field, text string) ([]schema.EnvVar, error) {
	vars, err := schema.ParseEnv(text)
	return vars, schema.Wrap(schema.Invalid, err, "%s", field)
}

// environment is the setting's, then those of --env; the last one of a name counts.
func (t *translation) environment() error {
	vars, err := pairs("environment", t.s.Environment)
	if err != nil {
		return err
	}
	var list []string
	for _, v := range vars {
		list = append(list, strings.TrimSpace(strings.TrimPrefix(schema.Unquoted(v.Key), "export "))+"="+schema.Unshelled(v.Value))
	}
	for _, v := range t.f.env {
		if !strings.Contains(v, "=") {
			return schema.Errorf(schema.Invalid, "extra_args: --env %s has no value: the agent's own environment is not handed to containers; write NAME=VALUE", v)
		}
		list = append(list, v)
	}
	last := map[string]int{}
	for i, v := range list {
		name, _, _ := strings.Cut(v, "=")
		if name == "" {
			return schema.Errorf(schema.Invalid, "environment: a line has no name before its =")
		}
		last[name] = i
	}
	for i, v := range list {
		if name, _, _ := strings.Cut(v, "="); last[name] == i {
			t.config.Env = append(t.config.Env, v)
		}
	}
	return nil
}

func (t *translation) labels() error {
	vars, err := pairs("labels", t.s.Labels)
	if err != nil {
		return err
	}
	t.config.Labels = map[string]string{}
	for _, v := range vars {
		t.config.Labels[schema.Unquoted(v.Key)] = schema.Unshelled(v.Value)
	}
	maps.Copy(t.config.Labels, opts.ConvertKVStringsToMap(t.f.labels))
	for name := range t.config.Labels {
		if slices.Contains([]string{LabelDeployment, LabelInputs, LabelBefore, LabelBeforeRan}, name) {
			return schema.Errorf(schema.Invalid, "labels: %s is Berth's own", name)
		}
	}
	return nil
}

func (t *translation) command() error {
	words, err := schema.ShellWords(t.s.Command)
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "command")
	}
	t.config.Cmd = words
	if t.f.given("entrypoint") { // given and empty takes the image's away
		t.config.Entrypoint = []string{t.f.text("entrypoint")}
	}
	t.config.Tty, t.config.OpenStdin = t.f.on("tty"), t.f.on("interactive")
	t.config.StopSignal = t.f.text("stop-signal")
	if t.f.given("stop-timeout") {
		n := int(t.f.number("stop-timeout"))
		t.config.StopTimeout = &n
	}
	return nil
}

func (t *translation) identity() error {
	t.config.Hostname, t.config.Domainname = t.f.text("hostname"), t.f.text("domainname")
	t.config.User, t.config.WorkingDir = t.f.text("user"), t.f.text("workdir")
	h := t.host
	h.PidMode, h.IpcMode, h.UTSMode = container.PidMode(t.f.text("pid")), container.IpcMode(t.f.text("ipc")), container.UTSMode(t.f.text("uts"))
	h.UsernsMode, h.CgroupnsMode = container.UsernsMode(t.f.text("userns")), container.CgroupnsMode(t.f.text("cgroupns"))
	for name, valid := range map[string]bool{
		"pid": h.PidMode.Valid(), "ipc": h.IpcMode.Valid(), "uts": h.UTSMode.Valid(), "userns": h.UsernsMode.Valid(), "cgroupns": h.CgroupnsMode.Valid(),
	} {
		if !valid {
			return schema.Errorf(schema.Invalid, "extra_args: --%s does not take %q", name, t.f.text(name))
		}
	}
	if t.f.given("init") {
		on := t.f.on("init")
		h.Init = &on
	}
	h.Runtime, h.ReadonlyRootfs, h.GroupAdd, h.Annotations = t.f.text("runtime"), t.f.on("read-only"), t.f.groups, t.f.annotations.GetAll()
	h.LogConfig = container.LogConfig{Type: t.f.text("log-driver"), Config: opts.ConvertKVStringsToMap(t.f.logOpts)}
	return nil
}

// volumes are mounts of both settings.
func (t *translation) volumes() error {
	lines, err := pairs("volumes", t.s.Volumes)
	if err != nil {
		return err
	}
	var specs []string
	for _, l := range lines {
		specs = append(specs, schema.Unquoted(l.Key)+":"+schema.Unquoted(l.Value))
	}
	t.config.Volumes = map[string]struct{}{}
	for _, spec := range append(specs, t.f.volumes...) {
		if err := t.volume(spec); err != nil {
			return err
		}
	}
	t.host.Mounts = t.f.mounts.Value()
	t.host.VolumesFrom, t.host.VolumeDriver = t.f.volumesFrom, t.f.text("volume-driver")
	for _, spec := range t.f.tmpfs {
		if t.host.Tmpfs == nil {
			t.host.Tmpfs = map[string]string{}
		}
		path, options, _ := strings.Cut(spec, ":")
		t.host.Tmpfs[path] = options
	}
	return nil
}

func (t *translation) volume(spec string) error {
	v, err := format.ParseVolume(spec)
	source, rest, _ := strings.Cut(spec, ":")
	switch {
	case err != nil:
		return schema.Errorf(schema.Invalid, "volumes: %q is not understood: write HOST:CONTAINER, HOST:CONTAINER:ro or VOLUME:CONTAINER", spec)
	case strings.ContainsAny(source, "$`"):
		return schema.Errorf(schema.Invalid, "volumes: %q: no shell replaces what stands there; write the path itself", spec)
	case v.Source == "":
		t.config.Volumes[strings.TrimSuffix(spec, ":")] = struct{}{}
		return nil
	case source == "~" || strings.HasPrefix(source, "~/"):
		home, err := os.UserHomeDir()
		if err != nil {
			return schema.Errorf(schema.Invalid, "volumes: %q: the agent has no home directory; write the whole path", spec)
		}
		spec = home + strings.TrimPrefix(source, "~") + ":" + rest
	case strings.HasPrefix(source, "."):
		return schema.Errorf(schema.Invalid, "volumes: %q is relative to nothing: write the whole path", spec)
	}
	t.host.Binds = append(t.host.Binds, spec)
	return nil
}

func (t *translation) restart() error {
	policy := t.s.Restart
	if t.f.given("restart") {
		policy = t.f.text("restart")
	}
	p, err := opts.ParseRestartPolicy(policy)
	if err != nil || container.ValidateRestartPolicy(p) != nil {
		return schema.Errorf(schema.Invalid, "restart: %q: no, on-failure, always or unless-stopped", policy)
	}
	if p.Name == container.RestartPolicyOnFailure && !t.f.given("restart") {
		p.MaximumRetryCount = onFailureTries
	}
	t.host.RestartPolicy = p
	return nil
}

func (t *translation) health() error {
	h := t.f.health
	set := t.f.healthCmd != "" || h.Interval != 0 || h.Timeout != 0 || h.StartPeriod != 0 || h.StartInterval != 0 || h.Retries != 0
	switch {
	case t.f.noHealth && set:
		return schema.Errorf(schema.Invalid, "extra_args: --no-healthcheck and --health-… exclude each other")
	case t.f.noHealth:
		t.config.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}}
	case set:
		if t.f.healthCmd != "" {
			h.Test = []string{"CMD-SHELL", t.f.healthCmd}
		}
		t.config.Healthcheck = &h
	}
	return nil
}

// Inputs are what feeds the container, by names that people know, in a form that
// two deploys can be compared by. They hold secrets.
func (s Spec) Inputs() (map[string]string, error) {
	config, host := *s.Options.Config, *s.Options.HostConfig
	out := map[string]string{"name": s.Name, "platform": s.Platform}
	for _, v := range config.Env {
		name, value, _ := strings.Cut(v, "=")
		out["environment "+name] = value
	}
	for name, value := range config.Labels {
		out["label "+name] = value
	}
	config.Env, config.Labels = nil, nil
	parts := map[string]any{
		"network": []any{host.NetworkMode, s.Options.NetworkingConfig, host.Links}, "ports": []any{host.PortBindings, config.ExposedPorts, host.PublishAllPorts},
		"volumes": []any{host.Binds, host.Mounts, host.Tmpfs, host.VolumesFrom, config.Volumes}, "restart": host.RestartPolicy, "command": config.Cmd,
		"image name": config.Image,
	}
	host.NetworkMode, host.Links, host.PortBindings, host.PublishAllPorts = "", nil, nil, false
	host.Binds, host.Mounts, host.Tmpfs, host.VolumesFrom, host.RestartPolicy = nil, nil, nil, nil, container.RestartPolicy{}
	config.ExposedPorts, config.Volumes, config.Cmd, config.Image = nil, nil, nil, ""
	parts["extra_args"] = []any{config, host}
	for name, part := range parts {
		text, err := json.Marshal(part)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		out[name] = strconv.Quote(string(text))
	}
	return out, nil
}
