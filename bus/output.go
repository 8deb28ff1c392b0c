package bus

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"berth/schema"
)

// Emit hands a chunk of output to the outbox of the connection, which
// sends chunks in order, waits for each to be taken and repeats it until it was.
// While core is away the outbox fills; then progress entries are dropped, oldest
// first, but never lines: when it is still full after a second, Emit returns
// schema.TooMany and the caller keeps the chunk. out.Entries belongs to the
// outbox afterwards. What core itself emits is stored as from CoreSource.
func (c *Conn) Emit(ctx context.Context, out schema.Output) error {
	if err := checkTokens(c.source(), out.Run, out.Command); err != nil {
		return err
	}
	return c.out.put(ctx, out)
}

// CoreSource stands for core where output names the agent that it is of.
const CoreSource = "core"

// source is whose output the connection carries.
func (c *Conn) source() string { return cmp.Or(c.agent, CoreSource) }

// Flush waits until everything emitted so far is on core's side, or for ctx. Call
// it before Report, so that the output is there when the result is.
func (c *Conn) Flush(ctx context.Context) error { return c.out.flush(ctx) }

// Epoch names the count of sequences of the output stream: a sequence means
// something only together with the epoch in which it was seen. An embedded
// server starts a new one each time, because what it had not synced is gone
// after a crash and its sequences are used again; on a cluster it stays.
func (c *Conn) Epoch(ctx context.Context) (string, error) {
	s, err := c.stream(ctx, StreamOutput)
	if err != nil {
		return "", err
	}
	info := s.CachedInfo()
	h := fnv.New64a()
	_ = binary.Write(h, binary.BigEndian, info.Created.UnixNano())
	if info.Config.Replicas <= 1 {
		h.Write([]byte(c.nc.ConnectedServerId()))
	}
	return hex.EncodeToString(h.Sum(nil)[:5]), nil
}

// Output calls fn with the stored chunks of one command, or of the whole run when
// cmd is empty, from the sequence on, oldest first. It ends with the last one
// stored now; what comes later is Tail's. The agent is taken from the subject,
// which the server guards: a chunk of another agent than the one the command was
// given to is a forgery.
func (c *Conn) Output(ctx context.Context, run, cmd string, from uint64, fn func(seq uint64, agent string, out schema.Output) error) error {
	tokens := []string{run}
	if cmd != "" {
		tokens = append(tokens, cmd)
	} else {
		cmd = "*"
	}
	if err := checkTokens(tokens...); err != nil {
		return err
	}
	return c.read(ctx, StreamOutput, subjOutput("*", run, cmd), from, func(m stored) error {
		out, err := decodeOutput(m.subject, m.data)
		if err != nil {
			c.log.Warn("drop a chunk of output", "err", err)
			return nil
		}
		return fn(m.seq, agentOf(m.subject), out)
	})
}

// LastOutput returns the sequence of the newest chunk of all.
func (c *Conn) LastOutput(ctx context.Context) (uint64, error) {
	s, err := c.stream(ctx, StreamOutput)
	if err != nil {
		return 0, err
	}
	return s.CachedInfo().State.LastSeq, nil
}

// Tail calls fn with every chunk that is stored from now on, in order and without
// gaps, until ctx ends; then it returns nil. It is meant for one hub per core.
// schema.Unavailable when the stream cannot be read at first, or when the
// connection is closed.
func (c *Conn) Tail(ctx context.Context, fn func(seq uint64, agent string, out schema.Output)) error {
	last, err := c.LastOutput(ctx)
	if err != nil {
		return err
	}
	return c.follow(ctx, follower{
		stream: StreamOutput,
		open: func(ctx context.Context) (jetstream.Consumer, error) {
			return c.js.OrderedConsumer(ctx, StreamOutput, jetstream.OrderedConsumerConfig{
				DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: last + 1,
			})
		},
		take: func(m jetstream.Msg) error {
			meta, err := m.Metadata()
			if err != nil {
				return fmt.Errorf("read metadata: %w", err)
			}
			last = meta.Sequence.Stream
			out, err := decodeOutput(m.Subject(), m.Data())
			if err != nil {
				c.log.Warn("drop a chunk of output", "err", err)
				return nil
			}
			fn(last, agentOf(m.Subject()), out)
			return nil
		},
	})
}

// decodeOutput takes run and command from the subject, which the server guards,
// not from what the agent wrote into the chunk.
func decodeOutput(subject string, data []byte) (schema.Output, error) {
	var out schema.Output
	if err := json.Unmarshal(data, &out); err != nil {
		return out, fmt.Errorf("decode output at %s: %w", subject, err)
	}
	parts := strings.Split(subject, ".")
	if len(parts) != 5 {
		return out, fmt.Errorf("decode output: unexpected subject %s", subject)
	}
	out.Run, out.Command = parts[3], parts[4]
	return out, nil
}
