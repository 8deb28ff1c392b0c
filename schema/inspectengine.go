package schema

import (
	"encoding/json"
	"maps"
	"slices"
)

// What inspections of networks, images and volumes tell; how they are read and
// written stands at ContainerDetail's file.
var (
	// InspectNetwork looks at one network.
	InspectNetwork = Query[NamedReq, NetworkDetail]{Name: "network.inspect"}
	// InspectImage looks at one image.
	InspectImage = Query[NamedReq, ImageDetail]{Name: "image.inspect"}
	// ImageHistory lists the layers of an image, newest first.
	ImageHistory = Query[NamedReq, []ImageLayer]{Name: "image.history"}
	// InspectVolume looks at one volume.
	InspectVolume = Query[NamedReq, VolumeDetail]{Name: "volume.inspect"}
)

// NetworkDetail is an inspected network.
type NetworkDetail struct {
	Name       *string           `json:"Name"`
	ID         *string           `json:"Id"`
	Created    *string           `json:"Created"`
	Scope      *string           `json:"Scope"`
	Driver     *string           `json:"Driver"`
	EnableIPv6 *bool             `json:"EnableIPv6"`
	IPAM       *IPAM             `json:"IPAM"`
	Internal   *bool             `json:"Internal"`
	Attachable *bool             `json:"Attachable"`
	Ingress    *bool             `json:"Ingress"`
	Containers NetworkContainers `json:"Containers"`
	Options    Dict[string]      `json:"Options"`
	Labels     Dict[string]      `json:"Labels"`
}

// IPAM is how addresses are given.
type IPAM struct {
	Driver  *string          `json:"Driver"`
	Config  List[IPAMConfig] `json:"Config"`
	Options Dict[string]     `json:"Options"`
}

// IPAMConfig is one range of addresses.
type IPAMConfig struct {
	Subnet             *string      `json:"Subnet"`
	IPRange            *string      `json:"IPRange"`
	Gateway            *string      `json:"Gateway"`
	AuxiliaryAddresses Dict[string] `json:"AuxiliaryAddresses"`
}

// NetworkContainer is a container in a network.
type NetworkContainer struct {
	ContainerID string  `json:"ContainerID"`
	Name        *string `json:"Name"`
	EndpointID  *string `json:"EndpointID"`
	MacAddress  *string `json:"MacAddress"`
	IPv4Address *string `json:"IPv4Address"`
	IPv6Address *string `json:"IPv6Address"`
}

// NetworkContainers are a network's containers by id; never null. The engine's
// answer has them as an object.
type NetworkContainers []NetworkContainer

// UnmarshalJSON reads an object by id, or a list.
func (l *NetworkContainers) UnmarshalJSON(b []byte) error {
	var list []NetworkContainer
	if json.Unmarshal(b, &list) == nil {
		*l = list
		return nil
	}
	var object map[string]NetworkContainer
	if err := json.Unmarshal(b, &object); err != nil {
		return err
	}
	*l = NetworkContainers{}
	for _, id := range slices.Sorted(maps.Keys(object)) {
		c := object[id]
		c.ContainerID = id
		*l = append(*l, c)
	}
	return nil
}

// MarshalJSON writes no list as an empty one.
func (l NetworkContainers) MarshalJSON() ([]byte, error) {
	return List[NetworkContainer](l).MarshalJSON()
}

// ImageDetail is an inspected image.
type ImageDetail struct {
	ID           *string           `json:"Id"`
	Descriptor   *Descriptor       `json:"Descriptor"`
	Manifests    []json.RawMessage `json:"Manifests"` // not asked for: null
	RepoTags     []string          `json:"RepoTags"`
	RepoDigests  []string          `json:"RepoDigests"`
	Comment      *string           `json:"Comment"`
	Created      *string           `json:"Created"`
	Author       *string           `json:"Author"`
	Config       *ImageConfig      `json:"Config"`
	Architecture *string           `json:"Architecture"`
	Variant      *string           `json:"Variant"`
	OS           *string           `json:"Os"`
	OSVersion    *string           `json:"OsVersion"`
	Size         *int64            `json:"Size"`
	GraphDriver  *GraphDriver      `json:"GraphDriver"`
	RootFS       *RootFS           `json:"RootFS"`
	Metadata     *ImageMetadata    `json:"Metadata"`
}

// Descriptor is what an image's manifest is known by.
type Descriptor struct {
	MediaType    *string           `json:"mediaType"`
	Digest       *string           `json:"digest"`
	Size         *int64            `json:"size"`
	URLs         []string          `json:"urls"`
	Annotations  map[string]string `json:"annotations"`
	Data         *string           `json:"data"`
	Platform     *Platform         `json:"platform"`
	ArtifactType *string           `json:"artifactType"`
}

// Platform is what an image runs on.
type Platform struct {
	Architecture *string  `json:"architecture"`
	OS           *string  `json:"os"`
	OSVersion    *string  `json:"os_version"`
	OSFeatures   []string `json:"os_features"`
	Variant      *string  `json:"variant"`
}

// ImageConfig is what containers of an image run.
type ImageConfig struct {
	User         *string           `json:"User"`
	ExposedPorts *KeyList          `json:"ExposedPorts"`
	Env          []string          `json:"Env"`
	Cmd          []string          `json:"Cmd"`
	Healthcheck  *HealthCheck      `json:"Healthcheck"`
	ArgsEscaped  *bool             `json:"ArgsEscaped"`
	Volumes      *KeyList          `json:"Volumes"`
	WorkingDir   *string           `json:"WorkingDir"`
	Entrypoint   []string          `json:"Entrypoint"`
	OnBuild      []string          `json:"OnBuild"`
	Labels       map[string]string `json:"Labels"`
	StopSignal   *string           `json:"StopSignal"`
	Shell        []string          `json:"Shell"`
}

// RootFS are the layers of an image.
type RootFS struct {
	Type   string       `json:"Type"`
	Layers List[string] `json:"Layers"`
}

// ImageMetadata is what the engine noted of an image.
type ImageMetadata struct {
	LastTagTime *string `json:"LastTagTime"`
}

// ImageLayer is one step of an image's making.
type ImageLayer struct {
	ID        string       `json:"Id"`
	Created   int64        `json:"Created"` // unix seconds
	CreatedBy string       `json:"CreatedBy"`
	Tags      List[string] `json:"Tags"`
	Size      int64        `json:"Size"`
	Comment   string       `json:"Comment"`
}

// VolumeDetail is an inspected volume.
type VolumeDetail struct {
	Name          string           `json:"Name"`
	Driver        string           `json:"Driver"`
	Mountpoint    string           `json:"Mountpoint"`
	CreatedAt     *string          `json:"CreatedAt"`
	Status        *KeyList         `json:"Status"`
	Labels        Dict[string]     `json:"Labels"`
	Scope         string           `json:"Scope"`
	ClusterVolume *json.RawMessage `json:"ClusterVolume"`
	Options       Dict[string]     `json:"Options"`
	UsageData     *VolumeUsage     `json:"UsageData"`
}

// VolumeUsage is how much a volume holds and how many use it.
type VolumeUsage struct {
	Size     int64 `json:"Size"`
	RefCount int64 `json:"RefCount"`
}
