package core

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// firstByte is how long a new connection may be silent.
const firstByte = 10 * time.Second

// split tells connections that begin with a TLS handshake from others, until the
// listener is closed. What keeps it from accepting, too many open files first of
// all, is waited out.
func split(ctx context.Context, l net.Listener, secure, plain *half, log *slog.Logger) error {
	defer secure.end()
	defer plain.end()
	var wg sync.WaitGroup
	defer wg.Wait()
	var pause time.Duration
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			wg.Go(func() { sort(ctx, conn, secure, plain) })
			continue
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return nil
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		log.Error("accept connections: is the limit of open files reached?", "err", err, "again_in", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// sort reads the first byte of a connection and hands it on.
func sort(ctx context.Context, conn net.Conn, secure, plain *half) {
	_ = conn.SetReadDeadline(time.Now().Add(firstByte))
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	r := bufio.NewReaderSize(conn, 1)
	first, err := r.Peek(1)
	if err != nil {
		_ = conn.Close()
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	to := plain
	const handshake = 0x16
	if first[0] == handshake {
		to = secure
	}
	to.give(ctx, &peeked{Conn: conn, r: r})
}

// peeked is a connection of which the first bytes have been looked at.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

// Read reads what was looked at first.
func (p *peeked) Read(b []byte) (int, error) {
	if p.r != nil {
		n, err := p.r.Read(b)
		if p.r.Buffered() == 0 {
			p.r = nil
		}
		return n, err
	}
	return p.Conn.Read(b)
}

// CloseWrite says that nothing more comes; what the other side sends is still read.
func (p *peeked) CloseWrite() error {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return p.Close()
}

// half is a listener that is fed.
type half struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newHalf(addr net.Addr) *half {
	return &half{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

func (h *half) give(ctx context.Context, conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.done:
		_ = conn.Close()
	case <-ctx.Done():
		_ = conn.Close()
	}
}

func (h *half) end() { h.once.Do(func() { close(h.done) }) }

// Accept returns the next connection of this kind.
func (h *half) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (h *half) Close() error { h.end(); return nil }

// Addr is the address of the port.
func (h *half) Addr() net.Addr { return h.addr }
