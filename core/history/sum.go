package history

import (
	"math"
	"time"

	"berth/schema"
)

// recordOf is a sample as it is kept: figures are rounded to what can be told apart.
func recordOf(s sample) schema.HostRecord {
	used, total := schema.DiskSum(s.stats.Disks)
	r := schema.HostRecord{At: s.at.UnixMilli(), HostUse: s.stats.HostUse, DiskUsed: used, DiskTotal: total, Disks: s.stats.Disks}
	return rounded(r)
}

func rounded(r schema.HostRecord) schema.HostRecord {
	to := func(digits float64, list ...*float64) {
		for _, p := range list {
			*p = math.Round(*p*digits) / digits
		}
	}
	to(100, &r.CPU, &r.Load.One, &r.Load.Five, &r.Load.Fifteen)
	to(1000, &r.MemUsed, &r.MemTotal, &r.MemCache, &r.MemARC, &r.SwapTotal, &r.SwapUsed, &r.DiskUsed, &r.DiskTotal)
	to(1, &r.NetIn, &r.NetOut)
	disks := make(schema.List[schema.HostDisk], len(r.Disks))
	for i, d := range r.Disks {
		to(1000, &d.Used, &d.Total)
		disks[i] = d
	}
	r.Disks = disks
	return r
}

// sum adds up the records of one stretch of time after the other.
type sum struct {
	step  time.Duration
	at    int64 // where the stretch begins, unix ms
	n     int
	total schema.HostRecord // sums of the figures; of what does not add up, the last
	least schema.HostRange
	most  schema.HostRange
}

// add adds a record. It returns the stretch before when that is over.
func (s *sum) add(r schema.HostRecord) (over *schema.HostRecord) {
	at := r.At - r.At%s.step.Milliseconds()
	if s.n > 0 && at != s.at {
		over = s.record()
		*s = sum{step: s.step}
	}
	weight := float64(max(r.Samples, 1))
	least, most := rangeOf(r), rangeOf(r)
	if r.Min != nil && r.Max != nil {
		least, most = *r.Min, *r.Max
	}
	if s.n > 0 {
		least, most = narrower(s.least, least, math.Min), narrower(s.most, most, math.Max)
	}
	t := s.total
	s.total = r
	s.total.HostUse = weighed(t.HostUse, r.HostUse, weight)
	s.total.DiskUsed = t.DiskUsed + r.DiskUsed*weight
	s.at, s.n, s.least, s.most = at, s.n+max(r.Samples, 1), least, most
	return over
}

// record is the stretch so far; nil when there is nothing.
func (s *sum) record() *schema.HostRecord {
	if s.n == 0 {
		return nil
	}
	n := float64(s.n)
	r := s.total
	r.At, r.Samples = s.at, s.n
	for _, p := range []*float64{&r.CPU, &r.Load.One, &r.Load.Five, &r.Load.Fifteen, &r.MemUsed, &r.MemCache, &r.MemARC, &r.SwapUsed, &r.NetIn, &r.NetOut, &r.DiskUsed} {
		*p /= n
	}
	r = rounded(r)
	least, most := s.least, s.most
	r.Min, r.Max = &least, &most
	return &r
}

// weighed adds b, as often as its weight says, to a; totals are b's.
func weighed(a, b schema.HostUse, weight float64) schema.HostUse {
	return schema.HostUse{
		CPU: a.CPU + b.CPU*weight, MemUsed: a.MemUsed + b.MemUsed*weight, MemCache: a.MemCache + b.MemCache*weight, MemARC: a.MemARC + b.MemARC*weight,
		Load:     schema.HostLoad{One: a.Load.One + b.Load.One*weight, Five: a.Load.Five + b.Load.Five*weight, Fifteen: a.Load.Fifteen + b.Load.Fifteen*weight},
		SwapUsed: a.SwapUsed + b.SwapUsed*weight, NetIn: a.NetIn + b.NetIn*weight, NetOut: a.NetOut + b.NetOut*weight,
		MemTotal: b.MemTotal, SwapTotal: b.SwapTotal,
	}
}

func rangeOf(r schema.HostRecord) schema.HostRange {
	return schema.HostRange{CPU: r.CPU, Load: r.Load.One, Mem: r.MemUsed, Swap: r.SwapUsed, Disk: r.DiskUsed, NetIn: r.NetIn, NetOut: r.NetOut}
}

func narrower(a, b schema.HostRange, pick func(x, y float64) float64) schema.HostRange {
	return schema.HostRange{
		CPU: pick(a.CPU, b.CPU), Load: pick(a.Load, b.Load), Mem: pick(a.Mem, b.Mem), Swap: pick(a.Swap, b.Swap), Disk: pick(a.Disk, b.Disk),
		NetIn: pick(a.NetIn, b.NetIn), NetOut: pick(a.NetOut, b.NetOut),
	}
}
