// Package nat puts a network between two parts of a test: a namespace that stands
// for a home behind a router that translates addresses. What is inside reaches
// the machine; nothing reaches what is inside, as with any home router.
//
//	machine 10.97.N.1 ── 10.97.N.2 router 10.98.N.1 ── 10.98.N.2 inside
//
// The machine even has a route to the inside network, so that it is the router's
// refusal that is met and not a missing route. It needs root, iproute2 and
// iptables; a Home is used by one test at a time.
package nat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Home is the network behind the router.
type Home struct {
	Netns   string // path of the inside namespace, for nsenter --net=
	Outside string // address of the machine, as the inside reaches it
	Inside  string // address inside, which nobody outside reaches
	Router  string // path of the router's namespace
	n       int
}

// homes is how many homes may stand side by side on a machine.
const homes = 40

// New builds a home that is gone at the test's end. Homes that a killed test left
// behind are removed on the way.
func New(t testing.TB) *Home {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("build a network behind NAT: this needs root; run the test as root")
	}
	h, err := take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		h.remove(ctx)
	})
	if err := h.build(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// Command returns a command that runs inside.
func (h *Home) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + h.Netns, name}, args...)...)
}

// Listen opens a listener inside.
func (h *Home) Listen(ctx context.Context) (net.Listener, error) {
	var l net.Listener
	err := In(h.Netns, func() (err error) {
		var c net.ListenConfig
		l, err = c.Listen(ctx, "tcp", h.Inside+":0")
		return err
	})
	return l, err
}

// In runs f in a network namespace; sockets that f opens stay there.
func In(netns string, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its goroutine
		ns, err := os.Open(netns)
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			_ = ns.Close()
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// take claims a number by making its namespace, which only one process can.
func take(ctx context.Context) (*Home, error) {
	base := filepath.Join(os.TempDir(), "berth-homes")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, err
	}
	var last error
	for n := 1; n <= homes; n++ {
		h := &Home{n: n, Outside: fmt.Sprintf("10.97.%d.1", n), Inside: fmt.Sprintf("10.98.%d.2", n)}
		h.Netns, h.Router = "/var/run/netns/"+h.name("h"), "/var/run/netns/"+h.name("r")
		if text, err := os.ReadFile(h.owner()); err == nil {
			if pid, err := strconv.Atoi(string(text)); err == nil && syscall.Kill(pid, 0) != nil {
				h.remove(ctx)
			}
		}
		if last = run(ctx, "ip", "netns", "add", h.name("h")); last == nil {
			return h, os.WriteFile(h.owner(), []byte(strconv.Itoa(os.Getpid())), 0o644)
		}
	}
	return nil, fmt.Errorf("find a free network namespace: %w", last)
}

func (h *Home) name(part string) string { return "bnat" + strconv.Itoa(h.n) + part }
func (h *Home) owner() string {
	return filepath.Join(os.TempDir(), "berth-homes", strconv.Itoa(h.n))
}

func (h *Home) build(ctx context.Context) error {
	router, inside := h.name("r"), h.name("h")
	wan, lan := h.name("w"), h.name("l") // the outer ends; the inner ones have an x
	net98 := fmt.Sprintf("10.98.%d.", h.n)
	wanAddr := fmt.Sprintf("10.97.%d.2", h.n)
	steps := []string{
		"ip netns add " + router,
		"ip link add " + wan + " type veth peer name " + wan + "x netns " + router,
		"ip addr add " + h.Outside + "/24 dev " + wan,
		"ip link set " + wan + " up",
		"ip -n " + router + " link add " + lan + " type veth peer name " + lan + "x netns " + inside,
		"ip -n " + router + " addr add " + wanAddr + "/24 dev " + wan + "x",
		"ip -n " + router + " addr add " + net98 + "1/24 dev " + lan,
		"ip -n " + router + " link set lo up",
		"ip -n " + router + " link set " + wan + "x up",
		"ip -n " + router + " link set " + lan + " up",
		"ip -n " + router + " route add default via " + h.Outside,
		"ip -n " + inside + " addr add " + h.Inside + "/24 dev " + lan + "x",
		"ip -n " + inside + " link set lo up",
		"ip -n " + inside + " link set " + lan + "x up",
		"ip -n " + inside + " route add default via " + net98 + "1",
		"ip route add " + net98 + "0/24 via " + wanAddr,
		"nsenter --net=" + h.Router + " iptables -w -t nat -A POSTROUTING -o " + wan + "x -j MASQUERADE",
		"nsenter --net=" + h.Router + " iptables -w -P FORWARD DROP",
		"nsenter --net=" + h.Router + " iptables -w -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
		"nsenter --net=" + h.Router + " iptables -w -A FORWARD -i " + lan + " -o " + wan + "x -j ACCEPT",
		"nsenter --net=" + h.Router + " iptables -w -A FORWARD -j REJECT --reject-with icmp-admin-prohibited",
		"nsenter --net=" + h.Router + " iptables -w -A INPUT -i " + wan + "x -m conntrack --ctstate NEW -j REJECT",
	}
	for _, step := range steps {
		words := strings.Fields(step)
		if err := run(ctx, words[0], words[1:]...); err != nil {
			return fmt.Errorf("build a network behind NAT (.ci/bare.sh engine installs what it needs): %w", err)
		}
	}
	return In(h.Router, func() error { // /proc/sys/net is the calling thread's
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
	})
}

// Cut pulls the cable between router and machine: what is inside is offline, its
// connections hang as they do when a line goes dead. Plug undoes it.
func (h *Home) Cut(t testing.TB) { h.link(t, "down") }

// Plug puts the cable back.
func (h *Home) Plug(t testing.TB) {
	h.link(t, "up")
	// A link that went down lost the routes over it.
	for _, step := range [][]string{
		{"ip", "route", "replace", fmt.Sprintf("10.98.%d.0/24", h.n), "via", fmt.Sprintf("10.97.%d.2", h.n)},
		{"ip", "-n", h.name("r"), "route", "replace", "default", "via", h.Outside},
	} {
		if err := run(t.Context(), step[0], step[1:]...); err != nil {
			t.Fatal(err)
		}
	}
}

func (h *Home) link(t testing.TB, state string) {
	t.Helper()
	if err := run(t.Context(), "ip", "link", "set", h.name("w"), state); err != nil {
		t.Fatal(err)
	}
}

// remove takes away whatever of the home is there.
func (h *Home) remove(ctx context.Context) {
	_ = run(ctx, "ip", "link", "del", h.name("w"))
	_ = run(ctx, "ip", "netns", "del", h.name("r"))
	_ = run(ctx, "ip", "netns", "del", h.name("h"))
	_ = os.Remove(h.owner())
}

func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: .ci/bare.sh engine installs it", err)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
