package docker

import (
	"testing"

	"github.com/moby/moby/api/types/container"
)

// The texts are those of `docker stats` for the same figures.
func TestUse(t *testing.T) {
	cpu := func(used, all uint64) container.CPUStats {
		return container.CPUStats{CPUUsage: container.CPUUsage{TotalUsage: used}, SystemUsage: all, OnlineCPUs: 4}
	}
	now := container.StatsResponse{
		Name: "/web-1", CPUStats: cpu(1_500_000, 108_000_000), PidsStats: container.PidsStats{Current: 7},
		MemoryStats: container.MemoryStats{Usage: 30 << 20, Limit: 2 << 30, Stats: map[string]uint64{"inactive_file": 2 << 20}},
		Networks:    map[string]container.NetworkStats{"eth0": {RxBytes: 1450, TxBytes: 126}, "eth1": {RxBytes: 0, TxBytes: 1_000_000}},
		BlkioStats: container.BlkioStats{IoServiceBytesRecursive: []container.BlkioStatEntry{
			{Op: "read", Value: 4096}, {Op: "Write", Value: 12_345_678}, {Op: "Total", Value: 99},
		}},
	}
	u := use("c1", container.StatsResponse{CPUStats: cpu(1_000_000, 100_000_000)}, now)
	if u.ID != "c1" || u.Name != "web-1" || u.CPU != "25.00%" || u.Mem != "1.37%" || u.Usage != "28MiB / 2GiB" || u.Net != "1.45kB / 1MB" || u.Block != "4.1kB / 12.3MB" || u.PIDs != "7" {
		t.Errorf("%+v", u)
	}
	if u = use("c1", now, container.StatsResponse{}); u.CPU != "0.00%" || u.Usage != "0B / 0B" {
		t.Errorf("a container that ended: %+v", u)
	}
}
