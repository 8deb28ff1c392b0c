package access

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Failures counts wrong guesses per address: five in fifteen seconds are too
// many. Addresses of IPv6 count by their /64.
type Failures struct {
	now func() time.Time

	mu   sync.Mutex
	from map[string][]time.Time
}

const (
	maxFailures   = 5
	failureWindow = 15 * time.Second
	maxAddresses  = 4096
)

// NewFailures makes an empty count; now is the clock.
func NewFailures(now func() time.Time) *Failures {
	return &Failures{now: now, from: map[string][]time.Time{}}
}

// Add counts a failure and returns how long the address should wait; 0 when it
// is still within the limit.
func (f *Failures) Add(peer string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, key := f.now(), network(peer)
	if len(f.from) >= maxAddresses {
		f.sweep(now)
	}
	list := recent(f.from[key], now)
	if len(list) < 4*maxFailures {
		list = append(list, now)
	}
	f.from[key] = list
	return wait(list, now)
}

// Wait returns how long the address should wait before it guesses again.
func (f *Failures) Wait(peer string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	return wait(recent(f.from[network(peer)], now), now)
}

func wait(list []time.Time, now time.Time) time.Duration {
	if len(list) <= maxFailures {
		return 0
	}
	return list[len(list)-maxFailures].Add(failureWindow).Sub(now)
}

func recent(list []time.Time, now time.Time) []time.Time {
	for len(list) > 0 && now.Sub(list[0]) > failureWindow {
		list = list[1:]
	}
	return list
}

// sweep forgets old addresses, and all when none is old.
func (f *Failures) sweep(now time.Time) {
	for k, list := range f.from {
		if len(recent(list, now)) == 0 {
			delete(f.from, k)
		}
	}
	if len(f.from) >= maxAddresses {
		clear(f.from)
	}
}

// network returns what of an address is counted together.
func network(peer string) string {
	a, err := netip.ParseAddr(peer)
	if err != nil {
		return peer
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.String()
	}
	return a.String()
}

// Peers tells who sent a request. Headers about it are believed only when the
// connection comes from one of the proxies.
type Peers struct{ proxies []netip.Prefix }

// NewPeers trusts the proxies, given as addresses or networks.
func NewPeers(proxies []netip.Prefix) Peers { return Peers{proxies} }

// Of returns the address of who sent the request.
func (p Peers) Of(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if !p.trusted(host) {
		return host
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		if _, err := netip.ParseAddr(hop); err != nil {
			break
		}
		host = hop
		if !p.trusted(hop) {
			return hop
		}
	}
	if r.Header.Get("X-Forwarded-For") == "" {
		ip := r.Header.Get("X-Real-Ip")
		if _, err := netip.ParseAddr(ip); err == nil {
			return ip
		}
	}
	return host
}

func (p Peers) trusted(host string) bool {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	for _, n := range p.proxies {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
