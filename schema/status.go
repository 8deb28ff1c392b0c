package schema

// AgentStatus is what an agent tells core about itself and its host: on connect,
// when something changed, and every 15 seconds.
type AgentStatus struct {
	Version    string      `json:"version"`
	Hostname   string      `json:"hostname"`
	OS         string      `json:"os"` // "Debian GNU/Linux 12 (bookworm)"
	Arch       string      `json:"arch"`
	Engine     EngineInfo  `json:"engine"`
	Containers []Container `json:"containers"`
	Recipients []string    `json:"recipients,omitempty"` // age recipients this host can decrypt for
	At         int64       `json:"at"`                   // unix ms by the agent's clock
	Started    int64       `json:"started"`
	Self       string      `json:"self,omitempty"` // id of the container the agent runs in
	Host       *HostInfo   `json:"host,omitempty"`
	Stats      *HostStats  `json:"stats,omitempty"` // the last sample
}

// EngineInfo is the Docker engine of a host, or why it does not answer.
type EngineInfo struct {
	Version string `json:"version,omitempty"`
	API     string `json:"api,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Container is what is known of one container without inspecting it.
type Container struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Image    string   `json:"image"`
	ImageID  string   `json:"image_id"`
	State    string   `json:"state"`            // running, exited, ... as the engine says
	Status   string   `json:"status"`           // "Up 3 hours (healthy)"
	Health   string   `json:"health,omitempty"` // starting, healthy, unhealthy
	Project  string   `json:"project,omitempty"`
	Service  string   `json:"service,omitempty"`
	OneOff   bool     `json:"one_off,omitempty"` // run once, beside the service
	Stack    string   `json:"stack,omitempty"`   // id of the Berth stack that deployed it
	Ports    []Port   `json:"ports,omitempty"`
	Networks []string `json:"networks,omitempty"`
	Mode     string   `json:"network_mode,omitempty"` // host, bridge, the name of a network, ...
	Volumes  []string `json:"volumes,omitempty"`      // names
	Created  int64    `json:"created"`                // unix seconds
}

// Port is a published or exposed port of a container.
type Port struct {
	IP      string `json:"ip,omitempty"`
	Private uint16 `json:"private"`
	Public  uint16 `json:"public,omitempty"`
	Proto   string `json:"proto"`
}
