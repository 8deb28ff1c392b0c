package schema

// EngineList lists what an agent's engine has of one kind.
var EngineList = Query[EngineListReq, EngineListResp]{Name: "engine.list"}

var (
	// ContainerStats says what running containers use now.
	ContainerStats = Query[ContainerStatsReq, []ContainerUse]{Name: "container.stats"}
	// ComposeProjects lists the compose projects that have containers, by name.
	ComposeProjects = Query[struct{}, List[ComposeProject]]{Name: "compose.projects"}
	// NetworkCreate makes a network with the engine's defaults; Conflict when there is
	// one of that name.
	NetworkCreate = Query[NamedReq, struct{}]{Name: "network.create"}
)

// ContainerStatsReq names one container; empty is all that run.
type ContainerStatsReq struct {
	Name string `json:"name,omitempty"`
}

// ContainerUse is what a container uses, in the texts of `docker stats`; the members
// are those of Komodo's API, with the container's id.
type ContainerUse struct {
	ID string `json:"id"`
	Stats
}

// Stats are the texts of `docker stats`.
type Stats struct {
	Name  string `json:"name"`
	CPU   string `json:"cpu_perc"`  // "0.07%"
	Mem   string `json:"mem_perc"`  // "1.35%"
	Usage string `json:"mem_usage"` // "27.3MiB / 1.94GiB"
	Net   string `json:"net_io"`    // "1.45kB / 126B"
	Block string `json:"block_io"`  // "0B / 4.1kB"
	PIDs  string `json:"pids"`
}

// ComposeProject is a compose project; the members are those of Komodo's API.
type ComposeProject struct {
	Name   string       `json:"name"`
	Status *string      `json:"status"` // "running(2), exited(1)"
	Files  List[string] `json:"compose_files"`
}

// EngineListReq names a kind: EngineImages, EngineNetworks or EngineVolumes.
type EngineListReq struct {
	Kind string `json:"kind"`
}

// EngineListResp has what was asked for, sorted by name.
type EngineListResp struct {
	Images   []EngineImage   `json:"images,omitempty"`
	Networks []EngineNetwork `json:"networks,omitempty"`
	Volumes  []EngineVolume  `json:"volumes,omitempty"`
}

// EngineImage is an image in a list; the members are those of Komodo's API.
type EngineImage struct {
	ID      string   `json:"id"`
	Parent  string   `json:"parent_id"`
	Name    string   `json:"name"` // first tag
	Tags    []string `json:"tags"`
	Digests []string `json:"digests"`
	Created int64    `json:"created"` // unix seconds
	Size    int64    `json:"size"`    // bytes, layers of others included
	InUse   bool     `json:"in_use"`  // by a container, running or not
}

// EngineNetwork is a network in a list; the members are those of Komodo's API.
type EngineNetwork struct {
	Name       string  `json:"name"`
	ID         string  `json:"id"`
	Created    string  `json:"created"` // RFC 3339
	Scope      string  `json:"scope"`
	Driver     string  `json:"driver"`
	IPv6       bool    `json:"enable_ipv6"`
	IPAM       *string `json:"ipam_driver"`
	Subnet     *string `json:"ipam_subnet"`
	Gateway    *string `json:"ipam_gateway"`
	Internal   bool    `json:"internal"`
	Attachable bool    `json:"attachable"`
	Ingress    bool    `json:"ingress"`
	InUse      bool    `json:"in_use"`
}

// EngineVolume is a volume in a list; the members are those of Komodo's API.
type EngineVolume struct {
	Name       string  `json:"name"`
	Driver     string  `json:"driver"`
	Mountpoint string  `json:"mountpoint"`
	Created    *string `json:"created"` // RFC 3339
	Scope      string  `json:"scope"`
	Size       *int64  `json:"size"` // bytes; null, because measuring takes long
	InUse      bool    `json:"in_use"`
}
