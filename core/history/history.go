// Package history keeps what hosts used: what came, for a day, and means with the
// least and most, for weeks and for a year (see bus.Rings).
//
// What is being added up lives in memory. It is found again after a restart from what
// was stored, so that core may end at any time.
//
// Concurrency: everything may be used by any number of goroutines. One goroutine, Run,
// writes.
package history

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"berth/bus"
	"berth/schema"
)

// History is what hosts used.
type History struct {
	conn *bus.Conn
	now  func() time.Time
	log  *slog.Logger
	in   chan sample

	mu    sync.Mutex // guards what follows
	hosts map[string]*host
}

// sample is what an agent said of its host.
type sample struct {
	server string
	at     time.Time // by core's clock
	stats  schema.HostStats
}

// host is what is known of one server beside what is stored.
type host struct {
	last int64  // time of the last sample by the agent's clock
	sums []*sum // of the stretch that is not over, for each ring but the first
}

// New makes a history that keeps on conn.
func New(conn *bus.Conn, now func() time.Time, log *slog.Logger) *History {
	return &History{conn: conn, now: now, log: log, in: make(chan sample, 4096), hosts: map[string]*host{}}
}

// Take takes a sample, each once; an agent says its last one again with every status.
func (h *History) Take(server string, st *schema.HostStats) {
	if st == nil {
		return
	}
	h.mu.Lock()
	x := h.hosts[server]
	if x == nil {
		x = &host{}
		h.hosts[server] = x
	}
	known := x.last == st.At
	x.last = st.At
	h.mu.Unlock()
	if known {
		return
	}
	select {
	case h.in <- sample{server, h.now(), *st}:
	default: // the store is slower than they come: the next one counts
		h.log.Warn("a sample of a host is not kept: the store is too slow", "server", server)
	}
}

// Run keeps samples until ctx ends.
func (h *History) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-h.in:
			if err := h.keep(ctx, s); err != nil && ctx.Err() == nil {
				h.log.Error("keep a sample of a host", "server", s.server, "err", err)
			}
		}
	}
}

// Forget drops what is kept of a server that was deleted.
func (h *History) Forget(ctx context.Context, server string) error {
	h.mu.Lock()
	delete(h.hosts, server)
	h.mu.Unlock()
	return h.conn.ForgetRecords(ctx, server)
}

// keep stores a sample, and the stretches that are over with it.
func (h *History) keep(ctx context.Context, s sample) error {
	h.mu.Lock()
	x := h.hosts[s.server]
	h.mu.Unlock()
	if x == nil { // forgotten meanwhile
		return nil
	}
	rings := bus.Rings()
	if x.sums == nil {
		sums, err := h.recover(ctx, s)
		if err != nil {
			return err
		}
		h.mu.Lock()
		x.sums = sums
		h.mu.Unlock()
	}
	rec := recordOf(s)
	if err := h.conn.Record(ctx, rings[0], s.server, rec); err != nil {
		return err
	}
	for i, sum := range x.sums {
		h.mu.Lock()
		over := sum.add(rec)
		h.mu.Unlock()
		if over == nil {
			continue
		}
		if err := h.conn.Record(ctx, rings[i+1], s.server, *over); err != nil {
			return err
		}
	}
	return nil
}

// recover adds up what was stored since the last stretch that is stored, and stores the
// stretches that were over while core was away.
func (h *History) recover(ctx context.Context, s sample) ([]*sum, error) {
	rings := bus.Rings()
	var (
		sums  []*sum
		since []time.Time
	)
	for _, r := range rings[1:] {
		from := s.at.Add(-rings[0].Life)
		last, ok, err := h.conn.LastRecord(ctx, r, s.server)
		if err != nil {
			return nil, err
		}
		if next := time.UnixMilli(last.At).Add(r.Step); ok && next.After(from) {
			from = next
		}
		sums, since = append(sums, &sum{step: r.Step}), append(since, from)
	}
	type over struct {
		ring bus.Ring
		rec  schema.HostRecord
	}
	var done []over
	err := h.conn.Records(ctx, rings[0], s.server, slices.MinFunc(since, time.Time.Compare), s.at, func(rec schema.HostRecord) {
		for i, sum := range sums {
			if rec.At < since[i].UnixMilli() {
				continue
			}
			if o := sum.add(rec); o != nil {
				done = append(done, over{rings[i+1], *o})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for _, o := range done {
		if err := h.conn.Record(ctx, o.ring, s.server, o.rec); err != nil {
			return nil, err
		}
	}
	return sums, nil
}
