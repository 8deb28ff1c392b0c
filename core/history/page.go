package history

import (
	"context"
	"slices"
	"time"

	"berth/bus"
	"berth/schema"
)

// pageSize is how many stretches a page has.
const pageSize = 200

// Page returns what a server used, one record for each stretch of that length, newest
// first, of the last pageSize stretches, or of those before them; more says that there
// is something older. A length that is shorter than what was taken gives what was taken.
func (h *History) Page(ctx context.Context, server string, length time.Duration, page int) (list []schema.HostRecord, more bool, err error) {
	rings := bus.Rings()
	length = max(length, rings[0].Step)
	// Stretches begin at multiples of their length; the newest is the one of now.
	now := h.now().UnixMilli()
	step := length.Milliseconds()
	to := now - now%step + step - int64(page)*pageSize*step
	from := to - pageSize*step
	if from < 0 {
		return []schema.HostRecord{}, false, nil
	}
	first := 0
	for i, r := range rings {
		if r.Step <= length {
			first = i
		}
	}
	list, err = h.between(ctx, server, first, time.UnixMilli(from), time.UnixMilli(to))
	if err != nil {
		return nil, false, err
	}
	merged := merge(list, length)
	for i := range merged {
		merged[i].Server = server
	}
	slices.Reverse(merged)
	for _, r := range rings[first:] {
		oldest, ok, err := h.conn.FirstRecord(ctx, r, server)
		if err != nil {
			return nil, false, err
		}
		more = more || ok && oldest.At < from
	}
	return merged, more, nil
}

// between reads a ring, and coarser ones for what is older than it keeps, oldest first.
func (h *History) between(ctx context.Context, server string, ring int, from, to time.Time) ([]schema.HostRecord, error) {
	var out []schema.HostRecord
	until := to
	for i, r := range bus.Rings()[ring:] {
		begin := from
		if kept := h.now().Add(-r.Life); kept.After(begin) {
			begin = kept
		}
		if !begin.Before(until) {
			continue
		}
		var part []schema.HostRecord
		if err := h.conn.Records(ctx, r, server, begin, until, func(rec schema.HostRecord) { part = append(part, rec) }); err != nil {
			return nil, err
		}
		if i == 0 {
			part = append(part, h.open(server, ring, from, to)...)
		}
		out, until = append(part, out...), begin
	}
	return out, nil
}

// open is the stretch of a ring that is not over, if it lies between.
func (h *History) open(server string, ring int, from, to time.Time) []schema.HostRecord {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.hosts[server]
	if x == nil || x.sums == nil || ring == 0 {
		return nil
	}
	r := x.sums[ring-1].record()
	if r == nil || r.At < from.UnixMilli() || r.At >= to.UnixMilli() {
		return nil
	}
	return []schema.HostRecord{*r}
}

// merge makes one record of those of each stretch; one that is alone stays as it is.
func merge(list []schema.HostRecord, length time.Duration) []schema.HostRecord {
	out := []schema.HostRecord{}
	s := &sum{step: length}
	alone := schema.HostRecord{}
	n := 0
	flush := func(over *schema.HostRecord) {
		if over == nil {
			return
		}
		if n == 1 {
			over = &alone
		}
		out, n = append(out, *over), 0
	}
	for _, r := range list {
		flush(s.add(r))
		alone = r
		n++
	}
	flush(s.record())
	return out
}
