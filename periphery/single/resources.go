package single

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/cli/opts"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"berth/schema"
)

// ports are published ones of both settings, and exposed ones.
func (t *translation) ports() error {
	lines, err := pairs("ports", t.s.Ports)
	if err != nil {
		return err
	}
	var specs []string
	for _, l := range lines {
		specs = append(specs, schema.Unquoted(l.Key)+":"+schema.Unquoted(l.Value))
	}
	t.config.ExposedPorts, t.host.PortBindings = network.PortSet{}, network.PortMap{}
	for _, spec := range append(specs, t.f.publish...) {
		if err := t.publish(spec); err != nil {
			return schema.Wrap(schema.Invalid, err, "ports: %q is not understood: write HOST:CONTAINER, ADDRESS:HOST:CONTAINER or either with /udp at its end", spec)
		}
	}
	for _, spec := range t.f.expose {
		r, err := network.ParsePortRange(spec)
		if err != nil {
			return schema.Errorf(schema.Invalid, "extra_args: --expose does not take %q: write PORT, FROM-TO or either with /udp at its end", spec)
		}
		for p := range r.All() {
			t.config.ExposedPorts[p] = struct{}{}
		}
	}
	t.host.PublishAllPorts = t.f.on("publish-all")
	return nil
}

func (t *translation) publish(spec string) error {
	if strings.Contains(spec, "=") {
		parts := opts.ConvertKVStringsToMap(strings.Split(spec, ","))
		spec = parts["published"] + ":" + parts["target"]
		if proto := parts["protocol"]; proto != "" {
			spec += "/" + proto
		}
	}
	list, err := types.ParsePortConfig(spec)
	if err != nil {
		return err
	}
	for _, one := range list {
		port, err := network.ParsePort(strconv.FormatUint(uint64(one.Target), 10) + "/" + one.Protocol)
		if err != nil {
			return err
		}
		b := network.PortBinding{HostPort: one.Published}
		if one.HostIP != "" {
			if b.HostIP, err = netip.ParseAddr(one.HostIP); err != nil {
				return err
			}
		}
		t.config.ExposedPorts[port] = struct{}{}
		t.host.PortBindings[port] = append(t.host.PortBindings[port], b)
	}
	return nil
}

// network joins the network of the settings, then those of --network. The first
// one gets addresses and aliases, as docker run does.
func (t *translation) network() error {
	names := t.f.networks.Value()
	if n := strings.TrimSpace(t.s.Network); n != "" {
		var first opts.NetworkOpt
		if err := first.Set(n); err != nil {
			return schema.Errorf(schema.Invalid, "network: %q is not understood: %s", n, err)
		}
		names = append(first.Value(), names...)
	}
	if len(names) == 0 {
		names = []opts.NetworkAttachmentOpts{{Target: "default"}}
	}
	t.host.NetworkMode = container.NetworkMode(names[0].Target)
	t.host.DNSSearch, t.host.DNSOptions, t.host.ExtraHosts = t.f.dnsSearch.GetSlice(), t.f.dnsOptions.GetSlice(), t.f.hosts.GetSlice()
	for _, text := range t.f.dns.GetSlice() {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return schema.Errorf(schema.Invalid, "extra_args: --dns does not take %q: write an address", text)
		}
		t.host.DNS = append(t.host.DNS, addr)
	}
	if err := t.first(&names[0]); err != nil {
		return err
	}
	return t.endpoints(names)
}

// first gives the first network what flags without a network say.
func (t *translation) first(n *opts.NetworkAttachmentOpts) error {
	own := t.host.NetworkMode.IsUserDefined()
	if own {
		n.Links = append(n.Links, t.f.links.GetSlice()...)
	} else {
		t.host.Links = t.f.links.GetSlice()
	}
	if len(t.f.aliases) > 0 && !own {
		return schema.Errorf(schema.Invalid, "extra_args: --network-alias works on networks of your own only, not on %q: set network", t.host.NetworkMode)
	}
	n.Aliases = append(n.Aliases, t.f.aliases...)
	for name, to := range map[string]*netip.Addr{"ip": &n.IPv4Address, "ip6": &n.IPv6Address} {
		if text := t.f.text(name); text != "" {
			var err error
			if *to, err = netip.ParseAddr(text); err != nil {
				return schema.Errorf(schema.Invalid, "extra_args: --%s does not take %q: write an address", name, text)
			}
		}
	}
	if mac := t.f.text("mac-address"); mac != "" {
		n.MacAddress = mac
	}
	return nil
}

func (t *translation) endpoints(names []opts.NetworkAttachmentOpts) error {
	all := map[string]*network.EndpointSettings{}
	for _, n := range names {
		own := container.NetworkMode(n.Target).IsUserDefined()
		if all[n.Target] != nil {
			return schema.Errorf(schema.Invalid, "network %q is named twice, in network and in extra_args", n.Target)
		}
		if !own && len(names) > 1 {
			return schema.Errorf(schema.Invalid, "a container on network %q can be on no other: set network to the first of %q", n.Target, "--network")
		}
		ep := &network.EndpointSettings{Aliases: n.Aliases, Links: n.Links, DriverOpts: n.DriverOpts, GwPriority: n.GwPriority}
		if own { // so that it is found by it before it has the name
			ep.Aliases = append(ep.Aliases, t.s.Name)
		}
		if n.IPv4Address.IsValid() || n.IPv6Address.IsValid() || len(n.LinkLocalIPs) > 0 {
			ep.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: n.IPv4Address, IPv6Address: n.IPv6Address, LinkLocalIPs: n.LinkLocalIPs}
		}
		if n.MacAddress != "" {
			mac, err := net.ParseMAC(strings.TrimSpace(n.MacAddress))
			if err != nil {
				return schema.Errorf(schema.Invalid, "extra_args: --mac-address does not take %q", n.MacAddress)
			}
			ep.MacAddress = network.HardwareAddr(mac)
		}
		if own || ep.MacAddress != nil || ep.IPAMConfig != nil {
			all[n.Target] = ep
		}
	}
	t.out.Options.NetworkingConfig = &network.NetworkingConfig{EndpointsConfig: all}
	return nil
}

// devices are devices and GPUs.
func (t *translation) devices() error {
	t.host.DeviceRequests, t.host.DeviceCgroupRules = t.f.gpus.Value(), t.f.deviceRules
	for _, spec := range t.f.devices {
		if !strings.HasPrefix(spec, "/") { // vendor/class=name
			t.host.DeviceRequests = append(t.host.DeviceRequests, container.DeviceRequest{Driver: "cdi", DeviceIDs: []string{spec}})
			continue
		}
		parts := strings.Split(spec, ":")
		d := container.DeviceMapping{PathOnHost: parts[0], PathInContainer: parts[0], CgroupPermissions: "rwm"}
		for _, p := range parts[1:] {
			if strings.Trim(p, "rwm") == "" && p != "" {
				d.CgroupPermissions = p
			} else if strings.HasPrefix(p, "/") {
				d.PathInContainer = p
			} else {
				return schema.Errorf(schema.Invalid, "extra_args: --device does not take %q: write HOST, HOST:CONTAINER or HOST:CONTAINER:rwm", spec)
			}
		}
		t.host.Devices = append(t.host.Devices, d)
	}
	return nil
}

// limits bound what the container may use.
func (t *translation) limits() error {
	f, r := t.f, &t.host.Resources
	r.CgroupParent, r.CpusetCpus, r.CpusetMems = f.text("cgroup-parent"), f.text("cpuset-cpus"), f.text("cpuset-mems")
	r.Memory, r.MemoryReservation, r.MemorySwap, r.NanoCPUs = f.memory.Value(), f.reservation.Value(), f.swap.Value(), f.cpus.Value()
	r.CPUPeriod, r.CPUQuota, r.CPUShares = f.number("cpu-period"), f.number("cpu-quota"), f.number("cpu-shares")
	r.Ulimits = f.ulimits.GetList()
	r.BlkioWeight, _ = f.set.GetUint16("blkio-weight")
	if f.given("memory-swappiness") {
		n := f.number("memory-swappiness")
		r.MemorySwappiness = &n
	}
	if f.given("pids-limit") {
		n := f.number("pids-limit")
		r.PidsLimit = &n
	}
	if f.given("oom-kill-disable") {
		on := f.on("oom-kill-disable")
		r.OomKillDisable = &on
	}
	t.host.OomScoreAdj, t.host.ShmSize = int(f.number("oom-score-adj")), f.shm.Value()
	t.host.Sysctls, t.host.StorageOpt = f.sysctls.GetAll(), opts.ConvertKVStringsToMap(f.storage)
	return nil
}

// rights are what the container may do.
func (t *translation) rights() error {
	t.host.Privileged, t.host.CapAdd, t.host.CapDrop = t.f.on("privileged"), t.f.capAdd, t.f.capDrop
	for _, o := range t.f.security {
		if path, ok := strings.CutPrefix(o, "seccomp="); ok && path != "unconfined" && path != "builtin" {
			return schema.Errorf(schema.Invalid, "extra_args: --security-opt seccomp takes unconfined or builtin here, no file")
		}
		if o == "systempaths=unconfined" {
			t.host.MaskedPaths, t.host.ReadonlyPaths = []string{}, []string{}
			continue
		}
		t.host.SecurityOpt = append(t.host.SecurityOpt, o)
	}
	return nil
}
