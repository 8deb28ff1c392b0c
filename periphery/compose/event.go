package compose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/compose/v5/pkg/api"

	"berth/schema"
)

// Emit receives what happens during a deploy, as it happens.
type Emit func(schema.Entry)

// The phases of a deploy, in order.
const (
	PhasePull   = "pull"
	PhaseBuild  = "build"
	PhaseDown   = "down"
	PhaseUp     = "up"
	PhaseHealth = "health"
)

// job is one operation in the making: it turns what the SDK and the engine say
// into entries, and keeps the phases and warnings for the result.
type job struct {
	emit    Emit
	service func(container string) string // the service a container belongs to

	mu       sync.Mutex
	phase    string
	phases   []schema.Phase
	warnings []string
	said     map[string]string    // resource → text said last: the SDK repeats itself
	shown    map[string]time.Time // progress id → when it was last shown
	touched  map[string]bool      // names of containers that were started or created
	changed  map[string]bool      // names of containers that something was done to
}

func newJob(emit Emit, service func(string) string) *job {
	if emit == nil {
		emit = func(schema.Entry) {}
	}
	if service == nil {
		service = func(string) string { return "" }
	}
	return &job{
		emit: emit, service: service,
		said: map[string]string{}, shown: map[string]time.Time{}, touched: map[string]bool{}, changed: map[string]bool{},
	}
}

// send completes an entry and hands it out, one at a time.
func (j *job) send(e schema.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sendLocked(e)
}

func (j *job) sendLocked(e schema.Entry) {
	e.At = time.Now().UnixMilli()
	if e.Phase == "" {
		e.Phase = j.phase
	}
	j.emit(e)
}

// run does f as a phase and records how long it took and how it ended.
func (j *job) run(name string, f func() error) error {
	start := time.Now()
	j.mu.Lock()
	j.phase = name
	j.phases = append(j.phases, schema.Phase{Name: name, State: schema.PhaseRunning, Started: start.UnixMilli()})
	at := len(j.phases) - 1
	j.sendLocked(schema.Entry{Kind: schema.EntryPhase, State: schema.PhaseRunning})
	j.mu.Unlock()
	err := f()
	j.mu.Lock()
	defer j.mu.Unlock()
	state, note := schema.PhaseDone, ""
	if err != nil {
		state, note = schema.PhaseFailed, schema.SafeText(err)
	}
	j.phases[at].State, j.phases[at].Note, j.phases[at].Took = state, note, time.Since(start).Milliseconds()
	j.sendLocked(schema.Entry{Kind: schema.EntryPhase, State: state, Text: note})
	return err
}

// warn tells and keeps something that does not fail the deploy.
func (j *job) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	j.mu.Lock()
	defer j.mu.Unlock()
	if slices.Contains(j.warnings, text) {
		return
	}
	j.warnings = append(j.warnings, text)
	j.sendLocked(schema.Entry{Kind: schema.EntryLine, Err: true, Text: "warning: " + text})
}

func (j *job) line(service, text string, isErr bool) {
	j.send(schema.Entry{Kind: schema.EntryLine, Service: service, Text: text, Err: isErr})
}

// state tells that a resource is in a new state, unless that was said last.
func (j *job) state(service, id, text string, isErr bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.said[id] == text {
		return
	}
	j.said[id] = text
	j.sendLocked(schema.Entry{Kind: schema.EntryState, Service: service, ID: id, Text: text, Err: isErr})
}

// progress tells how far something is, at most ten times a second for each id;
// the end and changes of text are always told.
func (j *job) progress(service, id, text string, current, total int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	same := j.said[id] == text
	if same && (current == total || time.Since(j.shown[id]) < 100*time.Millisecond) {
		return
	}
	j.said[id], j.shown[id] = text, time.Now()
	j.sendLocked(schema.Entry{Kind: schema.EntryProgress, Service: service, ID: id, Text: text, Current: current, Total: total})
}

// Start is part of api.EventProcessor.
func (j *job) Start(context.Context, string) {}

// Done is part of api.EventProcessor. Its bool is the wrong way round in the SDK;
// the error that the call returns is what counts.
func (j *job) Done(string, bool) {}

// On is part of api.EventProcessor: it takes what the SDK reports, from any
// goroutine.
func (j *job) On(events ...api.Resource) {
	for _, e := range events {
		service, id := "", e.ID
		if name, ok := strings.CutPrefix(id, "Container "); ok {
			name = finalName(name)
			id, service = "Container "+name, j.service(name)
			switch e.Text {
			case api.StatusCreated, api.StatusStarting, api.StatusStarted, api.StatusRestarting, api.StatusRestarted, "Recreated":
				j.note(j.touched, name)
			}
			if e.Status == api.Done && e.Text != api.StatusRunning {
				j.note(j.changed, name)
			}
		}
		text := e.Text
		if e.Details != "" && e.Details != text {
			text += " " + e.Details
		}
		switch {
		case e.Status == api.Warning:
			j.warn("%s: %s", id, text)
		case e.ParentID != "":
			j.progress(service, e.ParentID+" "+id, text, e.Current, e.Total)
		default:
			j.state(service, id, text, e.Status == api.Error)
		}
	}
}

// finalName is a container's name without what the SDK puts before it while the
// one it replaces still has that name: 12 hex digits and an underscore.
func finalName(name string) string {
	if len(name) > 13 && name[12] == '_' && strings.Trim(name[:12], "0123456789abcdef") == "" {
		return name[13:]
	}
	return name
}

func (j *job) note(set map[string]bool, name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	set[name] = true
}

// wasTouched reports whether this operation created or started the container.
func (j *job) wasTouched(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.touched[name]
}
