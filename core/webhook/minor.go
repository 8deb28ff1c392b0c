package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"berth/schema"
)

// Deliveries that start nothing are recorded too, but a flood of them must not
// push the others out: those alike are one record per minute with a count.
const (
	minorWindow = time.Minute
	minorFlush  = 5 * time.Second
	minorKinds  = 64 // different ones per minute; the rest is counted together
)

// minor records deliveries without consequence.
type minor struct {
	journal *Journal
	log     *slog.Logger

	mu   sync.Mutex
	seen map[string]*alike
}

// alike is a record and how many more came like it.
type alike struct {
	rec   schema.Delivery
	more  int
	until time.Time
}

func newMinor(j *Journal, log *slog.Logger) *minor {
	return &minor{journal: j, log: log, seen: map[string]*alike{}}
}

// record stores d, or counts it with the one like it. It sets d.ID.
func (m *minor) record(ctx context.Context, d *schema.Delivery) error {
	key := fmt.Sprintf("%s\x00%s\x00%s\x00%s", d.Verdict, d.Reason, d.Target.ID, d.From)
	m.mu.Lock()
	if len(m.seen) >= minorKinds && m.seen[key] == nil {
		key = ""
	}
	if a := m.seen[key]; a != nil {
		a.more++
		d.ID = a.rec.ID
		m.mu.Unlock()
		return nil
	}
	d.ID = schema.NewID()
	a := &alike{rec: *d, until: time.Now().Add(minorWindow)}
	a.rec.Body = nil
	m.seen[key] = a
	m.mu.Unlock()
	_, err := m.journal.Put(ctx, *d)
	return err
}

// flush writes the counts of windows that are over, or of all.
func (m *minor) flush(ctx context.Context, all bool) {
	now := time.Now()
	var over []*alike
	m.mu.Lock()
	for key, a := range m.seen {
		if all || now.After(a.until) {
			delete(m.seen, key)
			over = append(over, a)
		}
	}
	m.mu.Unlock()
	for _, a := range over {
		if a.more == 0 {
			continue
		}
		was, err := m.journal.Get(ctx, a.rec.ID)
		if err == nil {
			was.Reason = fmt.Sprintf("%s (and %d more like it until %s UTC)", was.Reason, a.more, now.UTC().Format(time.TimeOnly))
			err = m.journal.Replace(ctx, was)
		}
		if err != nil {
			m.log.Warn("count deliveries without consequence", "err", err)
		}
	}
}
