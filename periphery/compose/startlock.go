package compose

import (
	"context"
	"runtime"
	"strings"
	"sync"
	_ "unsafe" // for go:linkname

	"github.com/moby/moby/client"
)

// startMx is the SDK's own lock (docker/compose#14106): since v5.5.1 it lets one
// container start at a time in the whole process, so that two services that ask
// for a port of the same range do not get the same one. A first `up` of twenty
// services takes half as long again because of it.
//
// It is reached by name because there is no other way. If a later SDK renames it,
// this becomes a lock of our own that nobody holds, which parallelStart notices:
// containers then start one by one, and TestStartsInParallel fails.
//
//go:linkname startMx github.com/docker/compose/v5/pkg/compose.startMx
var startMx sync.Mutex //nolint:gochecknoglobals // not ours: the SDK's, under its name

// startAPI returns the engine's API as compose's `up` is to use it for a plan:
// with containers starting side by side, unless ports of a range are wanted.
func (d *Deployer) startAPI(ctx context.Context, p *Plan) client.APIClient {
	for _, s := range p.project.Services {
		for _, port := range s.Ports {
			if strings.Contains(port.Published, "-") {
				return d.engine.API()
			}
		}
	}
	return parallelStart{d.engine.API(), sync.OnceValue(func() bool { return d.mixesUpPorts(ctx) })}
}

// mixesUpPorts reports whether the engine is one of those (28.0 to 28.2) that give
// a port out twice when containers start at the same time (docker/compose#12846).
func (d *Deployer) mixesUpPorts(ctx context.Context) bool {
	version := d.engine.Info(ctx).Version
	for _, bad := range []string{"28.0.", "28.1.", "28.2."} {
		if strings.HasPrefix(version, bad) {
			return true
		}
	}
	return version == ""
}

// parallelStart is an engine's API that lets go of the SDK's lock while it starts a
// container, unless serial says no.
type parallelStart struct {
	client.APIClient
	serial func() bool
}

// ContainerStart is part of client.APIClient.
func (a parallelStart) ContainerStart(ctx context.Context, id string, o client.ContainerStartOptions) (client.ContainerStartResult, error) {
	if callerHoldsLock() && !a.serial() {
		startMx.Unlock()
		defer startMx.Lock()
	}
	return a.APIClient.ContainerStart(ctx, id, o)
}

// callerHoldsLock reports whether the call came from one of the SDK's functions
// that hold startMx around it. Others (hooks of pre_start) do not.
func callerHoldsLock() bool {
	var pcs [6]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if strings.HasSuffix(f.Function, ".startServiceContainer") || strings.HasSuffix(f.Function, ".execStartContainer") {
			if startMx.TryLock() { // not the lock we took it for
				startMx.Unlock()
				return false
			}
			return true
		}
	}
	return false
}
