// Package webhook takes the pushes of git hosts in: it verifies a delivery,
// decides what it means, stores it with the verdict, answers, and starts the run.
//
// The answer is given when the delivery is on disk, not when the run has begun:
// an accepted delivery names its run, whose id is derived from the delivery's, so
// that starting it twice starts it once. Run starts what is accepted, in the order
// of arrival, and takes up after a crash what was accepted and not started.
//
// Concurrency: a Handler may be used by any number of goroutines; its Run must be
// running for accepted deliveries to start anything. One goroutine starts runs.
package webhook

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"berth/core/run"
	"berth/schema"
)

// MaxBody is how many bytes of a delivery are read.
const MaxBody = 2 << 20

// AnyBranch as the branch of a procedure's address lets every event run it.
const AnyBranch = "__ANY__"

// Target is what an address leads to, as its settings say.
type Target struct {
	schema.Target
	Branch  string // that is listened to; not of procedures, whose address names it
	Enabled bool
	Secret  string // its own; empty is core's
	Force   bool   // deploy even when nothing changed
}

// Targets finds what addresses name.
type Targets interface {
	// Find returns the resource of the kind by id or name; NotFound.
	Find(ctx context.Context, kind, ref string) (Target, error)
}

// Runs starts what a delivery asks for.
type Runs interface {
	// Start begins a run, or returns the one that exists under req.ID.
	Start(ctx context.Context, req run.StartReq) (*schema.Run, error)
}

// Config is what a Handler needs.
type Config struct {
	Targets Targets
	Runs    Runs
	Journal *Journal
	Secret  string // core's own; may be empty
	// Peer returns the address of who sent a request.
	Peer func(*http.Request) string
	// Link returns the address at which people find a run.
	Link func(run string) string
	Log  *slog.Logger
}

// Handler serves POST /listener/….
type Handler struct {
	cfg    Config
	mux    *http.ServeMux
	starts *starts
	minor  *minor
	door   doorway
	order  sync.Mutex // see accept
}

// New makes a handler.
func New(cfg Config) *Handler {
	h := &Handler{cfg: cfg, mux: http.NewServeMux(), starts: newStarts(), minor: newMinor(cfg.Journal, cfg.Log)}
	h.mux.HandleFunc("POST /listener/{provider}/{kind}/{ref}", h.serve)
	h.mux.HandleFunc("POST /listener/{provider}/{kind}/{ref}/{option...}", h.serve)
	h.mux.HandleFunc("POST /listener/", h.unknownPath)
	return h
}

// ServeHTTP answers a delivery with its verdict as JSON.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// Answer is what the sender is told.
type Answer struct {
	Verdict  schema.Verdict `json:"verdict"`
	Reason   string         `json:"reason"`
	Delivery string         `json:"delivery,omitempty"`
	Run      string         `json:"run,omitempty"`
	URL      string         `json:"url,omitempty"`
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) {
	h.door.enter()
	defer h.door.leave()
	began := time.Now()
	d := schema.Delivery{
		Received: began.UnixMilli(), From: h.cfg.Peer(r), Provider: r.PathValue("provider"), Path: clip(r.URL.EscapedPath(), 500),
	}
	err := h.receive(w, r, &d)
	d.Took = time.Since(began).Microseconds() + 1
	if err != nil {
		h.refuse(w, r, d, err)
		return
	}
	if err := h.settle(r.Context(), &d); err != nil {
		h.cfg.Log.Error("store a delivery", "err", err, "path", d.Path)
		w.Header().Set("Retry-After", "5")
		h.answer(w, http.StatusServiceUnavailable, d, schema.VerdictRefused, "the delivery could not be stored; send it again")
		return
	}
	h.answer(w, http.StatusOK, d, d.Verdict, d.Reason)
}

// receive reads, verifies and decides: everything before the disk. What it learns
// on the way is in d also when it fails.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request, d *schema.Delivery) error {
	act, ok := lookup(d.Provider, r.PathValue("kind"), r.PathValue("option"))
	if !ok {
		return errAddress(r.URL.Path)
	}
	body, err := readBody(w, r, MaxBody)
	d.Size = len(body)
	if err != nil {
		return err
	}
	p := headers(r.Header, body)
	d.Forge, d.Event, d.Unique = p.Forge, p.Event, p.Unique
	target, err := h.cfg.Targets.Find(r.Context(), r.PathValue("kind"), r.PathValue("ref"))
	if err != nil {
		return err
	}
	d.Target = target.Target
	if err := verify(d.Provider, cmp.Or(target.Secret, h.cfg.Secret), r.Header, body); err != nil {
		return err
	}
	p, err = read(r.Header, body)
	d.Event = p.Event
	if err != nil {
		return err
	}
	d.Body = body
	h.decide(d, act, target, p)
	return nil
}

// decide fills in action, cause, verdict and reason of an authentic delivery.
func (h *Handler) decide(d *schema.Delivery, act action, target Target, p push) {
	d.Cause = p.Cause("")
	d.Action = act.run
	if target.Force && act.forced != "" {
		d.Action = act.forced
	}
	branch := target.Branch
	if act.branch != "" {
		branch = act.branch
	}
	d.Verdict = schema.VerdictIgnored
	if d.Reason = ignore(target, p, d.Action, branch); d.Reason != "" {
		return
	}
	d.Verdict, d.Reason = schema.VerdictAccepted, "runs "+d.Action+" on "+d.Target.Name
	d.ID = schema.DeriveID("delivery", d.Target.Kind, d.Target.ID, d.Action, d.Unique)
	d.Run = schema.DeriveID("webhook run", d.ID)
	d.Cause.Delivery = d.ID
}

// settle stores an authentic delivery and hands it on.
func (h *Handler) settle(ctx context.Context, d *schema.Delivery) error {
	if d.Verdict != schema.VerdictAccepted {
		return h.minor.record(ctx, d)
	}
	err := h.accept(ctx, *d)
	if schema.CodeOf(err) == schema.Conflict {
		if err := h.adopt(ctx, d.ID); err != nil {
			return err
		}
		h.duplicate(d)
		return h.minor.record(ctx, d)
	}
	return err
}

// accept stores a delivery and hands it on, one after the other: runs start in
// the order in which their deliveries lie in the journal.
func (h *Handler) accept(ctx context.Context, d schema.Delivery) error {
	h.order.Lock()
	defer h.order.Unlock()
	seq, err := h.cfg.Journal.Put(ctx, d)
	if err != nil {
		return err
	}
	h.starts.add(pending{seq: seq, req: startOf(d)})
	return nil
}

// adopt starts a delivery that is stored, but whose storing this process never
// heard of: its sender was told that it failed, and sends it again.
func (h *Handler) adopt(ctx context.Context, id string) error {
	if h.cfg.Journal.has(id) {
		return nil
	}
	was, err := h.cfg.Journal.Get(ctx, id)
	if err != nil {
		return err
	}
	h.cfg.Journal.index(was, 0)
	if was.Verdict == schema.VerdictAccepted {
		h.starts.add(pending{req: startOf(was)})
	}
	return nil
}

// duplicate turns an accepted delivery into one that came before.
func (h *Handler) duplicate(d *schema.Delivery) {
	d.Verdict, d.Again, d.Body = schema.VerdictDuplicate, d.ID, nil
	d.Reason = "duplicate: this delivery came before and runs once; to run it again, send it again from Berth's list of deliveries"
}

// startOf is the run that an accepted delivery asks for.
func startOf(d schema.Delivery) run.StartReq {
	params, _ := json.Marshal(map[string]string{d.Target.Kind: d.Target.ID})
	return run.StartReq{
		ID: d.Run, Action: d.Action, Target: d.Target, Params: params, Cause: d.Cause,
		Actor: schema.Actor{Kind: "webhook", ID: "000000000000000000000003", Name: cmp.Or(d.Forge, "webhook")},
	}
}

// refuse answers and records what is not taken in. Nothing of the body is kept.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, d schema.Delivery, cause error) {
	d.Verdict, d.Body, d.Reason = schema.VerdictRefused, nil, schema.SafeText(cause)
	if err := h.minor.record(r.Context(), &d); err != nil {
		h.cfg.Log.Error("store a refused delivery", "err", err, "path", d.Path)
	}
	h.answer(w, schema.CodeOf(cause).HTTPStatus(), d, d.Verdict, d.Reason)
}

func (h *Handler) unknownPath(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	d := schema.Delivery{Received: began.UnixMilli(), From: h.cfg.Peer(r), Path: clip(r.URL.EscapedPath(), 500)}
	d.Took = time.Since(began).Microseconds() + 1
	h.refuse(w, r, d, errAddress(r.URL.Path))
}

func (h *Handler) answer(w http.ResponseWriter, status int, d schema.Delivery, v schema.Verdict, reason string) {
	a := Answer{Verdict: v, Reason: reason, Delivery: d.ID, Run: d.Run}
	if d.Run != "" && h.cfg.Link != nil {
		a.URL = h.cfg.Link(d.Run)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a)
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
