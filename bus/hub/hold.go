package hub

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/nats-io/nats.go"

	"berth/bus"
)

// gate is what core's own connections write through. It is open, except for the
// moment in which a backup reads the buckets.
type gate struct{ mu sync.RWMutex }

// through makes connections that write through the gate.
type through struct {
	nats.InProcessConnProvider
	gate *gate
}

// InProcessConn implements nats.InProcessConnProvider.
func (t through) InProcessConn() (net.Conn, error) {
	conn, err := t.InProcessConnProvider.InProcessConn()
	if err != nil {
		return nil, err
	}
	return &gated{Conn: conn, gate: t.gate}, nil
}

type gated struct {
	net.Conn
	gate *gate
}

// Write waits while the gate is closed.
func (g *gated) Write(p []byte) (int, error) {
	g.gate.mu.RLock()
	defer g.gate.mu.RUnlock()
	return g.Conn.Write(p)
}

// Hold keeps everything that core writes waiting until release. What agents send
// still arrives: their results and output, which only ever grow. Writers give up
// after five seconds, so release soon. What was written just before may still be
// on its way into its stream.
func (h *Hub) Hold() (release func()) {
	h.gate.mu.Lock()
	return sync.OnceFunc(h.gate.mu.Unlock)
}

// DialFree is Dial for a connection that Hold does not stop.
func (h *Hub) DialFree(ctx context.Context, name string) (*bus.Conn, error) {
	c, err := bus.Dial(ctx, bus.Options{Seed: h.seed, Name: name, InProcess: h.srv, Log: h.opts.Log})
	if err != nil {
		return nil, fmt.Errorf("connect core to the bus: %w", err)
	}
	return c, nil
}
