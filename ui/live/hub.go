// Package live carries what changes to the browsers that show it, as server-sent
// events.
//
// Hub carries state: a frame is rendered and framed once and shared by all
// subscribers of its topic, so it must not depend on who is looking; of several
// frames of one topic only the newest waits in a slow client's queue. Tail
// carries output: every chunk counts, in order, and a client that cannot keep up
// reads again from the store.
//
// Publishing never blocks: a slow client is told to fetch again instead. All
// methods may be called from any goroutine.
package live

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxQueue is how many frames wait for a slow client before it has to fetch again.
const maxQueue = 256

// Hub fans frames out to subscribers of topics.
type Hub struct {
	epoch  string
	linger time.Duration
	now    func() time.Time

	mu     sync.Mutex // guards what follows
	seq    uint64
	ring   []*event
	next   int
	topics map[string]*topic
	done   chan struct{}
	closed bool
}

type event struct {
	seq   uint64
	topic string
	frame []byte
}

// topic is rendered while it is warm: while someone listens, and for linger
// after the last listener left, so that a short drop can be replayed. When it
// goes cold it stops being rendered, and who left before that must fetch again.
type topic struct {
	subs map[*sub]struct{}
	cold uint64 // seq at which rendering last stopped
	left time.Time
	warm bool
}

// Options are the settings of a Hub. Zero values mean the defaults in brackets.
type Options struct {
	Epoch  string           // distinguishes this process from its predecessors
	Ring   int              // how many frames can be replayed [1024]
	Linger time.Duration    // how long a topic stays warm without listeners [1 min]
	Now    func() time.Time // [time.Now]
}

// NewHub returns a hub.
func NewHub(o Options) *Hub {
	if o.Ring == 0 {
		o.Ring = 1024
	}
	if o.Linger == 0 {
		o.Linger = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Hub{epoch: o.Epoch, linger: o.Linger, now: o.Now, ring: make([]*event, o.Ring), topics: map[string]*topic{}, done: make(chan struct{})}
}

// Close ends all streams; there are no new ones after it.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		close(h.done)
	}
}

// Done is closed when the hub is.
func (h *Hub) Done() <-chan struct{} { return h.done }

// Cursor warms topics and names the newest event. A page takes it before it
// reads what it renders, so that its stream, which starts right after it, misses
// nothing that happened since.
func (h *Hub) Cursor(names ...string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range names {
		t := h.topic(n)
		if !t.warm {
			t.warm, t.cold = true, h.seq
		}
		t.left = h.now()
	}
	return h.epoch + "." + strconv.FormatUint(h.seq, 10)
}

func (h *Hub) topic(name string) *topic {
	t := h.topics[name]
	if t == nil {
		t = &topic{subs: map[*sub]struct{}{}, cold: h.seq}
		h.topics[name] = t
	}
	return t
}

// Warm returns the topics that are worth rendering, and forgets those that went
// cold long ago.
func (h *Hub) Warm() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for n, t := range h.topics {
		switch idle := h.now().Sub(t.left); {
		case len(t.subs) > 0 || t.warm && idle <= h.linger:
			out = append(out, n)
		default:
			delete(h.topics, n) // a later subscriber finds cold = now: it fetches again
		}
	}
	return out
}

// Publish hands data to the topic's subscribers, who swap it in. A newer frame
// of the same topic replaces one that still waits.
func (h *Hub) Publish(name string, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	e := &event{seq: h.seq, topic: name, frame: Frame(fmt.Sprintf("%s.%d", h.epoch, h.seq), "", data)}
	h.ring[h.next] = e
	h.next = (h.next + 1) % len(h.ring)
	if t := h.topics[name]; t != nil {
		for s := range t.subs {
			s.push(e)
		}
	}
}

// Resync tells every client to fetch its page again: something was missed.
func (h *Hub) Resync() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.topics {
		for s := range t.subs {
			s.lose()
		}
	}
}

// Frame returns one server-sent event. An event without a name is swapped by the
// page, a named one becomes a DOM event.
func Frame(id, name string, data []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(data) + 64)
	if id != "" {
		b.WriteString("id: " + id + "\n")
	}
	if name != "" {
		b.WriteString("event: " + name + "\n")
	}
	for line := range bytes.SplitSeq(bytes.TrimRight(data, "\n"), []byte("\n")) {
		b.WriteString("data: ")
		b.Write(bytes.ReplaceAll(line, []byte("\r"), nil))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// subscribe registers and, in the same critical section, replays what the ring
// still holds after the client's last event: nothing is missed or doubled.
func (h *Hub) subscribe(names []string, last string) (s *sub, cur string, resync bool) {
	s = &sub{names: names, notify: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	gap := uint64(0)
	for _, n := range names {
		t := h.topic(n)
		if !t.warm || len(t.subs) == 0 && h.now().Sub(t.left) > h.linger {
			t.cold = h.seq
		}
		t.warm = true
		t.subs[s] = struct{}{}
		gap = max(gap, t.cold)
	}
	cur = h.epoch + "." + strconv.FormatUint(h.seq, 10)
	if last == "" {
		return s, cur, false
	}
	epoch, num, ok := strings.Cut(last, ".")
	seq, err := strconv.ParseUint(num, 10, 64)
	if !ok || err != nil || epoch != h.epoch || seq > h.seq {
		return s, cur, true
	}
	oldest := h.ring[h.next] // nil until the ring has wrapped
	if seq < gap || oldest != nil && seq+1 < oldest.seq {
		return s, cur, true
	}
	for i := range h.ring {
		e := h.ring[(h.next+i)%len(h.ring)]
		if e == nil || e.seq <= seq {
			continue
		}
		for _, n := range names {
			if n == e.topic {
				s.push(e)
			}
		}
	}
	return s, cur, false
}

func (h *Hub) unsubscribe(s *sub) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range s.names {
		if t := h.topics[n]; t != nil {
			delete(t.subs, s)
			if len(t.subs) == 0 {
				t.left = h.now()
			}
		}
	}
}

// sub is one client's queue.
type sub struct {
	names  []string
	notify chan struct{}

	mu    sync.Mutex // guards what follows
	queue []*event
	lost  bool
}

func (s *sub) push(e *event) {
	s.mu.Lock()
	if !s.lost {
		kept := s.queue[:0]
		for _, old := range s.queue {
			if old.topic != e.topic {
				kept = append(kept, old)
			}
		}
		clear(s.queue[len(kept):])
		s.queue = append(kept, e)
		if len(s.queue) > maxQueue {
			s.queue, s.lost = nil, true
		}
	}
	s.mu.Unlock()
	s.wake()
}

func (s *sub) lose() {
	s.mu.Lock()
	s.queue, s.lost = nil, true
	s.mu.Unlock()
	s.wake()
}

func (s *sub) wake() {
	select {
	case s.notify <- struct{}{}:
	default:
	}
}

func (s *sub) take() (events []*event, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events, lost = s.queue, s.lost
	s.queue, s.lost = nil, false
	return events, lost
}
