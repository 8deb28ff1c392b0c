package schema

import (
	"net/netip"
	"slices"
)

// ServerConfig is the settings of a server: a host with an agent.
type ServerConfig struct {
	Address                   string              `json:"address" doc:"Kept for clients; here every agent dials core, core never dials."`
	InsecureTLS               bool                `json:"insecure_tls" doc:"Kept for clients; without effect, since core never dials."`
	ExternalAddress           string              `json:"external_address" doc:"Host to use in links to published ports."`
	Region                    string              `json:"region" doc:"Free label, shown in alerts."`
	Enabled                   bool                `json:"enabled" doc:"A server that is not enabled gets no work and raises no alerts."`
	AutoRotateKeys            bool                `json:"auto_rotate_keys" doc:"Takes part when all servers' keys are rotated."`
	Passkey                   string              `json:"passkey" secret:"true" doc:"Kept for old files; without effect."`
	AllowedIPs                StrList             `json:"allowed_ips" own:"true" doc:"Addresses or networks (10.0.0.0/8) from which its agent may connect; from any when empty. Counts from its next connection on."`
	IgnoreMounts              StrList             `json:"ignore_mounts" doc:"Path prefixes of disk mounts that are not shown."`
	AutoPrune                 bool                `json:"auto_prune" doc:"Remove unused images once a day."`
	Links                     StrList             `json:"links" doc:"Links shown at the top of the page."`
	StatsMonitoring           bool                `json:"stats_monitoring" doc:"Collect figures of processor, memory and disks."`
	SendUnreachableAlerts     bool                `json:"send_unreachable_alerts" doc:"Alert when the server goes away or comes back."`
	SendCPUAlerts             bool                `json:"send_cpu_alerts" doc:"Alert on the processor's thresholds."`
	SendMemAlerts             bool                `json:"send_mem_alerts" doc:"Alert on the memory's thresholds."`
	SendDiskAlerts            bool                `json:"send_disk_alerts" doc:"Alert on the disks' thresholds."`
	SendVersionMismatchAlerts bool                `json:"send_version_mismatch_alerts" doc:"Alert when agent and core have different versions."`
	CPUWarning                float64             `json:"cpu_warning" doc:"Percent."`
	CPUCritical               float64             `json:"cpu_critical" doc:"Percent."`
	MemWarning                float64             `json:"mem_warning" doc:"Percent."`
	MemCritical               float64             `json:"mem_critical" doc:"Percent."`
	DiskWarning               float64             `json:"disk_warning" doc:"Percent."`
	DiskCritical              float64             `json:"disk_critical" doc:"Percent."`
	MaintenanceWindows        []MaintenanceWindow `json:"maintenance_windows" doc:"Times in which no alert about this server is opened."`
}

// DefaultServer returns the settings of a server that declares none.
func DefaultServer() ServerConfig {
	return ServerConfig{
		InsecureTLS: true, AutoRotateKeys: true, AllowedIPs: StrList{}, IgnoreMounts: StrList{}, AutoPrune: true, Links: StrList{},
		StatsMonitoring: true, SendUnreachableAlerts: true, SendCPUAlerts: true, SendMemAlerts: true,
		SendDiskAlerts: true, SendVersionMismatchAlerts: true,
		CPUWarning: 90, CPUCritical: 99, MemWarning: 75, MemCritical: 95, DiskWarning: 75, DiskCritical: 95,
		MaintenanceWindows: []MaintenanceWindow{},
	}
}

// Check refuses an entry of allowed_ips that is none: a list must not become shorter
// by a mistake.
func (c ServerConfig) Check() Report {
	var r Report
	for _, ip := range c.AllowedIPs {
		if _, err := ParseNetwork(ip); err != nil {
			r.fail("allowed_ips", "%s", SafeText(err))
		}
	}
	return r
}

// Admits reports whether the server's agent may connect from an address.
func (c ServerConfig) Admits(addr netip.Addr) bool {
	return len(c.AllowedIPs) == 0 || slices.ContainsFunc(c.AllowedIPs, func(ip string) bool {
		p, err := ParseNetwork(ip)
		return err == nil && p.Contains(addr.Unmap().WithZone(""))
	})
}

// ParseNetwork reads a network, or an address as the network of itself.
func ParseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, Errorf(Invalid, "%q is neither an address nor a network like 10.0.0.0/8", s)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// MaintenanceWindow is a time in which alerts are muted.
type MaintenanceWindow struct {
	Name            string `json:"name" required:"true" doc:"Label."`
	Description     string `json:"description" doc:"Free text."`
	ScheduleType    string `json:"schedule_type" enum:"Daily,Weekly,OneTime" doc:"How it recurs."`
	DayOfWeek       string `json:"day_of_week" doc:"Of weekly windows: a day's English name or its first three letters."`
	Date            string `json:"date" doc:"Of windows that come once: YYYY-MM-DD."`
	Hour            int    `json:"hour" doc:"Start, 0 to 23, in the time zone."`
	Minute          int    `json:"minute" doc:"Start, 0 to 59."`
	DurationMinutes int    `json:"duration_minutes" required:"true" doc:"Length in minutes; may cross midnight."`
	Timezone        string `json:"timezone" doc:"IANA name; empty is core's own."`
	Enabled         bool   `json:"enabled" doc:"Whether it counts."`
}

func (w *MaintenanceWindow) setDefaults() {
	*w = MaintenanceWindow{ScheduleType: "Daily", Enabled: true}
}
