package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"berth/schema"
)

// pendingBytes bounds one answer of Pending: it has to fit into a message.
const pendingBytes = 512 << 10

// Enqueue puts a command where its agent finds it, until ttl has passed (rounded
// up to a second; 0 means no end). Enqueuing it again changes nothing.
func (c *Conn) Enqueue(ctx context.Context, agent string, cmd schema.Command, ttl time.Duration) error {
	if err := checkTokens(agent, cmd.ID); err != nil {
		return err
	}
	data, err := json.Marshal(cmd)
	if err != nil {
		return fmt.Errorf("enqueue %s: encode: %w", cmd.ID, err)
	}
	var opts []jetstream.PublishOpt
	if ttl > 0 {
		ttl = (ttl + time.Second - 1).Truncate(time.Second)
		opts = append(opts, jetstream.WithMsgTTL(ttl))
	}
	_, err = c.js.PublishMsg(ctx, &nats.Msg{Subject: subjQueued(agent, cmd.ID), Data: data}, opts...)
	if err == nil || hasCode(err, codePerSubjectLimit) {
		return nil
	}
	return published(err, "enqueue "+cmd.Verb)
}

// Pending lists the commands that wait for an agent, oldest first, as many as fit
// into one answer: more are there when these are gone.
func (c *Conn) Pending(ctx context.Context, agent string) ([]schema.Command, error) {
	if err := checkTokens(agent); err != nil {
		return nil, err
	}
	var (
		list []schema.Command
		size int
	)
	full := errors.New("full")
	err := c.read(ctx, StreamCommands, subjQueued(agent, "*"), 1, func(m stored) error {
		if size += len(m.data); size > pendingBytes && len(list) > 0 {
			return full
		}
		var cmd schema.Command
		if err := json.Unmarshal(m.data, &cmd); err != nil {
			return fmt.Errorf("decode a command of %s: %w", m.subject, err)
		}
		list = append(list, cmd)
		return nil
	})
	if errors.Is(err, full) {
		err = nil
	}
	return list, err
}

// Queued returns one command of an agent. Errors: NotFound when it is not, or not
// any more, in the queue.
func (c *Conn) Queued(ctx context.Context, agent, cmd string) (schema.Command, error) {
	var (
		found schema.Command
		there bool
	)
	if err := checkTokens(agent, cmd); err != nil {
		return found, err
	}
	err := c.read(ctx, StreamCommands, subjQueued(agent, cmd), 1, func(m stored) error {
		there = true
		return json.Unmarshal(m.data, &found)
	})
	if err == nil && !there {
		err = schema.Errorf(schema.NotFound, "command %s is not queued any more", cmd)
	}
	return found, err
}

// Dequeue takes a command out of the queue, whether it was there or not.
func (c *Conn) Dequeue(ctx context.Context, agent, cmd string) error {
	if err := checkTokens(agent, cmd); err != nil {
		return err
	}
	s, err := c.stream(ctx, StreamCommands)
	if err != nil {
		return err
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSubject(subjQueued(agent, cmd))); err != nil {
		return published(err, "dequeue "+cmd)
	}
	return nil
}

func (c *Conn) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s, err := c.js.Stream(ctx, name)
	if err != nil {
		return nil, published(err, "open stream "+name)
	}
	return s, nil
}
