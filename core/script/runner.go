package script

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/dop251/goja"

	"berth/schema"
)

// Caller makes the requests of scripts.
type Caller interface {
	// Call makes a request as a client would post it: group is read, write, execute,
	// auth/manage, or user, whose only request is GetUser. Errors carry code and text.
	Call(ctx context.Context, group, request string, params json.RawMessage) (json.RawMessage, error)
}

// Limits bound a script. The zero value is the default of each.
//
// Guaranteed: a script ends soon after its time is up or its context ends, unless
// it is inside one builtin function that takes long by itself, which the prelude's
// bounds make rare (then Run returns after a grace and the work is left behind); output beyond its bound is dropped
// with a mark; no single text or buffer made by a builtin is larger than 64 MiB.
// Not guaranteed is the exact point at which memory use ends a script: the heap of
// the whole process is sampled, its growth since the first script began is taken
// for the scripts', and the one that began last is ended first.
type Limits struct {
	Time   time.Duration // wall clock; one hour
	Memory uint64        // bytes of heap that all scripts together may add; 256 MiB
	Calls  int           // requests under way at once; further ones wait. 32
}

func (l Limits) orDefault() Limits {
	if l.Time <= 0 {
		l.Time = time.Hour
	}
	if l.Memory == 0 {
		l.Memory = 256 << 20
	}
	if l.Calls <= 0 {
		l.Calls = 32
	}
	return l
}

// Request is one run of a script.
type Request struct {
	Args   json.RawMessage // what ARGS is; an object
	Caller Caller
	// Out takes the output line by line; errs are those of console.error and warn.
	// It is called from one goroutine.
	Out    func(line string, errs bool)
	Limits Limits
}

// Sizes of the sandbox.
const (
	maxCallStack = 2000     // calls within calls
	maxText      = 64 << 20 // bytes of one text or buffer
	maxTimers    = 10_000
	stopGrace    = 5 * time.Second // for an interpreter to notice that it is to stop
	maxStray     = 4               // interpreters left behind before new scripts are refused
	patience     = 3 * time.Second // for one match of a regular expression; less than stopGrace
)

// Runner runs scripts.
type Runner struct {
	watch   *watchdog
	prelude *goja.Program
	stray   atomic.Int32
	log     *slog.Logger
}

// NewRunner makes a runner. It bounds every match of the regular expressions that
// backtrack, process-wide: only scripts use them.
func NewRunner(log *slog.Logger) *Runner {
	if regexp2.DefaultMatchTimeout != patience {
		regexp2.DefaultMatchTimeout = patience
	}
	return &Runner{watch: newWatchdog(), prelude: goja.MustCompile("berth", prelude, true), log: log}
}

// Run runs a program until nothing of it is left to do: its last statement, its
// timers and its requests. Errors: Failed with the script's own error and the line
// it comes from; Expired when its time was up; TooLarge for its memory; the cause
// of ctx when that ended.
func (r *Runner) Run(ctx context.Context, p *Program, req Request) error {
	if n := r.stray.Load(); n >= maxStray {
		return schema.Errorf(schema.Unavailable, "%d scripts that were ended are still busy inside one builtin function each: no new one begins until they are done or core is restarted", n)
	}
	req.Limits = req.Limits.orDefault()
	// What ends the script has its own word as the cause.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(req.Limits.Time, func() {
		cancel(schema.Errorf(schema.Expired, "the script did not end within %s: it was ended", req.Limits.Time))
	})
	defer late.Stop()
	defer r.watch.add(req.Limits.Memory, cancel)()

	m, err := newMachine(ctx, r, req)
	if err != nil {
		return err
	}
	done := make(chan ended, 1)
	go func() { done <- ended{m.run(p)} }()
	select {
	case e := <-done:
		err = e.err
		if _, ok := errors.AsType[*goja.InterruptedError](err); ok {
			err = context.Cause(ctx)
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
		m.out.close()
		m.vm.Interrupt(err)
		r.awaitStop(done)
	}
	cancel(nil)
	m.calls.Wait()
	return err
}

// ended is how an interpreter ended.
type ended struct{ err error }

// awaitStop waits for an interrupted interpreter. One that does not notice is left
// behind and counted until it ends.
func (r *Runner) awaitStop(done <-chan ended) {
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-done:
		return
	case <-grace.C:
	}
	r.log.Warn("a script that was ended is busy inside a builtin function; it is left behind", "stray", r.stray.Add(1))
	go func() { <-done; r.stray.Add(-1) }()
}

// lineWriter hands output on; lines after the end are dropped.
type lineWriter struct {
	mu  sync.Mutex
	out func(string, bool)
}

func (w *lineWriter) write(text string, errs bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.out == nil {
		return
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		w.out(strings.TrimSuffix(line, "\r"), errs)
	}
}

func (w *lineWriter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = nil
}
