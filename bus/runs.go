package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"berth/schema"
)

// Error codes of JetStream that mean something to us.
const (
	codeWrongLast       jetstream.ErrorCode = 10071 // R1
	codeWrongLastR3     jetstream.ErrorCode = 10164 // replicated
	codePerSubjectLimit jetstream.ErrorCode = 10077 // DiscardNewPerSubject: there is one already
	codeStoreFull       jetstream.ErrorCode = 10023
)

// IsWrongLast reports whether err says that somebody else wrote first.
func IsWrongLast(err error) bool { return hasCode(err, codeWrongLast, codeWrongLastR3) }

func hasCode(err error, codes ...jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	return slices.Contains(codes, api.ErrorCode)
}

// Append adds an event to a run's log if the last event of that run has the
// sequence expectSeq (0: there is none), and returns the new sequence.
// schema.Conflict when somebody else was first. On disk when it returns.
func (c *Conn) Append(ctx context.Context, run string, expectSeq uint64, ev schema.Event) (uint64, error) {
	if err := checkTokens(run); err != nil {
		return 0, err
	}
	data, err := json.Marshal(ev)
	if err != nil {
		return 0, fmt.Errorf("append to run %s: encode: %w", run, err)
	}
	ack, err := c.js.PublishMsg(ctx, &nats.Msg{Subject: subjRun(run), Data: data}, jetstream.WithExpectLastSequencePerSubject(expectSeq))
	switch {
	case IsWrongLast(err):
		return 0, schema.Wrap(schema.Conflict, err, "append %s to run %s: another core was first", ev.Type, run)
	case err != nil:
		return 0, published(err, fmt.Sprintf("append %s to run %s", ev.Type, run))
	}
	return ack.Sequence, nil
}

// History returns all events of a run, oldest first, and the sequence of the
// last; none and 0 for a run nobody knows.
func (c *Conn) History(ctx context.Context, run string) ([]schema.Event, uint64, error) {
	if err := checkTokens(run); err != nil {
		return nil, 0, err
	}
	var (
		events []schema.Event
		last   uint64
	)
	err := c.read(ctx, StreamRuns, subjRun(run), 1, func(m stored) error {
		var ev schema.Event
		if err := json.Unmarshal(m.data, &ev); err != nil {
			return fmt.Errorf("decode event %d of run %s: %w", len(events)+1, run, err)
		}
		events, last = append(events, ev), m.seq
		return nil
	})
	return events, last, err
}

// published gives the errors of a publish with ack their code.
func published(err error, what string) error {
	if hasCode(err, codeStoreFull) {
		return schema.Wrap(schema.Unavailable, err, "%s: core's store is full: free disk space or raise its limit", what)
	}
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		return schema.Wrap(schema.Unavailable, err, "%s: not connected", what)
	}
	return unreachable(err, what)
}
