// Package build makes images with the engine's own BuildKit and pushes them. It
// speaks BuildKit's protocol through the engine's API: no buildx, no docker command,
// and nothing of logins or secrets on a disk, since both are served from memory
// over the build's session.
//
// A Builder is safe for concurrent use and keeps nothing between builds; what a
// build starts has ended when it returns.
package build

import (
	"log/slog"
	"strings"

	"berth/periphery/docker"
	"berth/schema"
)

// Builder builds on one engine.
type Builder struct {
	engine *docker.Client
	log    *slog.Logger
}

// New makes a builder for an engine.
func New(engine *docker.Client, log *slog.Logger) *Builder { return &Builder{engine: engine, log: log} }

// Login is an account at a registry.
type Login struct {
	Domain, User, Password string
}

// Spec is one image to build.
type Spec struct {
	// Context is the folder of the context; it exists.
	Context string
	// Dockerfile is the text of the Dockerfile, Name the name of its file, by which
	// messages call it, and Ignore its own ignore file, if there is one.
	Dockerfile []byte
	Name       string
	Ignore     []byte
	Flags      schema.BuildFlags
	Args       map[string]string
	Labels     map[string]string
	Secrets    map[string][]byte // by id, for RUN --mount=type=secret
	Refs       []string          // name:tag, at least one
	Logins     []Login           // for images that the build starts from
	// Key is the same for builds whose contexts are alike, so that only differences
	// are sent.
	Key string
}

// Result is what a build made.
type Result struct {
	ID       string // of the image
	Steps    int    // instructions
	Cached   int    // of these
	Warnings []string
}

// Emit takes entries of a build's output. It is called from one goroutine at a time.
type Emit func(schema.Entry)

// login returns the login for a registry as BuildKit, the engine or a name says it.
func login(logins []Login, host string) (Login, bool) {
	for _, l := range logins {
		if registryKey(l.Domain) == registryKey(host) {
			return l, true
		}
	}
	return Login{}, false
}

// dockerHub is the one registry with several names.
const dockerHub = "https://index.docker.io/v1/"

func registryKey(host string) string {
	switch host {
	case "", "docker.io", "index.docker.io", "registry-1.docker.io":
		return dockerHub
	}
	return host
}

// oneLine is an error's text on one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
