package schema

import (
	"encoding/json"
	"maps"
	"slices"
)

// What an inspection of a container tells, in the form in which Komodo's clients
// read it: the engine's own names, but lists are never null, ports and volumes that
// are keys of an object in the engine's answer are a list, and what the engine does
// not say is null. The types are read from the engine's answer, and written.

// List is a list that is never null.
type List[T any] []T

// MarshalJSON writes no list as an empty one.
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}

// Dict is an object that is never null.
type Dict[T any] map[string]T

// MarshalJSON writes no object as an empty one.
func (d Dict[T]) MarshalJSON() ([]byte, error) {
	if d == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]T(d))
}

// KeyList are the keys of an object, in order; never null.
type KeyList []string

// UnmarshalJSON reads an object's keys; a list is taken as it is.
func (l *KeyList) UnmarshalJSON(b []byte) error {
	var list []string
	if json.Unmarshal(b, &list) == nil {
		*l = list
		return nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(b, &object); err != nil {
		return err
	}
	*l = append(KeyList{}, slices.Sorted(maps.Keys(object))...)
	return nil
}

// MarshalJSON writes no list as an empty one.
func (l KeyList) MarshalJSON() ([]byte, error) { return List[string](l).MarshalJSON() }

// InspectContainer looks at one container.
var InspectContainer = Query[NamedReq, ContainerDetail]{Name: "container.inspect"}

// NamedReq names one thing of the engine, by name or id.
type NamedReq struct {
	Name string `json:"name"`
}

// ContainerDetail is an inspected container.
type ContainerDetail struct {
	ID              *string          `json:"Id"`
	Created         *string          `json:"Created"`
	Path            *string          `json:"Path"`
	Args            List[string]     `json:"Args"`
	State           *ContainerState  `json:"State"`
	Image           *string          `json:"Image"`
	ResolvConfPath  *string          `json:"ResolvConfPath"`
	HostnamePath    *string          `json:"HostnamePath"`
	HostsPath       *string          `json:"HostsPath"`
	LogPath         *string          `json:"LogPath"`
	Name            *string          `json:"Name"`
	RestartCount    *int64           `json:"RestartCount"`
	Driver          *string          `json:"Driver"`
	Platform        *string          `json:"Platform"`
	MountLabel      *string          `json:"MountLabel"`
	ProcessLabel    *string          `json:"ProcessLabel"`
	AppArmorProfile *string          `json:"AppArmorProfile"`
	ExecIDs         List[string]     `json:"ExecIDs"`
	HostConfig      *HostConfig      `json:"HostConfig"`
	GraphDriver     *GraphDriver     `json:"GraphDriver"`
	SizeRw          *int64           `json:"SizeRw"`
	SizeRootFs      *int64           `json:"SizeRootFs"`
	Mounts          List[MountPoint] `json:"Mounts"`
	Config          *ContainerConfig `json:"Config"`
	NetworkSettings *NetworkSettings `json:"NetworkSettings"`
}

// ContainerState is how a container runs or ended.
type ContainerState struct {
	Status     string           `json:"Status"`
	Running    *bool            `json:"Running"`
	Paused     *bool            `json:"Paused"`
	Restarting *bool            `json:"Restarting"`
	OOMKilled  *bool            `json:"OOMKilled"`
	Dead       *bool            `json:"Dead"`
	Pid        *int64           `json:"Pid"`
	ExitCode   *int64           `json:"ExitCode"`
	Error      *string          `json:"Error"`
	StartedAt  *string          `json:"StartedAt"`
	FinishedAt *string          `json:"FinishedAt"`
	Health     *ContainerHealth `json:"Health"`
}

// ContainerHealth is what the health checks found.
type ContainerHealth struct {
	Status        string             `json:"Status"`
	FailingStreak *int64             `json:"FailingStreak"`
	Log           List[HealthResult] `json:"Log"`
}

// HealthResult is one health check.
type HealthResult struct {
	Start    *string `json:"Start"`
	End      *string `json:"End"`
	ExitCode *int64  `json:"ExitCode"`
	Output   *string `json:"Output"`
}

// MountPoint is a mount as it is.
type MountPoint struct {
	Type        *string `json:"Type"`
	Name        *string `json:"Name"`
	Source      *string `json:"Source"`
	Destination *string `json:"Destination"`
	Driver      *string `json:"Driver"`
	Mode        *string `json:"Mode"`
	RW          *bool   `json:"RW"`
	Propagation *string `json:"Propagation"`
}

// GraphDriver says where layers lie.
type GraphDriver struct {
	Name string       `json:"Name"`
	Data Dict[string] `json:"Data"`
}

// ContainerConfig is what a container was made to run.
type ContainerConfig struct {
	Hostname        *string      `json:"Hostname"`
	Domainname      *string      `json:"Domainname"`
	User            *string      `json:"User"`
	AttachStdin     *bool        `json:"AttachStdin"`
	AttachStdout    *bool        `json:"AttachStdout"`
	AttachStderr    *bool        `json:"AttachStderr"`
	ExposedPorts    KeyList      `json:"ExposedPorts"`
	TTY             *bool        `json:"Tty"`
	OpenStdin       *bool        `json:"OpenStdin"`
	StdinOnce       *bool        `json:"StdinOnce"`
	Env             List[string] `json:"Env"`
	Cmd             List[string] `json:"Cmd"`
	Healthcheck     *HealthCheck `json:"Healthcheck"`
	ArgsEscaped     *bool        `json:"ArgsEscaped"`
	Image           *string      `json:"Image"`
	Volumes         KeyList      `json:"Volumes"`
	WorkingDir      *string      `json:"WorkingDir"`
	Entrypoint      List[string] `json:"Entrypoint"`
	NetworkDisabled *bool        `json:"NetworkDisabled"`
	OnBuild         List[string] `json:"OnBuild"`
	Labels          Dict[string] `json:"Labels"`
	StopSignal      *string      `json:"StopSignal"`
	StopTimeout     *int64       `json:"StopTimeout"`
	Shell           List[string] `json:"Shell"`
}

// HealthCheck is how a container's health is checked; times in nanoseconds.
type HealthCheck struct {
	Test          List[string] `json:"Test"`
	Interval      *int64       `json:"Interval"`
	Timeout       *int64       `json:"Timeout"`
	Retries       *int64       `json:"Retries"`
	StartPeriod   *int64       `json:"StartPeriod"`
	StartInterval *int64       `json:"StartInterval"`
}

// NetworkSettings is how a container is connected.
type NetworkSettings struct {
	SandboxID  *string                 `json:"SandboxID"`
	Ports      Dict[List[PortBinding]] `json:"Ports"`
	SandboxKey *string                 `json:"SandboxKey"`
	Networks   Dict[EndpointSettings]  `json:"Networks"`
}

// PortBinding is where a port is published.
type PortBinding struct {
	HostIP   *string `json:"HostIp"`
	HostPort *string `json:"HostPort"`
}

// EndpointSettings is a container's place in a network.
type EndpointSettings struct {
	IPAMConfig          *EndpointIPAM `json:"IPAMConfig"`
	Links               List[string]  `json:"Links"`
	MacAddress          *string       `json:"MacAddress"`
	Aliases             List[string]  `json:"Aliases"`
	NetworkID           *string       `json:"NetworkID"`
	EndpointID          *string       `json:"EndpointID"`
	Gateway             *string       `json:"Gateway"`
	IPAddress           *string       `json:"IPAddress"`
	IPPrefixLen         *int64        `json:"IPPrefixLen"`
	IPv6Gateway         *string       `json:"IPv6Gateway"`
	GlobalIPv6Address   *string       `json:"GlobalIPv6Address"`
	GlobalIPv6PrefixLen *int64        `json:"GlobalIPv6PrefixLen"`
	DriverOpts          Dict[string]  `json:"DriverOpts"`
	DNSNames            List[string]  `json:"DNSNames"`
}

// EndpointIPAM are the addresses that were asked for.
type EndpointIPAM struct {
	IPv4Address  *string      `json:"IPv4Address"`
	IPv6Address  *string      `json:"IPv6Address"`
	LinkLocalIPs List[string] `json:"LinkLocalIPs"`
}
