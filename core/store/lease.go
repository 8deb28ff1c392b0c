package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"berth/bus"
	"berth/schema"
)

// Leases say who works on what. A lease is lost when it is not renewed within its
// TTL. Its fence is a number that grows with every holder of any lease: whoever
// sees a larger one knows that the smaller is over.
type Leases struct {
	kv jetstream.KeyValue
	js jetstream.JetStream
}

// Held is what is known of a lease.
type Held struct {
	Holder string
	Fence  uint64
}

// leaseValue is what is stored. Fence is 0 in the first revision, which is the
// fence itself.
type leaseValue struct {
	Holder string `json:"holder"`
	Fence  uint64 `json:"fence,omitempty"`
}

// OpenLeases opens the bucket of leases, creating it when it is missing.
func OpenLeases(ctx context.Context, c *bus.Conn, replicas int) (*Leases, error) {
	js := c.JetStream()
	kv, err := js.KeyValue(ctx, bus.BucketLease)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: bus.BucketLease, History: 1, LimitMarkerTTL: time.Second, Replicas: max(replicas, 1),
		})
	}
	if err != nil {
		return nil, failed(err, "open leases")
	}
	return &Leases{kv: kv, js: js}, nil
}

// Acquire takes the lease for at least ttl (whole seconds, rounded up). The same
// holder may take it again, under a new fence. While another holds it the error
// is schema.Conflict and Held says who.
func (l *Leases) Acquire(ctx context.Context, key, holder string, ttl time.Duration) (Held, error) {
	if err := CheckKey(key); err != nil {
		return Held{}, err
	}
	for range 3 {
		e, v, err := l.get(ctx, key)
		if err != nil {
			return Held{}, err
		}
		var last uint64
		if e != nil {
			if last = e.Revision(); v.Holder != holder {
				return heldBy(key, e, v)
			}
		} else if last, err = l.tombstone(ctx, key); err != nil {
			return Held{}, err
		}
		rev, err := l.put(ctx, key, leaseValue{Holder: holder}, last, ttl)
		if err == nil {
			return Held{Holder: holder, Fence: rev}, nil
		}
		if !bus.IsWrongLast(err) {
			return Held{}, failed(err, "take the lease of %s", key)
		}
	}
	e, v, err := l.get(ctx, key)
	if err == nil && e != nil && v.Holder != holder {
		return heldBy(key, e, v)
	}
	return Held{}, schema.Errorf(schema.Conflict, "take the lease of %s: others want it as well", key)
}

func heldBy(key string, e jetstream.KeyValueEntry, v leaseValue) (Held, error) {
	return Held{Holder: v.Holder, Fence: v.fence(e)}, schema.Errorf(schema.Conflict, "%s is held by %s", key, v.Holder)
}

// Renew keeps the lease for another ttl; schema.Conflict when it was lost.
func (l *Leases) Renew(ctx context.Context, key string, fence uint64, ttl time.Duration) error {
	e, v, err := l.get(ctx, key)
	if err != nil {
		return err
	}
	if e == nil || v.fence(e) != fence {
		return schema.Errorf(schema.Conflict, "the lease of %s was lost", key)
	}
	v.Fence = fence
	if _, err := l.put(ctx, key, v, e.Revision(), ttl); err != nil {
		return failed(err, "renew the lease of %s", key)
	}
	return nil
}

// released is how long the mark of a release stays: longer than any lease lives.
// What a purge removed is back when the process is killed soon after, and must not
// be the newest then.
const released = 2 * time.Minute

// Release gives the lease back; one that was lost is none of the caller's
// business any more and stays as it is.
func (l *Leases) Release(ctx context.Context, key string, fence uint64) error {
	e, v, err := l.get(ctx, key)
	if err != nil || e == nil || v.fence(e) != fence {
		return err
	}
	err = l.kv.Purge(ctx, key, jetstream.LastRevision(e.Revision()), jetstream.PurgeTTL(released))
	if err != nil && !bus.IsWrongLast(err) {
		return failed(err, "release the lease of %s", key)
	}
	return nil
}

// Holder returns who holds the lease now; ok is false when nobody does.
func (l *Leases) Holder(ctx context.Context, key string) (h Held, ok bool, err error) {
	e, v, err := l.get(ctx, key)
	if err != nil || e == nil {
		return Held{}, false, err
	}
	return Held{Holder: v.Holder, Fence: v.fence(e)}, true, nil
}

func (v leaseValue) fence(e jetstream.KeyValueEntry) uint64 {
	if v.Fence != 0 {
		return v.Fence
	}
	return e.Revision()
}

// get returns the entry, or nil when nobody holds the lease.
func (l *Leases) get(ctx context.Context, key string) (jetstream.KeyValueEntry, leaseValue, error) {
	var v leaseValue
	e, err := l.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, v, nil
	}
	if err != nil {
		return nil, v, failed(err, "read the lease of %s", key)
	}
	if err := json.Unmarshal(e.Value(), &v); err != nil {
		return nil, v, fmt.Errorf("read the lease of %s: decode: %w", key, err)
	}
	return e, v, nil
}

// tombstone returns the revision of the mark that an expired or released lease
// leaves for a while; 0 when there is none.
func (l *Leases) tombstone(ctx context.Context, key string) (uint64, error) {
	s, err := l.js.Stream(ctx, "KV_"+bus.BucketLease)
	if err != nil {
		return 0, failed(err, "read the lease of %s", key)
	}
	m, err := s.GetLastMsgForSubject(ctx, l.subject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, failed(err, "read the lease of %s", key)
	}
	if m.Header.Get("KV-Operation") == "" && m.Header.Get("Nats-Marker-Reason") == "" {
		return 0, nil // somebody took it meanwhile: let the write find out
	}
	return m.Sequence, nil
}

// put writes with a TTL, which kv.Update cannot.
func (l *Leases) put(ctx context.Context, key string, v leaseValue, last uint64, ttl time.Duration) (uint64, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return 0, fmt.Errorf("encode: %w", err)
	}
	ttl = max((ttl + time.Second - 1).Truncate(time.Second), time.Second)
	ack, err := l.js.PublishMsg(ctx, &nats.Msg{Subject: l.subject(key), Data: data},
		jetstream.WithExpectLastSequencePerSubject(last), jetstream.WithMsgTTL(ttl))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

func (l *Leases) subject(key string) string { return "$KV." + bus.BucketLease + "." + key }
