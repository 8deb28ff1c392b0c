package schema

// HostConfig is what a container was made with on its host, see ContainerDetail.
type HostConfig struct {
	CPUShares            *int64                  `json:"CpuShares"`
	Memory               *int64                  `json:"Memory"`
	CgroupParent         *string                 `json:"CgroupParent"`
	BlkioWeight          *int64                  `json:"BlkioWeight"`
	BlkioWeightDevice    List[WeightDevice]      `json:"BlkioWeightDevice"`
	BlkioDeviceReadBps   List[ThrottleDevice]    `json:"BlkioDeviceReadBps"`
	BlkioDeviceWriteBps  List[ThrottleDevice]    `json:"BlkioDeviceWriteBps"`
	BlkioDeviceReadIOps  List[ThrottleDevice]    `json:"BlkioDeviceReadIOps"`
	BlkioDeviceWriteIOps List[ThrottleDevice]    `json:"BlkioDeviceWriteIOps"`
	CPUPeriod            *int64                  `json:"CpuPeriod"`
	CPUQuota             *int64                  `json:"CpuQuota"`
	CPURealtimePeriod    *int64                  `json:"CpuRealtimePeriod"`
	CPURealtimeRuntime   *int64                  `json:"CpuRealtimeRuntime"`
	CpusetCPUs           *string                 `json:"CpusetCpus"`
	CpusetMems           *string                 `json:"CpusetMems"`
	Devices              List[DeviceMapping]     `json:"Devices"`
	DeviceCgroupRules    List[string]            `json:"DeviceCgroupRules"`
	DeviceRequests       List[DeviceRequest]     `json:"DeviceRequests"`
	MemoryReservation    *int64                  `json:"MemoryReservation"`
	MemorySwap           *int64                  `json:"MemorySwap"`
	MemorySwappiness     *int64                  `json:"MemorySwappiness"`
	NanoCPUs             *int64                  `json:"NanoCpus"`
	OOMKillDisable       *bool                   `json:"OomKillDisable"`
	Init                 *bool                   `json:"Init"`
	PIDsLimit            *int64                  `json:"PidsLimit"`
	Ulimits              List[Ulimit]            `json:"Ulimits"`
	CPUCount             *int64                  `json:"CpuCount"`
	CPUPercent           *int64                  `json:"CpuPercent"`
	IOMaximumIOps        *int64                  `json:"IOMaximumIOps"`
	IOMaximumBandwidth   *int64                  `json:"IOMaximumBandwidth"`
	Binds                List[string]            `json:"Binds"`
	ContainerIDFile      *string                 `json:"ContainerIDFile"`
	LogConfig            *LogConfig              `json:"LogConfig"`
	NetworkMode          *string                 `json:"NetworkMode"`
	PortBindings         Dict[List[PortBinding]] `json:"PortBindings"`
	RestartPolicy        *RestartPolicy          `json:"RestartPolicy"`
	AutoRemove           *bool                   `json:"AutoRemove"`
	VolumeDriver         *string                 `json:"VolumeDriver"`
	VolumesFrom          List[string]            `json:"VolumesFrom"`
	Mounts               List[Mount]             `json:"Mounts"`
	ConsoleSize          List[int64]             `json:"ConsoleSize"`
	Annotations          Dict[string]            `json:"Annotations"`
	CapAdd               List[string]            `json:"CapAdd"`
	CapDrop              List[string]            `json:"CapDrop"`
	CgroupnsMode         *string                 `json:"CgroupnsMode"`
	DNS                  List[string]            `json:"Dns"`
	DNSOptions           List[string]            `json:"DnsOptions"`
	DNSSearch            List[string]            `json:"DnsSearch"`
	ExtraHosts           List[string]            `json:"ExtraHosts"`
	GroupAdd             List[string]            `json:"GroupAdd"`
	IPCMode              *string                 `json:"IpcMode"`
	Cgroup               *string                 `json:"Cgroup"`
	Links                List[string]            `json:"Links"`
	OOMScoreAdj          *int64                  `json:"OomScoreAdj"`
	PIDMode              *string                 `json:"PidMode"`
	Privileged           *bool                   `json:"Privileged"`
	PublishAllPorts      *bool                   `json:"PublishAllPorts"`
	ReadonlyRootfs       *bool                   `json:"ReadonlyRootfs"`
	SecurityOpt          List[string]            `json:"SecurityOpt"`
	StorageOpt           Dict[string]            `json:"StorageOpt"`
	Tmpfs                Dict[string]            `json:"Tmpfs"`
	UTSMode              *string                 `json:"UTSMode"`
	UsernsMode           *string                 `json:"UsernsMode"`
	ShmSize              *int64                  `json:"ShmSize"`
	Sysctls              Dict[string]            `json:"Sysctls"`
	Runtime              *string                 `json:"Runtime"`
	Isolation            string                  `json:"Isolation"`
	MaskedPaths          List[string]            `json:"MaskedPaths"`
	ReadonlyPaths        List[string]            `json:"ReadonlyPaths"`
}

// WeightDevice is a device's share.
type WeightDevice struct {
	Path   *string `json:"Path"`
	Weight *int64  `json:"Weight"`
}

// ThrottleDevice is a device's limit.
type ThrottleDevice struct {
	Path *string `json:"Path"`
	Rate *int64  `json:"Rate"`
}

// DeviceMapping is a device of the host in a container.
type DeviceMapping struct {
	PathOnHost        *string `json:"PathOnHost"`
	PathInContainer   *string `json:"PathInContainer"`
	CgroupPermissions *string `json:"CgroupPermissions"`
}

// DeviceRequest asks a driver for devices.
type DeviceRequest struct {
	Driver       *string            `json:"Driver"`
	Count        *int64             `json:"Count"`
	DeviceIDs    List[string]       `json:"DeviceIDs"`
	Capabilities List[List[string]] `json:"Capabilities"`
	Options      Dict[string]       `json:"Options"`
}

// Ulimit is a limit of a container's processes.
type Ulimit struct {
	Name *string `json:"Name"`
	Soft *int64  `json:"Soft"`
	Hard *int64  `json:"Hard"`
}

// LogConfig says where a container's log goes.
type LogConfig struct {
	Type   *string      `json:"Type"`
	Config Dict[string] `json:"Config"`
}

// RestartPolicy says when a container is started again.
type RestartPolicy struct {
	Name              string `json:"Name"`
	MaximumRetryCount *int64 `json:"MaximumRetryCount"`
}

// Mount is a mount as it was asked for.
type Mount struct {
	Target        *string        `json:"Target"`
	Source        *string        `json:"Source"`
	Type          *string        `json:"Type"`
	ReadOnly      *bool          `json:"ReadOnly"`
	Consistency   *string        `json:"Consistency"`
	BindOptions   *BindOptions   `json:"BindOptions"`
	VolumeOptions *VolumeOptions `json:"VolumeOptions"`
	TmpfsOptions  *TmpfsOptions  `json:"TmpfsOptions"`
}

// BindOptions are those of a folder of the host.
type BindOptions struct {
	Propagation            *string `json:"Propagation"`
	NonRecursive           *bool   `json:"NonRecursive"`
	CreateMountpoint       *bool   `json:"CreateMountpoint"`
	ReadOnlyNonRecursive   *bool   `json:"ReadOnlyNonRecursive"`
	ReadOnlyForceRecursive *bool   `json:"ReadOnlyForceRecursive"`
}

// VolumeOptions are those of a volume.
type VolumeOptions struct {
	NoCopy       *bool         `json:"NoCopy"`
	Labels       Dict[string]  `json:"Labels"`
	DriverConfig *VolumeDriver `json:"DriverConfig"`
	Subpath      *string       `json:"Subpath"`
}

// VolumeDriver makes a volume.
type VolumeDriver struct {
	Name    *string      `json:"Name"`
	Options Dict[string] `json:"Options"`
}

// TmpfsOptions are those of a folder in memory.
type TmpfsOptions struct {
	SizeBytes *int64 `json:"SizeBytes"`
	Mode      *int64 `json:"Mode"`
}
