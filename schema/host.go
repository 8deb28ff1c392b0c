package schema

import "time"

// HostProcesses lists the processes of a server.
var HostProcesses = Query[struct{}, List[HostProcess]]{Name: "host.processes"}

// HostInfo is what a server's host is; the members are those of Komodo's API.
type HostInfo struct {
	Name     *string `json:"name"`
	OS       *string `json:"os"` // version of the distribution
	Kernel   *string `json:"kernel"`
	Cores    *int    `json:"core_count"`
	Logical  *int    `json:"logical_core_count"`
	Hostname *string `json:"host_name"`
	CPU      string  `json:"cpu_brand"`
	Arch     string  `json:"cpu_arch"`
}

// HostLoad are the load averages.
type HostLoad struct {
	One     float64 `json:"one"`
	Five    float64 `json:"five"`
	Fifteen float64 `json:"fifteen"`
}

// HostDisk is one file system; sizes in GiB.
type HostDisk struct {
	Mount string  `json:"mount"`
	Type  string  `json:"file_system"`
	Used  float64 `json:"used_gb"`
	Total float64 `json:"total_gb"`
}

// HostUse is what a host uses: shares in percent, sizes in GiB, network in bytes since
// the sample before.
type HostUse struct {
	CPU       float64  `json:"cpu_perc"`
	Load      HostLoad `json:"load_average"`
	MemUsed   float64  `json:"mem_used_gb"`
	MemTotal  float64  `json:"mem_total_gb"`
	MemCache  float64  `json:"mem_buff_cache_gb"`
	MemARC    float64  `json:"mem_zfs_arc_gb"`
	SwapTotal float64  `json:"swap_total_gb"`
	SwapUsed  float64  `json:"swap_used_gb"`
	NetIn     float64  `json:"network_ingress_bytes"`
	NetOut    float64  `json:"network_egress_bytes"`
}

// HostStats is a sample of a host; the members are those of Komodo's API.
type HostStats struct {
	HostUse
	MemFree  float64        `json:"mem_free_gb"`
	Disks    List[HostDisk] `json:"disks"`
	Rate     string         `json:"polling_rate"` // a Timelength
	At       int64          `json:"refresh_ts"`   // unix ms by the agent's clock
	ListedAt int64          `json:"refresh_list_ts"`
}

// DiskSum is what all disks hold together.
func DiskSum(disks []HostDisk) (used, total float64) {
	for _, d := range disks {
		used, total = used+d.Used, total+d.Total
	}
	return used, total
}

// HostRecord is a host at a time, or over a stretch of time: then it has means, and
// the least and most. The members of the first part are those of Komodo's API.
type HostRecord struct {
	At     int64  `json:"ts"` // unix ms by core's clock: of a stretch, where it begins
	Server string `json:"sid"`
	HostUse
	DiskUsed  float64        `json:"disk_used_gb"`
	DiskTotal float64        `json:"disk_total_gb"`
	Disks     List[HostDisk] `json:"disks"`
	// Samples is how many samples it is of.
	Samples int        `json:"samples,omitempty"`
	Min     *HostRange `json:"min,omitempty"`
	Max     *HostRange `json:"max,omitempty"`
}

// HostRange are the figures of which the least and most is kept.
type HostRange struct {
	CPU    float64 `json:"cpu_perc"`
	Load   float64 `json:"load_one"`
	Mem    float64 `json:"mem_used_gb"`
	Swap   float64 `json:"swap_used_gb"`
	Disk   float64 `json:"disk_used_gb"`
	NetIn  float64 `json:"network_ingress_bytes"`
	NetOut float64 `json:"network_egress_bytes"`
}

// HostProcess is one process; the members are those of Komodo's API.
type HostProcess struct {
	PID     int          `json:"pid"`
	Name    string       `json:"name"`
	Exe     string       `json:"exe"`
	Cmd     List[string] `json:"cmd"`
	Started float64      `json:"start_time"` // unix seconds
	CPU     float64      `json:"cpu_perc"`   // of one processor
	Mem     float64      `json:"mem_mb"`
	Read    float64      `json:"disk_read_kb"` // since the look before
	Written float64      `json:"disk_write_kb"`
}

// Timelengths are Komodo's words for lengths of time, shortest first.
func Timelengths() []string {
	return []string{
		"1-sec", "2-sec", "3-sec", "5-sec", "10-sec", "15-sec", "30-sec", "1-min", "2-min", "3-min", "5-min", "10-min", "15-min", "30-min",
		"1-hr", "2-hr", "3-hr", "6-hr", "8-hr", "12-hr", "1-day", "2-day", "3-day", "1-wk", "2-wk", "30-day",
	}
}

// ParseTimelength reads one of Komodo's words for a length of time.
func ParseTimelength(word string) (time.Duration, error) {
	lengths := timelengths()
	for i, w := range Timelengths() {
		if w == word {
			return lengths[i], nil
		}
	}
	return 0, Errorf(Invalid, "%.40q is no length of time%s: give one of %v", word, meant(word, Timelengths()), Timelengths())
}

// Timelength is the word that is nearest to a length of time.
func Timelength(d time.Duration) string {
	best := 0
	for i, l := range timelengths() {
		if (l - d).Abs() < (timelengths()[best] - d).Abs() {
			best = i
		}
	}
	return Timelengths()[best]
}

func timelengths() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{
		time.Second, 2 * time.Second, 3 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 3 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 8 * time.Hour, 12 * time.Hour,
		day, 2 * day, 3 * day, 7 * day, 14 * day, 30 * day,
	}
}
