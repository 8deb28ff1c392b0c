package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"berth/schema"
)

// Ring is a stream of hosts' figures that forgets: one record per server and step,
// kept for a life.
type Ring struct {
	Stream string
	token  string // in subjects
	Step   time.Duration
	Life   time.Duration
}

// Rings are the streams of hosts' figures, finest first. The first has what came; what
// its step is, agents decide.
func Rings() []Ring {
	const day = 24 * time.Hour
	return []Ring{
		{StreamStatsFine, "fine", 15 * time.Second, day},
		{StreamStatsMid, "mid", 5 * time.Minute, 14 * day},
		{StreamStatsLong, "long", time.Hour, 365 * day},
	}
}

func (r Ring) subject(server string) string { return "stats." + r.token + "." + server }

// stream is the ring's configuration.
func (r Ring) stream(o MigrateOptions) jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name: r.Stream, Subjects: []string{r.subject("*")}, MaxAge: r.Life, MaxBytes: o.StatsBytes,
		Description: fmt.Sprintf("figures of hosts, one per %s", r.Step),
	}
	if o.Replicas == 1 {
		cfg.PersistMode = jetstream.AsyncPersistMode // the next one comes soon
	}
	return cfg
}

// Record adds a record of a server to a ring.
func (c *Conn) Record(ctx context.Context, r Ring, server string, rec schema.HostRecord) error {
	if err := checkTokens(server); err != nil {
		return err
	}
	data, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("record figures of %s: encode: %w", server, err)
	}
	if _, err := c.js.Publish(ctx, r.subject(server), data); err != nil {
		return published(err, "record figures of "+server)
	}
	return nil
}

// errEnough ends a read early.
var errEnough = errors.New("enough")

// Records calls fn with a server's records of a ring from one time to before another,
// oldest first.
func (c *Conn) Records(ctx context.Context, r Ring, server string, from, to time.Time, fn func(schema.HostRecord)) error {
	if err := checkTokens(server); err != nil {
		return err
	}
	// None is stored before the time that it is of.
	err := c.readFrom(ctx, r.Stream, r.subject(server), start{at: from}, func(m stored) error {
		var rec schema.HostRecord
		if err := json.Unmarshal(m.data, &rec); err != nil {
			return fmt.Errorf("decode figures of %s: %w", server, err)
		}
		switch at := time.UnixMilli(rec.At); {
		case !at.Before(to):
			return errEnough
		case !at.Before(from):
			fn(rec)
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// LastRecord is the newest of a server's records in a ring; ok is false when it has
// none.
func (c *Conn) LastRecord(ctx context.Context, r Ring, server string) (rec schema.HostRecord, ok bool, err error) {
	if err := checkTokens(server); err != nil {
		return rec, false, err
	}
	s, err := c.stream(ctx, r.Stream)
	if err != nil {
		return rec, false, err
	}
	m, err := s.GetLastMsgForSubject(ctx, r.subject(server))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return rec, false, nil
	}
	if err != nil {
		return rec, false, published(err, "read figures of "+server)
	}
	return rec, true, json.Unmarshal(m.Data, &rec)
}

// FirstRecord is the oldest of a server's records in a ring; ok is false when it has
// none.
func (c *Conn) FirstRecord(ctx context.Context, r Ring, server string) (rec schema.HostRecord, ok bool, err error) {
	if err := checkTokens(server); err != nil {
		return rec, false, err
	}
	err = c.readFrom(ctx, r.Stream, r.subject(server), start{seq: 1, few: 1}, func(m stored) error {
		ok = true
		if err := json.Unmarshal(m.data, &rec); err != nil {
			return err
		}
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return rec, ok, err
}

// ForgetRecords drops what is kept of a server.
func (c *Conn) ForgetRecords(ctx context.Context, server string) error {
	if err := checkTokens(server); err != nil {
		return err
	}
	for _, r := range Rings() {
		s, err := c.stream(ctx, r.Stream)
		if err == nil {
			err = s.Purge(ctx, jetstream.WithPurgeSubject(r.subject(server)))
		}
		if err != nil {
			return published(err, "forget figures of "+server)
		}
	}
	return nil
}
