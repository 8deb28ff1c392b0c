package host

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/shirou/gopsutil/v4/disk"

	"berth/schema"
)

// disks lists file systems on devices, each once, at the mount with the shortest path.
// Those that live in memory or elsewhere in the network are none: to ask the latter
// may take for ever. In a container that sees no device it is the container's root.
func disks(ctx context.Context) schema.List[schema.HostDisk] {
	list, _ := disk.PartitionsWithContext(ctx, false) // none is handled below
	slices.SortFunc(list, func(a, b disk.PartitionStat) int {
		return cmp.Or(cmp.Compare(len(a.Mountpoint), len(b.Mountpoint)), strings.Compare(a.Mountpoint, b.Mountpoint))
	})
	seen := map[string]bool{}
	out := schema.List[schema.HostDisk]{}
	for _, p := range list {
		if seen[p.Device] || slices.Contains([]string{"squashfs", "iso9660", "erofs"}, p.Fstype) {
			continue
		}
		if u, err := disk.UsageWithContext(ctx, p.Mountpoint); err == nil && u.Total > 0 {
			seen[p.Device] = true
			out = append(out, schema.HostDisk{Mount: p.Mountpoint, Type: p.Fstype, Used: gb(u.Used), Total: gb(u.Total)})
		}
	}
	if len(out) == 0 {
		if u, err := disk.UsageWithContext(ctx, "/"); err == nil {
			out = append(out, schema.HostDisk{Mount: "/", Type: u.Fstype, Used: gb(u.Used), Total: gb(u.Total)})
		}
	}
	return out
}
