// Package host says what the machine is and uses, as its kernel tells: processor,
// memory, disks, network and processes. It starts no program.
//
// Concurrency: a Sampler may be used by many goroutines; they look one after the
// other.
package host

import (
	"bufio"
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/net"
	"golang.org/x/sys/unix"

	"berth/schema"
)

const gib = 1 << 30

// Info says what the machine is. What cannot be found out is left empty.
func Info(ctx context.Context) schema.HostInfo {
	out := schema.HostInfo{Arch: runtime.GOARCH}
	if name, err := os.Hostname(); err == nil {
		out.Hostname = &name
	}
	release := osRelease("/etc/os-release")
	out.Name, out.OS = orNull(release["NAME"]), orNull(release["VERSION_ID"])
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		out.Kernel = orNull(unix.ByteSliceToString(u.Release[:]))
		if machine := unix.ByteSliceToString(u.Machine[:]); machine != "" {
			out.Arch = machine
		}
	}
	if n, err := cpu.CountsWithContext(ctx, false); err == nil && n > 0 {
		out.Cores = &n
	}
	if n, err := cpu.CountsWithContext(ctx, true); err == nil && n > 0 {
		out.Logical = &n
	}
	if list, err := cpu.InfoWithContext(ctx); err == nil && len(list) > 0 {
		out.CPU = strings.TrimSpace(list[0].ModelName)
	}
	return out
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// osRelease reads what the distribution says of itself.
func osRelease(path string) map[string]string {
	out := map[string]string{}
	f, err := os.Open(path)
	if err != nil {
		return out
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, v, ok := strings.Cut(s.Text(), "="); ok {
			out[name] = strings.Trim(v, `"'`)
		}
	}
	return out
}

// Sampler takes samples of what the machine uses.
type Sampler struct {
	rate time.Duration

	mu     sync.Mutex // held while it looks
	cpu    cpu.TimesStat
	in     uint64
	out    uint64
	primed bool
	last   schema.HostStats
	procs  processes
}

// NewSampler makes a sampler that is asked for a sample every rate.
func NewSampler(rate time.Duration) *Sampler { return &Sampler{rate: rate} }

// Sample looks. Shares and bytes are those since the sample before: the first one has
// none. A figure that the kernel does not tell is 0.
func (s *Sampler) Sample(ctx context.Context) schema.HostStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := schema.HostStats{Rate: schema.Timelength(s.rate), At: time.Now().UnixMilli()}
	now.ListedAt = now.At
	if t, err := cpu.TimesWithContext(ctx, false); err == nil && len(t) > 0 {
		if s.primed {
			now.CPU = busy(s.cpu, t[0])
		}
		s.cpu = t[0]
	}
	if l, err := load.AvgWithContext(ctx); err == nil {
		now.Load = schema.HostLoad{One: l.Load1, Five: l.Load5, Fifteen: l.Load15}
	}
	memory(ctx, &now)
	if in, out, err := traffic(ctx); err == nil {
		// An interface that went away takes its bytes with it.
		if s.primed && in >= s.in && out >= s.out {
			now.NetIn, now.NetOut = float64(in-s.in), float64(out-s.out)
		}
		s.in, s.out = in, out
	}
	now.Disks = disks(ctx)
	s.primed, s.last = true, now
	return now
}

// Last is the last sample; nil before there is one.
func (s *Sampler) Last() *schema.HostStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.primed {
		return nil
	}
	last := s.last
	return &last
}

// busy is the share of time in which all processors worked, in percent.
func busy(before, now cpu.TimesStat) float64 {
	all := func(t cpu.TimesStat) float64 { // guests are in user time already
		return t.User + t.Nice + t.System + t.Idle + t.Iowait + t.Irq + t.Softirq + t.Steal
	}
	total := all(now) - all(before)
	idle := now.Idle + now.Iowait - before.Idle - before.Iowait
	if total <= 0 {
		return 0
	}
	return min(max((total-idle)/total*100, 0), 100)
}

// memory counts as used what nobody else could be given: the ZFS cache, which the
// kernel counts as used, gives way.
func memory(ctx context.Context, to *schema.HostStats) {
	arc := zfsARC("/proc/spl/kstat/zfs/arcstats")
	if v, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		used := v.Total - min(v.Available, v.Total)
		to.MemTotal, to.MemFree = gb(v.Total), gb(v.Free)
		to.MemUsed, to.MemCache, to.MemARC = gb(used-min(arc, used)), gb(v.Buffers+v.Cached), gb(arc)
	}
	if v, err := mem.SwapMemoryWithContext(ctx); err == nil {
		to.SwapTotal, to.SwapUsed = gb(v.Total), gb(v.Used)
	}
}

// zfsARC is how much ZFS keeps in memory, 0 where there is none.
func zfsARC(path string) uint64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if words := strings.Fields(s.Text()); len(words) == 3 && words[0] == "size" {
			n, _ := strconv.ParseUint(words[2], 10, 64) // 0 when it is no number
			return n
		}
	}
	return 0
}

func gb(n uint64) float64 { return float64(n) / gib }

// traffic is what all interfaces to the outside have carried since they came up. What
// containers send goes through bridges too and would count twice.
func traffic(ctx context.Context) (in, out uint64, err error) {
	list, err := net.IOCountersWithContext(ctx, true)
	for _, i := range list {
		if !inner(i.Name) {
			in, out = in+i.BytesRecv, out+i.BytesSent
		}
	}
	return in, out, err
}

func inner(name string) bool {
	for _, p := range []string{"lo", "veth", "docker", "br-", "virbr", "cni", "flannel", "cali", "tap", "fwbr", "fwpr", "fwln"} {
		if strings.HasPrefix(name, p) && (p != "lo" || name == "lo") {
			return true
		}
	}
	return false
}
