package host

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"berth/schema"
)

const (
	procSpan = 300 * time.Millisecond // between two looks, when there was none before
	procOld  = time.Minute            // a look before that says nothing of now
	maxProcs = 1500                   // of an answer, busiest first
	maxCmd   = 2048                   // bytes of a command line in an answer, arguments together
)

// processes is what a look before found.
type processes struct {
	at   time.Time
	seen map[proc]figures
}

// proc tells processes apart that have the same number after each other.
type proc struct {
	pid     int32
	started int64
}

type figures struct {
	cpu           float64 // seconds
	read, written uint64
}

// Processes lists the processes, busiest first.
func (s *Sampler) Processes(ctx context.Context) (schema.List[schema.HostProcess], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if since := time.Since(s.procs.at); since > procOld || since < procSpan {
		if _, err := s.procs.look(ctx); err != nil {
			return nil, err
		}
		select {
		case <-time.After(procSpan):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	list, err := s.procs.look(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b schema.HostProcess) int {
		return cmp.Or(cmp.Compare(b.CPU, a.CPU), cmp.Compare(b.Mem, a.Mem), cmp.Compare(a.PID, b.PID))
	})
	return list[:min(len(list), maxProcs)], nil
}

// look lists the processes, with what they did since the look before, and remembers
// it. One that ends meanwhile is left out.
func (p *processes) look(ctx context.Context) (schema.List[schema.HostProcess], error) {
	pids, err := process.PidsWithContext(ctx)
	if err != nil {
		return nil, schema.Wrap(schema.Failed, err, "list processes: %v", err)
	}
	now, span := processes{at: time.Now(), seen: map[proc]figures{}}, time.Since(p.at).Seconds()
	out := make(schema.List[schema.HostProcess], 0, len(pids))
	for _, pid := range pids {
		x := &process.Process{Pid: pid}
		started, err := x.CreateTimeWithContext(ctx)
		if err != nil {
			continue
		}
		key, f := proc{pid, started}, figures{}
		if t, err := x.TimesWithContext(ctx); err == nil {
			f.cpu = t.User + t.System
		}
		if io, err := x.IOCountersWithContext(ctx); err == nil { // other users' only as root
			f.read, f.written = io.ReadBytes, io.WriteBytes
		}
		one := describe(ctx, x, started)
		if was, ok := p.seen[key]; ok && span > 0 {
			one.CPU = max(f.cpu-was.cpu, 0) / span * 100
			one.Read, one.Written = kb(was.read, f.read), kb(was.written, f.written)
		}
		now.seen[key] = f
		out = append(out, one)
	}
	*p = now
	return out, ctx.Err()
}

func kb(before, now uint64) float64 {
	if now < before {
		return 0
	}
	return float64(now-before) / 1024
}

// describe reads what does not change; what may not be read is left empty.
func describe(ctx context.Context, x *process.Process, started int64) schema.HostProcess {
	one := schema.HostProcess{PID: int(x.Pid), Started: float64(started) / 1000}
	one.Name, _ = x.NameWithContext(ctx)
	one.Exe, _ = x.ExeWithContext(ctx)
	args, _ := x.CmdlineSliceWithContext(ctx)
	left := maxCmd
	for _, a := range args {
		if len(a) > left {
			one.Cmd = append(one.Cmd, a[:left]+"…")
			break
		}
		left -= len(a)
		one.Cmd = append(one.Cmd, a)
	}
	if m, err := x.MemoryInfoWithContext(ctx); err == nil && m != nil {
		one.Mem = float64(m.RSS) / (1 << 20)
	}
	return one
}
