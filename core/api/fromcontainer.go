package api

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"berth/core/access"
	"berth/schema"
)

type fromContainer struct {
	Server string `json:"server" doc:"Name or id of the server."`
	Name   string `json:"name" doc:"Name of the container; the deployment gets it too."`
}

// adoptRow makes a deployment of a container that runs already.
func (a *API) adoptRow() Row {
	b := kindAPI{a: a, name: "Deployment", info: a.deploymentInfos}
	r := Write(spec{
		name: "CreateDeploymentFromContainer", needs: access.CanRead, also: access.Inspect, kind: "server", creates: "deployment",
		doc:     "Create a deployment with the settings of a container that is there; the container is not touched until it is deployed.",
		example: map[string]any{"server": "my-server", "name": "web"},
	}, func(ctx context.Context, p fromContainer) (envelope, error) {
		k, err := a.deps.Kinds.Kind("deployment")
		if err != nil {
			return envelope{}, err
		}
		config, err := a.configOf(ctx, p)
		if err != nil {
			return envelope{}, err
		}
		raw, err := k.Create(ctx, p.Name, config)
		if err != nil {
			return envelope{}, err
		}
		b := b
		b.k = k
		return b.show(ctx, raw)
	})
	r.Result = func(s *shapes) any {
		k, err := a.deps.Kinds.Kind("deployment")
		if err != nil {
			return map[string]any{"type": "object"}
		}
		b := b
		b.k = k
		return b.shape(s)
	}
	return r
}

// configOf are the settings that make such a container.
func (a *API) configOf(ctx context.Context, p fromContainer) (json.RawMessage, error) {
	server, err := a.reachable(ctx, p.Server)
	if err != nil {
		return nil, err
	}
	c, err := ask(ctx, a, server, schema.InspectContainer, schema.NamedReq{Name: p.Name}, "inspect a container")
	if err != nil {
		return nil, err
	}
	if c.Config == nil || c.HostConfig == nil {
		return nil, schema.Errorf(schema.Failed, "the engine of server %q does not say how container %q was made", server.Name, p.Name)
	}
	// What the image says by itself is no setting. An image that is gone says nothing.
	var image schema.ImageDetail
	if c.Image != nil {
		if image, err = ask(ctx, a, server, schema.InspectImage, schema.NamedReq{Name: *c.Image}, "inspect an image"); err != nil && schema.CodeOf(err) != schema.NotFound {
			return nil, err
		}
	}
	cfg := settingsOf(c, image)
	cfg["server_id"] = server.ID
	return json.Marshal(cfg)
}

// settingsOf turns an inspected container into a deployment's settings: what has no
// setting of its own becomes a flag of extra_args.
func settingsOf(c schema.ContainerDetail, image schema.ImageDetail) map[string]any {
	own := image.Config
	if own == nil {
		own = &schema.ImageConfig{}
	}
	h := c.HostConfig
	s := settings{flags: []string{}}
	s.texts(c.Config, own)
	s.places(h)
	command := ""
	if !slices.Equal(c.Config.Cmd, own.Cmd) {
		command = shellLine(c.Config.Cmd)
	}
	if !slices.Equal(c.Config.Entrypoint, own.Entrypoint) && len(c.Config.Entrypoint) > 0 {
		s.flag("entrypoint", c.Config.Entrypoint[0])
		command = shellLine(append(slices.Clone(c.Config.Entrypoint[1:]), c.Config.Cmd...))
	}
	s.rest(c, own)
	network := text(h.NetworkMode)
	if network == "default" || network == "" {
		network = "bridge"
	}
	restart := "no"
	if h.RestartPolicy != nil {
		restart = cmp.Or(h.RestartPolicy.Name, restart)
	}
	out := map[string]any{
		"image": map[string]any{"type": "Image", "params": map[string]any{"image": text(c.Config.Image)}}, "network": network, "restart": restart,
		"command": command, "ports": lines(s.ports), "volumes": lines(s.volumes), "environment": lines(s.env), "labels": lines(s.labels), "extra_args": s.flags,
	}
	if slices.Contains([]string{"SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"}, text(c.Config.StopSignal)) {
		out["termination_signal"] = *c.Config.StopSignal
	}
	if c.Config.StopTimeout != nil {
		out["termination_timeout"] = *c.Config.StopTimeout
	}
	return out
}

// settings are those of a deployment, on the way.
type settings struct {
	env, labels, ports, volumes []string
	flags                       []string
}

// texts are variables and labels that the image does not have by itself.
func (s *settings) texts(c *schema.ContainerConfig, own *schema.ImageConfig) {
	for _, e := range c.Env {
		if !slices.Contains(own.Env, e) {
			s.variable(e)
		}
	}
	for _, name := range sortedKeys(c.Labels) {
		v := c.Labels[name]
		foreign := strings.HasPrefix(name, "com.docker.compose.") || strings.HasPrefix(name, "berth.")
		if inherited, ok := own.Labels[name]; foreign || ok && inherited == v {
			continue
		}
		s.pair(&s.labels, "label", name, ": ", v)
	}
}

// places are ports and mounts.
func (s *settings) places(h *schema.HostConfig) {
	for _, port := range sortedKeys(h.PortBindings) {
		for _, b := range h.PortBindings[port] {
			s.port(port, b)
		}
	}
	for _, b := range h.Binds {
		s.volume(b)
	}
	for _, m := range h.Mounts {
		if text(m.Type) == "volume" && text(m.Source) != "" {
			s.volumes = append(s.volumes, text(m.Source)+": "+text(m.Target))
		}
	}
}

func (s *settings) flag(name, value string) {
	s.flags = append(s.flags, "--"+name+" "+shellLine([]string{value}))
}

// variable adds a variable of the environment; "KEY" alone is one without a value.
func (s *settings) variable(e string) {
	name, value, _ := strings.Cut(e, "=")
	s.pair(&s.env, "env", name, "=", value)
}

// pair adds a line, or a flag where the lines' rules would change the value.
func (s *settings) pair(to *[]string, flag, name, between, value string) {
	odd := strings.ContainsAny(value, "\n\"'\\$`") || strings.Contains(value, " #") || strings.Contains(value, "[[") || strings.TrimSpace(value) != value ||
		strings.ContainsAny(name, "=: #-\n")
	if odd {
		s.flag(flag, name+"="+value)
		return
	}
	*to = append(*to, name+between+value)
}

func (s *settings) port(port string, b schema.PortBinding) {
	port = strings.TrimSuffix(port, "/tcp")
	if ip := text(b.HostIP); ip != "" && ip != "0.0.0.0" && ip != "::" {
		if strings.Contains(ip, ":") {
			ip = "[" + ip + "]"
		}
		s.flag("publish", ip+":"+text(b.HostPort)+":"+port)
		return
	}
	if text(b.HostPort) == "" {
		s.flag("publish", port)
		return
	}
	if line := text(b.HostPort) + ": " + port; !slices.Contains(s.ports, line) {
		s.ports = append(s.ports, line)
	}
}

func (s *settings) volume(bind string) {
	from, to, ok := strings.Cut(bind, ":")
	if !ok || strings.ContainsAny(bind, "= #") {
		s.flag("volume", bind)
		return
	}
	s.volumes = append(s.volumes, from+": "+to)
}

// rest are settings that are flags.
func (s *settings) rest(c schema.ContainerDetail, own *schema.ImageConfig) {
	h := c.HostConfig
	for _, f := range []struct{ name, value, same string }{
		{"user", text(c.Config.User), text(own.User)},
		{"workdir", text(c.Config.WorkingDir), text(own.WorkingDir)},
		{"pid", text(h.PIDMode), ""},
		{"userns", text(h.UsernsMode), ""},
	} {
		if f.value != "" && f.value != f.same {
			s.flag(f.name, f.value)
		}
	}
	for name, list := range map[string][]string{"cap-add": h.CapAdd, "cap-drop": h.CapDrop, "add-host": h.ExtraHosts, "dns": h.DNS, "security-opt": h.SecurityOpt} {
		for _, v := range list {
			s.flag(name, v)
		}
	}
	for _, d := range h.Devices {
		s.flag("device", text(d.PathOnHost)+":"+text(d.PathInContainer)+":"+text(d.CgroupPermissions))
	}
	for name, on := range map[string]*bool{"privileged": h.Privileged, "read-only": h.ReadonlyRootfs, "init": h.Init, "tty": c.Config.TTY} {
		if on != nil && *on {
			s.flags = append(s.flags, "--"+name)
		}
	}
	if h.Memory != nil && *h.Memory > 0 {
		s.flag("memory", strconv.FormatInt(*h.Memory, 10)+"b")
	}
	if h.NanoCPUs != nil && *h.NanoCPUs > 0 {
		s.flag("cpus", strconv.FormatFloat(float64(*h.NanoCPUs)/1e9, 'f', -1, 64))
	}
	slices.Sort(s.flags)
}

// shellLine writes words so that a shell would read them again.
func shellLine(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w
		if w == "" || strings.ContainsAny(w, " \t\n\"'\\$`*?[]#~=%&|;<>(){}!") {
			out[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(out, " ")
}

func lines(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return strings.Join(list, "\n") + "\n"
}

// text is a text that may be missing.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func sortedKeys[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
