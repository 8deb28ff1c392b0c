package schema

// SwarmConfig is the settings of a Docker Swarm, reached through its managers.
type SwarmConfig struct {
	ServerIDs           []string            `json:"server_ids" alias:"servers" ref:"server" doc:"Servers that are managers of the swarm, tried in order."`
	Links               StrList             `json:"links" doc:"Links shown at the top of the page."`
	SendUnhealthyAlerts bool                `json:"send_unhealthy_alerts" doc:"Alert when the swarm is unhealthy."`
	MaintenanceWindows  []MaintenanceWindow `json:"maintenance_windows" doc:"Times in which no alert about this swarm is opened."`
}

// DefaultSwarm returns the settings of a swarm that declares none.
func DefaultSwarm() SwarmConfig {
	return SwarmConfig{ServerIDs: []string{}, Links: StrList{}, SendUnhealthyAlerts: true, MaintenanceWindows: []MaintenanceWindow{}}
}
