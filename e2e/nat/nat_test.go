package nat_test

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"berth/e2e/nat"
)

// accept greets whoever connects, with the address it sees.
func accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Write([]byte(c.RemoteAddr().String() + "\n"))
		_ = c.Close()
	}
}

// greeting connects from a namespace, this machine's own if netns is "".
func greeting(ctx context.Context, netns, addr string) (string, error) {
	dial := func() (c net.Conn, err error) {
		d := net.Dialer{Timeout: 2 * time.Second}
		return d.DialContext(ctx, "tcp", addr)
	}
	var c net.Conn
	var err error
	if netns == "" {
		c, err = dial()
	} else {
		err = nat.In(netns, func() (err error) { c, err = dial(); return err })
	}
	if err != nil {
		return "", err
	}
	defer c.Close()
	return bufio.NewReader(c).ReadString('\n')
}

// TestHome proves the lab itself: out works and is translated, in is refused, and
// a pulled cable cuts off.
func TestHome(t *testing.T) {
	home := nat.New(t)
	out, err := net.Listen("tcp", home.Outside+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	go accept(out)
	in, err := home.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	go accept(in)

	seen, err := greeting(t.Context(), home.Netns, out.Addr().String())
	if err != nil {
		t.Fatalf("from inside to the machine: %v", err)
	}
	if strings.HasPrefix(seen, home.Inside) {
		t.Errorf("the machine sees %s: the router did not translate", seen)
	}
	if _, err := greeting(t.Context(), home.Router, in.Addr().String()); err != nil {
		t.Errorf("the listener inside does not answer its own router: %v", err)
	}
	if seen, err := greeting(t.Context(), "", in.Addr().String()); err == nil {
		t.Errorf("the machine reached %s behind NAT: %s", in.Addr(), seen)
	}

	home.Cut(t)
	if _, err := greeting(t.Context(), home.Netns, out.Addr().String()); err == nil {
		t.Error("the pulled cable did not cut off")
	}
	home.Plug(t)
	if _, err := greeting(t.Context(), home.Netns, out.Addr().String()); err != nil {
		t.Errorf("the cable is back, yet: %v", err)
	}
}
