package single

import (
	"strings"
	"time"

	"github.com/docker/cli/opts"
	"github.com/moby/moby/api/types/container"
	"github.com/spf13/pflag"

	"berth/schema"
)

// flags are the flags of `docker run` that are understood: those of
// schema.RunFlagNames.
type flags struct {
	set *pflag.FlagSet

	cpus                                       opts.NanoCPUs
	memory, reservation, shm                   opts.MemBytes
	swap                                       opts.MemSwapBytes
	gpus                                       opts.GpuOpts
	ulimits                                    *opts.UlimitOpt
	mounts                                     opts.MountOpt
	networks                                   opts.NetworkOpt
	dns, dnsSearch, dnsOptions, hosts, links   opts.ListOpts
	sysctls, annotations                       *opts.MapOpts
	env, labels, publish, expose, volumes      []string
	volumesFrom, tmpfs, devices, deviceRules   []string
	capAdd, capDrop, groups, security, storage []string
	logOpts, aliases                           []string
	health                                     container.HealthConfig
	healthCmd                                  string
	noHealth                                   bool
}

// newFlags prepares them; values that stand for themselves are read from the set.
func newFlags() *flags {
	f := &flags{
		set: pflag.NewFlagSet("extra_args", pflag.ContinueOnError), ulimits: opts.NewUlimitOpt(nil),
		dns: opts.NewListOpts(opts.ValidateIPAddress), dnsSearch: opts.NewListOpts(opts.ValidateDNSSearch), dnsOptions: opts.NewListOpts(nil),
		hosts: opts.NewListOpts(opts.ValidateExtraHost), links: opts.NewListOpts(opts.ValidateLink),
		sysctls: opts.NewMapOpts(nil, opts.ValidateSysctl), annotations: opts.NewMapOpts(nil, nil),
	}
	for name, v := range map[string]pflag.Value{
		"cpus": &f.cpus, "memory": &f.memory, "memory-reservation": &f.reservation, "memory-swap": &f.swap, "shm-size": &f.shm,
		"gpus": &f.gpus, "ulimit": f.ulimits, "mount": &f.mounts, "network": &f.networks, "dns": &f.dns, "dns-search": &f.dnsSearch,
		"dns-option": &f.dnsOptions, "add-host": &f.hosts, "link": &f.links, "sysctl": f.sysctls, "annotation": f.annotations,
	} {
		f.set.Var(v, name, "")
	}
	for name, list := range map[string]*[]string{
		"env": &f.env, "label": &f.labels, "publish": &f.publish, "expose": &f.expose, "volume": &f.volumes, "volumes-from": &f.volumesFrom,
		"tmpfs": &f.tmpfs, "device": &f.devices, "device-cgroup-rule": &f.deviceRules, "cap-add": &f.capAdd, "cap-drop": &f.capDrop,
		"group-add": &f.groups, "security-opt": &f.security, "storage-opt": &f.storage, "log-opt": &f.logOpts, "network-alias": &f.aliases,
	} {
		f.set.StringArrayVar(list, name, nil, "")
	}
	for name := range strings.FieldsSeq("cgroup-parent cgroupns cpuset-cpus cpuset-mems domainname entrypoint hostname ip ip6 ipc log-driver mac-address " +
		"pid platform pull restart runtime stop-signal user userns uts volume-driver workdir") {
		f.set.String(name, "", "")
	}
	for name := range strings.FieldsSeq("cpu-period cpu-quota cpu-shares memory-swappiness oom-score-adj pids-limit stop-timeout") {
		f.set.Int64(name, 0, "")
	}
	f.set.Uint16("blkio-weight", 0, "")
	for name := range strings.FieldsSeq("init interactive oom-kill-disable privileged publish-all read-only tty") {
		f.set.Bool(name, false, "")
	}
	f.healthFlags()
	return f
}

func (f *flags) healthFlags() {
	f.set.StringVar(&f.healthCmd, "health-cmd", "", "")
	f.set.BoolVar(&f.noHealth, "no-healthcheck", false, "")
	f.set.IntVar(&f.health.Retries, "health-retries", 0, "")
	for name, to := range map[string]*time.Duration{
		"health-interval": &f.health.Interval, "health-timeout": &f.health.Timeout,
		"health-start-period": &f.health.StartPeriod, "health-start-interval": &f.health.StartInterval,
	} {
		f.set.DurationVar(to, name, 0, "")
	}
}

// readFlags reads extra_args.
func readFlags(args []string) (*flags, error) {
	list, err := schema.ParseRunFlags(args)
	if err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "extra_args")
	}
	f := newFlags()
	for _, one := range list {
		if err := f.set.Set(one.Name, one.Value); err != nil {
			text := err.Error()
			if _, reason, ok := strings.Cut(text, " flag: "); ok {
				text = reason
			}
			return nil, schema.Errorf(schema.Invalid, "extra_args: --%s does not take %q: %s", one.Name, one.Value, text)
		}
	}
	return f, nil
}

func (f *flags) given(name string) bool { return f.set.Changed(name) }

// text, number and on are plain flags' values, zero when they are not given.
func (f *flags) text(name string) string {
	v, _ := f.set.GetString(name)
	return v
}

func (f *flags) number(name string) int64 {
	v, _ := f.set.GetInt64(name)
	return v
}

func (f *flags) on(name string) bool {
	v, _ := f.set.GetBool(name)
	return v
}
