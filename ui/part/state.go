// Package part draws the small things that pages are made of: state marks,
// chips, meters, ages, output rows, forms. Nothing here reads anything; all
// functions are pure and may be called from any goroutine.
//
// Templates here and in page must not use style=, hx-on or js: (a test looks):
// the policy of the pages forbids inline styles and scripts.
package part

import (
	"time"

	"berth/schema"
)

// State is how something is, as a colour and a shape.
type State string

// The states.
const (
	OK      State = "ok"
	Warn    State = "warn"
	Bad     State = "bad"
	Live    State = "live"
	Idle    State = "idle"
	Unknown State = "unknown"
)

// Rank orders states by how much attention they need, most first.
func (s State) Rank() int {
	for i, o := range []State{Bad, Warn, Live, Unknown, OK, Idle} {
		if o == s {
			return i
		}
	}
	return 9
}

// Mark is a state with its word.
type Mark struct {
	State State
	Word  string
}

// RunMark returns the mark of a run or step.
func RunMark(s schema.RunState) Mark {
	switch s {
	case schema.StateRunning:
		return Mark{Live, "running"}
	case schema.StateSucceeded:
		return Mark{OK, "finished"}
	case schema.StateWarning:
		return Mark{Warn, "warning"}
	case schema.StateFailed:
		return Mark{Bad, "failed"}
	case schema.StateWaiting:
		return Mark{Warn, "waiting"}
	case schema.StateQueued:
		return Mark{Idle, "queued"}
	case schema.StateCanceled, schema.StateSuperseded:
		return Mark{Idle, string(s)}
	}
	return Mark{Unknown, "unknown"}
}

// PhaseMark returns the mark of a phase.
func PhaseMark(s schema.PhaseState) Mark {
	switch s {
	case schema.PhaseRunning:
		return Mark{Live, "running"}
	case schema.PhaseDone:
		return Mark{OK, "done"}
	case schema.PhaseFailed:
		return Mark{Bad, "failed"}
	case schema.PhaseSkipped:
		return Mark{Idle, "skipped"}
	}
	return Mark{Unknown, string(s)}
}

// StackMark returns the mark of a stack: what its last run says, when that needs
// attention, else what its containers say.
func StackMark(v schema.StackView) Mark {
	if r := v.LastRun; r != nil {
		switch {
		case r.State == schema.StateWaiting:
			return Mark{Warn, "deploy waiting"}
		case !r.State.Terminal():
			return Mark{Live, progressive(r.Action)}
		case r.State == schema.StateFailed:
			return Mark{Bad, "last run failed"}
		}
	}
	switch v.State {
	case schema.StackRunning:
		return Mark{OK, "running"}
	case schema.StackDeploying, schema.StackRemoving:
		return Mark{Live, string(v.State)}
	case schema.StackUnhealthy:
		return Mark{Warn, "degraded"}
	case schema.StackRestarting:
		return Mark{Warn, "restarting"}
	case schema.StackDead:
		return Mark{Bad, "dead"}
	case schema.StackPaused, schema.StackStopped, schema.StackCreated, schema.StackDown:
		return Mark{Idle, string(v.State)}
	case schema.StackUnknown:
	}
	return Mark{Unknown, "unknown"}
}

func progressive(action string) string {
	switch action {
	case "DestroyStack":
		return "destroying"
	case "StartStack":
		return "starting"
	case "StopStack":
		return "stopping"
	case "RestartStack":
		return "restarting"
	case "PullStack":
		return "pulling"
	}
	return "deploying"
}

// ServerMark returns the mark of a server.
func ServerMark(v schema.ServerView) Mark {
	switch {
	case v.State == schema.ServerDisabled:
		return Mark{Idle, "disabled"}
	case !v.Joined && v.Status != nil: // it had an agent once
		return Mark{Bad, "revoked"}
	case !v.Joined:
		return Mark{Idle, "not joined yet"}
	case !v.Online:
		return Mark{Bad, "unreachable"}
	case v.Status != nil && v.Status.Engine.Error != "":
		return Mark{Warn, "engine does not answer"}
	case v.State == schema.ServerNotOk:
		return Mark{Warn, "not ok"}
	}
	return Mark{OK, "connected"}
}

// ResourceMark returns the mark of a repo or procedure by Komodo's word.
func ResourceMark(word string, last *schema.Run) Mark {
	if last != nil && !last.State.Terminal() {
		return RunMark(last.State)
	}
	switch word {
	case "Ok":
		return Mark{OK, "ok"}
	case "Running", "Cloning", "Pulling", "Building":
		return Mark{Live, lower(word)}
	case "Failed":
		return Mark{Bad, "failed"}
	}
	return Mark{Unknown, "unknown"}
}

// ServiceMark returns the mark of a service or container by the engine's word.
func ServiceMark(state string) Mark {
	switch state {
	case "running", "healthy":
		return Mark{OK, state}
	case "unhealthy", "restarting":
		return Mark{Warn, state}
	case "starting", "removing":
		return Mark{Live, state}
	case "dead", "missing":
		return Mark{Bad, state}
	case "exited", "stopped", "created", "paused", "down":
		return Mark{Idle, state}
	}
	return Mark{Unknown, state}
}

// ContainerMark returns the mark of a container; its health wins over running.
func ContainerMark(c schema.Container) Mark {
	if c.State == "running" && c.Health != "" {
		return ServiceMark(c.Health)
	}
	return ServiceMark(c.State)
}

// VerdictMark returns the mark of a webhook delivery.
func VerdictMark(v schema.Verdict) Mark {
	switch v {
	case schema.VerdictAccepted:
		return Mark{OK, string(v)}
	case schema.VerdictDuplicate, schema.VerdictIgnored:
		return Mark{Idle, string(v)}
	case schema.VerdictRefused:
		return Mark{Bad, string(v)}
	}
	return Mark{Unknown, string(v)}
}

// Since returns how long ago a time in unix ms was; 0 for none.
func Since(ms int64) time.Duration {
	if ms == 0 {
		return 0
	}
	return max(0, time.Since(time.UnixMilli(ms)))
}
