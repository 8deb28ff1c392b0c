package webhook

import (
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"berth/bus"
	"berth/schema"
)

// Limits of the journal: the oldest deliveries go first.
const (
	journalAge   = 90 * 24 * time.Hour
	journalBytes = 256 << 20
	journalCount = 5000
	plainBody    = 64 << 10  // bytes; a larger body is deflated
	keepBody     = 256 << 10 // bytes, deflated; a larger body is not kept
	putTimeout   = 5 * time.Second
)

// Journal keeps deliveries in a stream, one subject each, and all but their bodies
// in memory. Its methods may be called from any goroutine.
type Journal struct {
	js jetstream.JetStream

	mu      sync.Mutex
	entries map[string]entry
	settled uint64 // every accepted delivery up to this sequence has been started
}

// entry is a delivery without its body, and where it lies.
type entry struct {
	schema.Delivery
	seq uint64
}

// document is a delivery as it is stored.
type document struct {
	V int `json:"v"`
	schema.Delivery
	Packed []byte `json:"packed,omitempty"` // the body, deflated, when it is large
}

// OpenJournal prepares the stream and reads what it holds.
func OpenJournal(ctx context.Context, js jetstream.JetStream) (*Journal, error) {
	j := &Journal{js: js, entries: map[string]entry{}}
	s, err := js.Stream(ctx, bus.StreamDeliveries)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name: bus.StreamDeliveries, Subjects: []string{bus.SubjectDeliveries + ">"}, Storage: jetstream.FileStorage,
			MaxAge: journalAge, MaxBytes: journalBytes, MaxMsgs: journalCount, MaxMsgsPerSubject: 1,
			Discard: jetstream.DiscardOld, AllowDirect: true, Compression: jetstream.S2Compression,
			Metadata: map[string]string{"schema": "1", "min_reader": "1"}, Description: "webhook deliveries and their verdicts",
		})
	}
	if err != nil {
		return nil, fmt.Errorf("open the journal of deliveries: %w", err)
	}
	if err := j.load(ctx, s); err != nil {
		return nil, fmt.Errorf("read the journal of deliveries: %w", err)
	}
	return j, nil
}

func (j *Journal) load(ctx context.Context, s jetstream.Stream) error {
	left := s.CachedInfo().State.Msgs
	if left == 0 {
		return nil
	}
	cons, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	msgs, err := cons.Messages()
	if err != nil {
		return err
	}
	defer msgs.Stop()
	for {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if err := j.fold(m.Subject(), meta.Sequence.Stream, m.Data()); err != nil {
			return err
		}
		if meta.NumPending == 0 {
			return nil
		}
	}
}

func (j *Journal) fold(subject string, seq uint64, data []byte) error {
	if subject == bus.SubjectDeliveries+settledToken {
		n, err := strconv.ParseUint(string(data), 10, 64)
		j.settled = max(j.settled, n)
		return err
	}
	var doc document
	if err := json.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("delivery at %d: %w", seq, err)
	}
	j.index(doc.Delivery, seq)
	return nil
}

// settledToken ends the subject of the mark up to where everything is started.
const settledToken = "settled"

// index takes a delivery into memory and lets go of those the stream has dropped.
func (j *Journal) index(d schema.Delivery, seq uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	d.Body = nil
	j.entries[d.ID] = entry{d, seq}
	if len(j.entries) <= journalCount+journalCount/10 {
		return
	}
	list := j.byAge()
	for _, e := range list[:len(list)-journalCount] {
		delete(j.entries, e.ID)
	}
}

// byAge returns all entries, oldest first. j.mu is held.
func (j *Journal) byAge() []entry {
	list := make([]entry, 0, len(j.entries))
	for _, e := range j.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.Received, b.Received), cmp.Compare(a.seq, b.seq))
	})
	return list
}

// Put stores a new delivery and returns its sequence number once it is on disk.
// Errors: Conflict when its id is taken; Unavailable when it may not be stored.
func (j *Journal) Put(ctx context.Context, d schema.Delivery) (uint64, error) {
	j.mu.Lock()
	_, taken := j.entries[d.ID]
	j.mu.Unlock()
	if taken {
		return 0, schema.Errorf(schema.Conflict, "delivery %s came before", d.ID)
	}
	return j.write(ctx, d, jetstream.WithExpectLastSequencePerSubject(0))
}

// Replace stores a delivery over an earlier version of itself.
func (j *Journal) Replace(ctx context.Context, d schema.Delivery) error {
	_, err := j.write(ctx, d)
	return err
}

func (j *Journal) write(ctx context.Context, d schema.Delivery, opts ...jetstream.PublishOpt) (uint64, error) {
	doc := document{V: 1, Delivery: d}
	if len(d.Body) > plainBody { // the stream compresses too; this keeps messages small
		doc.Body, doc.Packed = nil, pack(d.Body)
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return 0, fmt.Errorf("encode delivery: %w", err)
	}
	// The sender may hang up; what he sent is stored or not stored, never unknown.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putTimeout)
	defer cancel()
	ack, err := j.js.PublishMsg(ctx, &nats.Msg{Subject: bus.SubjectDeliveries + d.ID, Data: data}, opts...)
	if err != nil {
		return 0, storeError(err)
	}
	j.index(d, ack.Sequence)
	return ack.Sequence, nil
}

func storeError(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == 10164) {
		return schema.Wrap(schema.Conflict, err, "store delivery: it is there already")
	}
	return schema.Wrap(schema.Unavailable, err, "store delivery")
}

// Get returns a delivery with its body; NotFound.
func (j *Journal) Get(ctx context.Context, id string) (schema.Delivery, error) {
	if !schema.IsID(id) {
		return schema.Delivery{}, schema.Errorf(schema.NotFound, "no delivery %q", clip(id, 40))
	}
	s, err := j.js.Stream(ctx, bus.StreamDeliveries)
	if err != nil {
		return schema.Delivery{}, schema.Wrap(schema.Unavailable, err, "read delivery %s", id)
	}
	m, err := s.GetLastMsgForSubject(ctx, bus.SubjectDeliveries+id)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return schema.Delivery{}, schema.Errorf(schema.NotFound, "no delivery %q", id)
	}
	if err != nil {
		return schema.Delivery{}, schema.Wrap(schema.Unavailable, err, "read delivery %s", id)
	}
	var doc document
	if err := json.Unmarshal(m.Data, &doc); err != nil {
		return schema.Delivery{}, fmt.Errorf("decode delivery %s: %w", id, err)
	}
	if len(doc.Packed) > 0 {
		doc.Body = unpack(doc.Packed)
	}
	return doc.Delivery, nil
}

// Recent returns the newest deliveries, newest first, without bodies.
func (j *Journal) Recent(limit int) []schema.Delivery {
	j.mu.Lock()
	list := j.byAge()
	j.mu.Unlock()
	out := make([]schema.Delivery, 0, min(limit, len(list)))
	for _, e := range slices.Backward(list) {
		if len(out) == limit {
			break
		}
		out = append(out, e.Delivery)
	}
	return out
}

// unsettled returns the deliveries after the settled mark, in order of arrival.
func (j *Journal) unsettled() []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []entry
	for _, e := range j.entries {
		if e.seq > j.settled {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b entry) int { return cmp.Compare(a.seq, b.seq) })
	return out
}

// has reports whether the delivery is known in memory.
func (j *Journal) has(id string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, ok := j.entries[id]
	return ok
}

// settle remembers that every accepted delivery up to seq has been started.
func (j *Journal) settle(ctx context.Context, seq uint64) error {
	j.mu.Lock()
	done := seq <= j.settled
	j.mu.Unlock()
	if done {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	_, err := j.js.Publish(ctx, bus.SubjectDeliveries+settledToken, []byte(strconv.FormatUint(seq, 10)))
	if err != nil {
		return storeError(err)
	}
	j.mu.Lock()
	j.settled = max(j.settled, seq)
	j.mu.Unlock()
	return nil
}

// pack deflates a body; nil when nothing is kept of it.
func pack(body []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestSpeed)
	_, _ = w.Write(body)
	_ = w.Close()
	if b.Len() > keepBody {
		return nil
	}
	return b.Bytes()
}

func unpack(packed []byte) []byte {
	body, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), MaxBody))
	if err != nil {
		return nil
	}
	return body
}
