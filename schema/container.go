package schema

import (
	"fmt"
	"regexp"
	"slices"
	"time"
)

// What agents do to the containers, images, networks and volumes of their engine.
var (
	// ContainerDo does a verb to the one container that is named, whoever's it is.
	ContainerDo = Job[ContainerDoReq, EngineResp]{Name: "container.do", Timeout: 15 * time.Minute, Repeatable: true}
	// ContainersDo does a verb to all containers that Berth manages on the server.
	ContainersDo = Job[ContainersDoReq, EngineResp]{Name: "containers.do", Timeout: 30 * time.Minute, Repeatable: true}
	// EngineDelete removes one image, network or volume, whoever's it is.
	EngineDelete = Job[EngineDeleteReq, EngineResp]{Name: "engine.delete", Timeout: 10 * time.Minute, Repeatable: true}
	// EnginePrune removes what nothing uses any more.
	EnginePrune = Job[EnginePruneReq, EngineResp]{Name: "engine.prune", Timeout: time.Hour, Repeatable: true}
	// ServiceRun runs one service of a stack once.
	ServiceRun = Job[ServiceRunReq, ServiceRunResp]{Name: "service.run", Timeout: 24 * time.Hour}
)

// The verbs of ContainerDoReq and, but for destroy, of ContainersDoReq.
const (
	ContainerStart   = "start"
	ContainerStop    = "stop"
	ContainerRestart = "restart"
	ContainerPause   = "pause"
	ContainerUnpause = "unpause"
	ContainerDestroy = "destroy"
)

// What EngineDeleteReq and EnginePruneReq name.
const (
	EngineContainers = "container"
	EngineNetworks   = "network"
	EngineImages     = "image"
	EngineVolumes    = "volume"
	EngineCache      = "build cache"
)

// ContainerDoReq names a container by name or id.
type ContainerDoReq struct {
	Container string `json:"container"`
	Verb      string `json:"verb"`
	Signal    string `json:"signal,omitempty"` // of stop and destroy; empty is the container's own
	Time      *int   `json:"time,omitempty"`   // seconds until it is killed; nil is the container's own
	// Core is the id of the container that core runs in, if it does.
	Core string `json:"core,omitempty"`
}

// ContainersDoReq does a verb to all that is managed.
type ContainersDoReq struct {
	Verb    string  `json:"verb"`
	Managed Managed `json:"managed"`
}

// EngineDeleteReq names one thing to remove.
type EngineDeleteReq struct {
	Kind string `json:"kind"` // image, network, volume
	Name string `json:"name"` // or id
}

// EnginePruneReq says what is to be tidied, in this order.
type EnginePruneReq struct {
	Kinds   []string `json:"kinds"`
	Managed Managed  `json:"managed"`
}

// Managed is what core knows to be Berth's on one server: nothing else is changed
// by what works on many things at once.
type Managed struct {
	Projects []ManagedProject `json:"projects,omitempty"`
	// Containers are the names of deployments' containers.
	Containers []string `json:"containers,omitempty"`
	// Images are references and ids of images to keep although nothing uses them: those
	// of the last good deploys, and what builds made last that no registry has.
	Images []string `json:"images,omitempty"`
	// Core is the id of the container that core runs in, if it does.
	Core string `json:"core,omitempty"`
}

// ManagedProject is the compose project of a stack.
type ManagedProject struct {
	Name  string `json:"name"`
	Stack string `json:"stack"` // id
	// Services are those of its last deploy on this server; none when Berth has not
	// deployed it, or has taken it down.
	Services []string `json:"services,omitempty"`
}

// Project returns the managed compose project of that name.
func (m Managed) Project(name string) (ManagedProject, bool) {
	i := slices.IndexFunc(m.Projects, func(p ManagedProject) bool { return p.Name == name && name != "" })
	if i < 0 {
		return ManagedProject{}, false
	}
	return m.Projects[i], true
}

// Has reports whether a container is managed: of a managed project or stack, or a
// deployment's.
func (m Managed) Has(c Container) bool {
	if _, ok := m.Project(c.Project); ok {
		return true
	}
	of := func(p ManagedProject) bool { return c.Stack != "" && p.Stack == c.Stack }
	return slices.ContainsFunc(m.Projects, of) || c.Name != "" && slices.Contains(m.Containers, c.Name)
}

// EngineChange is one thing that something was done to.
type EngineChange struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	What string `json:"what"` // started, removed, ...
}

// EngineLeft are things of one kind that were left alone for the same reason. Names
// are the first of them.
type EngineLeft struct {
	Kind   string   `json:"kind"`
	Reason string   `json:"reason"`
	Count  int      `json:"count"`
	Names  []string `json:"names,omitempty"`
}

// EngineResp says what was done and what was not, and why.
type EngineResp struct {
	Changed []EngineChange `json:"changed,omitempty"` // the first of them
	Count   int            `json:"count"`             // of what was changed
	Left    []EngineLeft   `json:"left,omitempty"`
	// Failed are the engine's reasons, one for each thing that could not be done.
	Failed []string `json:"failed,omitempty"`
	// Reclaimed is disk space in bytes.
	Reclaimed int64 `json:"reclaimed,omitempty"`
}

// What an EngineResp names at most, so that it stays small.
const (
	maxChanged   = 500
	maxLeftNames = 50
)

// Add notes that something was done.
func (r *EngineResp) Add(kind, name, what string) {
	r.Count++
	if len(r.Changed) < maxChanged {
		r.Changed = append(r.Changed, EngineChange{Kind: kind, Name: name, What: what})
	}
}

// Leave notes that something was left alone.
func (r *EngineResp) Leave(kind, name, reason string) {
	i := slices.IndexFunc(r.Left, func(l EngineLeft) bool { return l.Kind == kind && l.Reason == reason })
	if i < 0 {
		r.Left = append(r.Left, EngineLeft{Kind: kind, Reason: reason})
		i = len(r.Left) - 1
	}
	r.Left[i].Count++
	if len(r.Left[i].Names) < maxLeftNames {
		r.Left[i].Names = append(r.Left[i].Names, name)
	}
}

// Bytes is a number of bytes for people: "3.2 MB".
func Bytes(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	div, exp := int64(unit), 0
	for m := n / unit; m >= unit; m /= unit {
		div *= unit
		exp++
	}
	return fmt.Sprintf("%.1f %cB", float64(n)/float64(div), "kMGTPE"[exp])
}

// ServiceRunReq runs a service of a stack once, in a container of its own.
type ServiceRunReq struct {
	Up         StackUpReq        `json:"up"` // the stack's sources and settings
	Service    string            `json:"service"`
	Command    []string          `json:"command,omitempty"`
	NoTTY      bool              `json:"no_tty,omitempty"`
	NoDeps     bool              `json:"no_deps,omitempty"`
	Detach     bool              `json:"detach,omitempty"`
	Ports      bool              `json:"service_ports,omitempty"`
	Env        map[string]string `json:"env,omitempty"`
	Workdir    string            `json:"workdir,omitempty"`
	User       string            `json:"user,omitempty"`
	Entrypoint string            `json:"entrypoint,omitempty"`
	Pull       bool              `json:"pull,omitempty"`
}

// ServiceRunResp says how it ended.
type ServiceRunResp struct {
	Container string   `json:"container"`
	Detached  bool     `json:"detached,omitempty"` // it goes on
	ExitCode  int      `json:"exit_code"`
	Warnings  []string `json:"warnings,omitempty"`
}

// mountedID finds the id of the container in whose file system a mount table is: the
// engine mounts the container's own files over /etc/hostname and its like.
var mountedID = regexp.MustCompile(`/containers/([0-9a-f]{64})/\S+ /etc/(?:hostname|hosts|resolv\.conf) `)

// OwnContainer returns the id of the container that a process with this mount table
// (/proc/self/mountinfo) runs in, "" for none.
func OwnContainer(mountinfo string) string {
	if m := mountedID.FindStringSubmatch(mountinfo); m != nil {
		return m[1]
	}
	return ""
}

// Signal is the name of a signal that ends a container; it reads numbers in text
// ("15") as well. Empty is none.
type Signal string

// UnmarshalText reads a signal; others than the four are Invalid.
func (s *Signal) UnmarshalText(b []byte) error {
	names, text := enumValues("signal"), string(b)
	if n := slices.Index([]string{"1", "2", "3", "15"}, text); n >= 0 {
		text = names[n]
	}
	if text != "" && !slices.Contains(names, text) {
		return Errorf(Invalid, "signal %q is none of %v%s", text, names, meant(text, names))
	}
	*s = Signal(text)
	return nil
}
