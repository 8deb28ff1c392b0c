package webhook

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"berth/core/run"
	"berth/schema"
)

// pending is an accepted delivery whose run is to be started.
type pending struct {
	seq uint64
	req run.StartReq
}

// starts is the queue between answering and starting, in the order of arrival.
// It is bounded by what is on disk.
type starts struct {
	mu   sync.Mutex
	list []pending
	wake chan struct{}
}

func newStarts() *starts { return &starts{wake: make(chan struct{}, 1)} }

func (s *starts) add(p pending) {
	s.mu.Lock()
	s.list = append(s.list, p)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *starts) pop() (pending, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 {
		return pending{}, false
	}
	p := s.list[0]
	s.list = s.list[1:]
	return p, true
}

// calmWait is how long the start of a run lets deliveries that are being taken in
// go first.
const calmWait = 50 * time.Millisecond

// doorway counts the deliveries that are being taken in: their senders wait for
// the disk that starting runs would keep busy.
type doorway struct {
	mu    sync.Mutex
	n     int
	empty chan struct{} // closed when n falls to 0; nil while it is 0
}

func (d *doorway) enter() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n++; d.n == 1 {
		d.empty = make(chan struct{})
	}
}

func (d *doorway) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n--; d.n == 0 {
		close(d.empty)
		d.empty = nil
	}
}

// calm returns when nobody is in the doorway, or after calmWait.
func (d *doorway) calm(ctx context.Context) {
	d.mu.Lock()
	empty := d.empty
	d.mu.Unlock()
	if empty == nil {
		return
	}
	limit := time.NewTimer(calmWait)
	defer limit.Stop()
	select {
	case <-empty:
	case <-limit.C:
	case <-ctx.Done():
	}
}

// Run starts what is accepted until ctx ends, beginning with what an earlier
// process accepted and did not start.
func (h *Handler) Run(ctx context.Context) error {
	var settled uint64
	for _, e := range h.cfg.Journal.unsettled() {
		if e.Verdict != schema.VerdictAccepted {
			continue
		}
		if h.start(ctx, pending{seq: e.seq, req: startOf(e.Delivery)}) != nil {
			return nil // core is stopping; the next start goes on
		}
		settled = e.seq
	}
	tick := time.NewTicker(minorFlush)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			h.remember(context.WithoutCancel(ctx), settled, true)
			return nil
		case <-tick.C:
			h.remember(ctx, settled, false)
		case <-h.starts.wake:
			settled = max(settled, h.startAll(ctx))
		}
	}
}

// remember writes what need not be written at once: how far everything is
// started, and how many deliveries came without consequence.
func (h *Handler) remember(ctx context.Context, settled uint64, all bool) {
	if err := h.cfg.Journal.settle(ctx, settled); err != nil {
		h.cfg.Log.Warn("remember which deliveries are started", "err", err)
	}
	h.minor.flush(ctx, all)
}

// startAll starts what waits and returns the sequence of the last one started.
func (h *Handler) startAll(ctx context.Context) uint64 {
	var last uint64
	for {
		p, ok := h.starts.pop()
		if ok {
			h.door.calm(ctx)
		}
		if !ok || h.start(ctx, p) != nil {
			return last
		}
		last = max(last, p.seq)
	}
}

// fewTries is how often a start is tried whose failure may be the delivery's own:
// about three seconds, in which those that came later wait.
const fewTries = 7

// start starts one run, trying again while core cannot. It fails only when ctx
// ends; what can never start is written into the delivery, and the next one has
// its turn.
func (h *Handler) start(ctx context.Context, p pending) error {
	wait := 50 * time.Millisecond
	for try := 1; ; try++ {
		_, err := h.cfg.Runs.Start(ctx, p.req)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if most := tries(schema.CodeOf(err)); most > 0 && try >= most {
			h.cfg.Log.Error("start a run for a delivery", "err", err, "delivery", p.req.Cause.Delivery)
			h.reject(ctx, p.req.Cause.Delivery, err)
			return nil
		}
		h.cfg.Log.Warn("start a run for a delivery, trying again", "err", err, "delivery", p.req.Cause.Delivery)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// tries is how often a start is tried that fails with the code; 0 is without end.
// That core is not there is no fault of the delivery, and no other would start
// either; a conflict or a fault within may pass, or be of this one alone.
func tries(c schema.Code) int {
	switch c {
	case schema.Unavailable, schema.Expired:
		return 0
	case schema.Conflict, schema.Internal:
		return fewTries
	default:
		return 1
	}
}

// reject writes into an accepted delivery that its run cannot be.
func (h *Handler) reject(ctx context.Context, id string, cause error) {
	d, err := h.cfg.Journal.Get(ctx, id)
	if err == nil {
		d.Verdict, d.Run, d.Reason = schema.VerdictRefused, "", "could not start: "+schema.SafeText(cause)
		err = h.cfg.Journal.Replace(ctx, d)
	}
	if err != nil {
		h.cfg.Log.Error("note in a delivery that it did not start", "err", err, "delivery", id)
	}
}

// Redeliver handles a stored delivery as if it came again now: by the settings as
// they are today, without asking for the signature a second time. It returns the
// new delivery. Errors: NotFound; Invalid for one whose body was not kept.
func (h *Handler) Redeliver(ctx context.Context, by schema.Actor, id string) (schema.Delivery, error) {
	was, err := h.cfg.Journal.Get(ctx, id)
	if err != nil {
		return schema.Delivery{}, err
	}
	if was.Verdict == schema.VerdictRefused || len(was.Body) == 0 {
		return schema.Delivery{}, schema.Errorf(schema.Invalid, "delivery %s was not authentic, its body was not kept: send it again from the git host", id)
	}
	target, err := h.cfg.Targets.Find(ctx, was.Target.Kind, was.Target.ID)
	if err != nil {
		return schema.Delivery{}, err
	}
	// The same address as then: its last parts say what is to be done.
	parts := strings.SplitN(strings.TrimPrefix(was.Path, "/listener/"), "/", 4)
	if len(parts) == 3 { // a build's has no last part
		parts = append(parts, "")
	}
	if len(parts) != 4 {
		return schema.Delivery{}, errAddress(was.Path)
	}
	option, err := url.PathUnescape(parts[3])
	act, ok := lookup(parts[0], parts[1], option)
	if err != nil || !ok {
		return schema.Delivery{}, errAddress(was.Path)
	}
	p, err := read(http.Header{}, was.Body)
	if err != nil {
		return schema.Delivery{}, err
	}
	p.Forge, p.Event, p.Unique = was.Forge, was.Event, "again "+schema.NewID()
	d := schema.Delivery{
		Received: time.Now().UnixMilli(), From: by.Name, Provider: was.Provider, Path: was.Path, Forge: was.Forge,
		Event: was.Event, Unique: p.Unique, Target: target.Target, Size: was.Size, Again: was.ID, Body: was.Body,
	}
	h.decide(&d, act, target, p)
	if d.Verdict == schema.VerdictAccepted {
		d.Reason = "sent again by " + by.Name
	}
	return d, h.settle(ctx, &d)
}
