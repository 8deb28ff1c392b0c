package bus

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"berth/schema"
)

// Notify tells an agent something small, once, whether it listens or not: what
// must not be lost is asked for (AskPending, AskRenew).
func (c *Conn) Notify(_ context.Context, agent, what string, payload any) error {
	if err := checkTokens(agent, what); err != nil {
		return err
	}
	data, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("notify %s: encode: %w", what, err)
	}
	return unreachable(c.nc.Publish(subjCmd(agent, what), data), "notify "+what)
}

// OnNotify calls fn with the payload of every notice of that name to the agent of
// c, one after the other.
func (c *Conn) OnNotify(what string, fn func(payload json.RawMessage)) error {
	if err := checkTokens(c.agent, what); err != nil {
		return err
	}
	_, err := c.nc.Subscribe(subjCmd(c.agent, what), func(m *nats.Msg) { fn(m.Data) })
	if err != nil {
		return fmt.Errorf("listen for %s: %w", what, err)
	}
	return nil
}

// Status publishes the agent's status, to whoever listens now.
func (c *Conn) Status(_ context.Context, st schema.AgentStatus) error {
	if err := checkTokens(c.agent); err != nil {
		return err
	}
	data, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("publish status: encode: %w", err)
	}
	return unreachable(c.nc.Publish(subjStatus(c.agent), data), "publish status")
}

// OnStatus calls fn with every status that an agent publishes, one after the
// other. Every core hears every status.
func (c *Conn) OnStatus(fn func(agent string, st schema.AgentStatus)) error {
	_, err := c.nc.Subscribe(subjStatuses, func(m *nats.Msg) {
		var st schema.AgentStatus
		if err := json.Unmarshal(m.Data, &st); err != nil {
			c.log.Warn("decode a status", "agent", agentOf(m.Subject), "err", err)
			return
		}
		fn(agentOf(m.Subject), st)
	})
	if err != nil {
		return fmt.Errorf("listen for status: %w", err)
	}
	return nil
}
