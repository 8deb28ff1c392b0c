package hub

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	defaultLogins = 32
	admitWait     = 10 * time.Second
	copyBuffer    = 4 << 10 // twice per agent
)

// proxy hands websockets of core's HTTP port to the server's loopback listener.
// Only so many logins are under way at a time: after a restart a fleet comes back
// at once, and logins that time out half way would be wasted.
type proxy struct {
	slots chan struct{}
	log   *slog.Logger

	mu       sync.Mutex        // guards what follows
	upstream string            // host:port of the server; empty while closed
	byAddr   map[string]func() // our end of a connection to the server → its admission
	peers    map[string]string // the same → whose it is
}

func newProxy(logins int, log *slog.Logger) *proxy {
	if logins <= 0 {
		logins = defaultLogins
	}
	return &proxy{slots: make(chan struct{}, logins), log: log, byAddr: map[string]func(){}, peers: map[string]string{}}
}

// open lets agents through to the server's websocket URL.
func (p *proxy) open(wsURL string) {
	_, host, _ := strings.Cut(wsURL, "://")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upstream = host
}

func (p *proxy) close() { p.open("") }

// ServeHTTP takes one agent's connection and stays until it ends.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "this is where agents connect by websocket", http.StatusUpgradeRequired)
		return
	}
	p.mu.Lock()
	upstream := p.upstream
	p.mu.Unlock()
	if upstream == "" {
		busy(w)
		return
	}
	release, ok := p.admit(r.Context())
	if !ok {
		busy(w)
		return
	}
	defer release()
	if err := p.splice(w, r, upstream, release); err != nil {
		p.log.Debug("agent websocket", "from", r.RemoteAddr, "err", err)
	}
}

func busy(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "5")
	http.Error(w, "core is busy, try again", http.StatusServiceUnavailable)
}

// admit waits for a free login.
func (p *proxy) admit(ctx context.Context) (release func(), ok bool) {
	ctx, cancel := context.WithTimeout(ctx, admitWait)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		return sync.OnceFunc(func() { <-p.slots }), true
	case <-ctx.Done():
		return nil, false
	}
}

// loggedIn gives back the admission of the connection from addr.
func (p *proxy) loggedIn(addr string) {
	p.mu.Lock()
	release := p.byAddr[addr]
	delete(p.byAddr, addr)
	p.mu.Unlock()
	if release != nil {
		release()
	}
}

// origin is where the connection from addr comes from.
func (p *proxy) origin(addr string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if peer, ok := p.peers[addr]; ok {
		return peer
	}
	return addr
}

func (p *proxy) forget(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.peers, addr)
}

func (p *proxy) splice(w http.ResponseWriter, r *http.Request, upstream string, release func()) error {
	var d net.Dialer
	up, err := d.DialContext(r.Context(), "tcp", upstream)
	if err != nil {
		busy(w)
		return fmt.Errorf("dial the server: %w", err)
	}
	defer up.Close()
	addr := up.LocalAddr().String()
	p.mu.Lock()
	p.byAddr[addr], p.peers[addr] = release, r.RemoteAddr
	p.mu.Unlock()
	defer p.forget(addr)
	defer p.loggedIn(addr)
	late := time.AfterFunc(authTimeout, release) // the server hangs up on it by then
	defer late.Stop()
	if err := writeUpgrade(up, r); err != nil {
		busy(w)
		return err
	}
	down, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "websockets need HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return fmt.Errorf("hijack: %w", err)
	}
	defer down.Close()
	if err := down.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("clear the deadline: %w", err)
	}
	return pump(up, down, buffered.Reader)
}

// writeUpgrade asks the server for the websocket. The path is always "/": others
// mean something to it. It reads exactly one address from X-Forwarded-For.
func writeUpgrade(up net.Conn, r *http.Request) error {
	h := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}
	for k, v := range r.Header {
		if strings.HasPrefix(k, "Sec-Websocket-") && k != "Sec-Websocket-Extensions" || strings.HasPrefix(k, "Nats-") {
			h[k] = v[:1]
		}
	}
	if ip, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		h.Set("X-Forwarded-For", ip)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "GET / HTTP/1.1\r\nHost: %s\r\n", up.RemoteAddr())
	if err := h.Write(&b); err != nil {
		return fmt.Errorf("write headers: %w", err)
	}
	b.WriteString("\r\n")
	if _, err := io.WriteString(up, b.String()); err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	return nil
}

// linger is how long an agent's last bytes are taken after the server hung up.
const linger = 2 * time.Second

// pump copies both ways until either side ends. When the server hangs up, what it
// said last must arrive: closing while the agent still writes would throw it away,
// and the agent would never learn why it was refused.
func pump(up, down net.Conn, early *bufio.Reader) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if n := early.Buffered(); n > 0 { // what came before the hijack
			_, _ = io.CopyN(up, early, int64(n))
		}
		_ = relay(up, down)
		up.Close()
		_ = relay(io.Discard, down)
	}()
	err := relay(down, up)
	if half, ok := down.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = down.SetReadDeadline(time.Now().Add(linger))
	<-done
	down.Close()
	return err
}

// relay hides the optional methods of both ends: io.Copy would use larger
// buffers, or hold two more file descriptors for splice(2).
func relay(dst io.Writer, src io.Reader) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, copyBuffer))
	return err
}
