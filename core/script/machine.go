package script

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/dop251/goja"

	"berth/schema"
)

// machine executes one script: its interpreter, its loop of timers and answers.
// All but calls and out belong to the goroutine that executes.
type machine struct {
	ctx    context.Context //nolint:containedctx // the life of the script
	vm     *goja.Runtime
	req    Request
	out    *lineWriter
	events chan func() error // answers of requests
	calls  sync.WaitGroup    // requests under way
	open   int               // of them, not yet given to the script
	slots  chan struct{}

	timers  timers
	unheard map[*goja.Promise]goja.Value // rejections that nobody handles
}

func newMachine(ctx context.Context, r *Runner, req Request) (*machine, error) {
	m := &machine{
		ctx: ctx, vm: goja.New(), req: req, out: &lineWriter{out: req.Out}, events: make(chan func() error),
		slots: make(chan struct{}, req.Limits.Calls), unheard: map[*goja.Promise]goja.Value{},
	}
	m.vm.SetMaxCallStackSize(maxCallStack)
	m.vm.SetPromiseRejectionTracker(func(p *goja.Promise, op goja.PromiseRejectionOperation) {
		if op == goja.PromiseRejectionReject {
			m.unheard[p] = p.Result()
		} else {
			delete(m.unheard, p)
		}
	})
	v, err := m.vm.RunProgram(r.prelude)
	if err != nil {
		return nil, describe(err)
	}
	setup, ok := goja.AssertFunction(v)
	if !ok {
		return nil, schema.Errorf(schema.Internal, "the prelude of scripts is no function")
	}
	args := "{}"
	if len(req.Args) > 0 {
		args = string(req.Args)
	}
	native := m.vm.NewObject()
	for name, fn := range map[string]any{
		"call": m.call, "write": m.out.write, "setTimer": m.setTimer, "clearTimer": m.clearTimer,
		"parseYAML": parseYAML, "writeYAML": writeYAML, "parseTOML": parseTOML, "writeTOML": writeTOML,
		"depth": jsonDepth, "patience": patience.Milliseconds(), "now": func() float64 { return float64(time.Now().UnixMicro()) / 1000 },
	} {
		if err := native.Set(name, fn); err != nil {
			return nil, err
		}
	}
	if _, err := setup(goja.Undefined(), native, m.vm.ToValue(args), m.vm.ToValue(typeNames), m.vm.ToValue(maxText)); err != nil {
		return nil, describe(err)
	}
	return m, nil
}

// run executes the program and then what it left to do.
func (m *machine) run(p *Program) (err error) {
	defer m.out.close()
	defer func() {
		if f := recover(); f != nil { // a fault of the interpreter must not be one of core
			err = schema.Errorf(schema.Failed, "the interpreter of scripts ran into a fault: %v", f)
		}
	}()
	v, err := m.vm.RunProgram(p.code)
	if err != nil {
		return describe(err)
	}
	main, _ := v.Export().(*goja.Promise)
	if main == nil {
		return schema.Errorf(schema.Internal, "the script did not become a promise")
	}
	for {
		if err := m.faults(); err != nil {
			return err
		}
		if m.open == 0 && m.timers.empty() {
			break
		}
		if err := m.next(); err != nil {
			return describe(err)
		}
	}
	if main.State() == goja.PromiseStatePending {
		return schema.Errorf(schema.Failed, "the script awaits something that never comes: no timer and no request is under way any more")
	}
	return nil
}

// faults returns the error of a rejected promise that nobody handles.
func (m *machine) faults() error {
	for _, reason := range m.unheard {
		return thrown(reason)
	}
	return nil
}

// next waits for the next timer or answer and lets the script have it.
func (m *machine) next() error {
	var due <-chan time.Time
	t, ok := m.timers.first()
	if ok {
		wait := time.NewTimer(time.Until(t.at))
		defer wait.Stop()
		due = wait.C
	}
	select {
	case <-m.ctx.Done():
		return context.Cause(m.ctx)
	case fn := <-m.events:
		m.open--
		return fn()
	case <-due:
		m.timers.fired(t)
		_, err := t.fn(goja.Undefined(), t.args...)
		return err
	}
}

// call begins a request and returns the promise of its answer.
func (m *machine) call(group, request, params string) goja.Value {
	promise, resolve, reject := m.vm.NewPromise()
	m.open++
	m.calls.Go(func() {
		value, err := m.ask(group, request, params)
		settle := func() error {
			if err == nil {
				return resolve(string(value))
			}
			fault := m.vm.NewObject()
			_ = fault.Set("status", schema.CodeOf(err).HTTPStatus())
			_ = fault.Set("error", schema.SafeText(err))
			return reject(fault)
		}
		select {
		case m.events <- settle:
		case <-m.ctx.Done():
		}
	})
	return m.vm.ToValue(promise)
}

func (m *machine) ask(group, request, params string) (json.RawMessage, error) {
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-m.ctx.Done():
		return nil, context.Cause(m.ctx)
	}
	return m.req.Caller.Call(m.ctx, group, request, json.RawMessage(params))
}

// describe turns what goja says into an error that a user understands.
func describe(err error) error {
	switch e := err.(type) { //nolint:errorlint // goja returns these as they are
	case *goja.Exception:
		return thrown(e.Value(), e.Stack()...)
	case *goja.InterruptedError, *schema.Error:
		return err
	case *goja.StackOverflowError:
		return schema.Errorf(schema.Failed, "%stoo many calls within calls: a function that calls itself without an end?", lineOf(e.Stack()))
	}
	return schema.Wrap(schema.Failed, err, "%v", err)
}

// thrown is the error of a value that the script has thrown.
func thrown(v goja.Value, frames ...goja.StackFrame) error {
	text, stack := textOf(v), ""
	if o, ok := v.(*goja.Object); ok && o.ClassName() == "Error" {
		if s := o.Get("stack"); s != nil {
			stack = s.String()
		}
	}
	line := lineOf(frames)
	if at := regexp.MustCompile(regexp.QuoteMeta(sourceName) + `:(\d+):\d+`).FindStringSubmatch(stack); at != nil {
		line = "line " + at[1] + ": "
	}
	const long = 4000
	if len(text) > long {
		text = strings.ToValidUTF8(text[:long], "") + " …"
	}
	return schema.Errorf(schema.Failed, "%s%s", line, text)
}

// textOf is what a thrown value says.
func textOf(v goja.Value) string {
	o, ok := v.(*goja.Object)
	switch {
	case ok && o.ClassName() == "Error":
		return v.String()
	case ok:
		if b, err := o.MarshalJSON(); err == nil {
			return "the script has thrown " + string(b)
		}
	}
	return "the script has thrown " + v.String()
}

// lineOf is the place of the topmost frame that is of the script.
func lineOf(frames []goja.StackFrame) string {
	for _, f := range frames {
		if pos := f.Position(); pos.Filename == sourceName && pos.Line > 0 {
			return fmt.Sprintf("line %d: ", pos.Line)
		}
	}
	return ""
}
