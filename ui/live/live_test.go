package live_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/ui/live"
)

type message struct{ id, event, data string }

// client reads a hub's stream.
type client struct {
	t    *testing.T
	msgs chan message
	stop func()
}

func serve(t *testing.T, h *live.Hub, topics ...string) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.Serve(w, r, topics, func() error { return nil })
	}))
	t.Cleanup(func() { h.Close(); srv.Close() })
	return srv
}

func connect(t *testing.T, url, last string) *client {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultTransport.RoundTrip(r) //nolint:bodyclose // the reader below closes it
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, msgs: make(chan message, 2000), stop: stop}
	go func() {
		defer close(c.msgs)
		defer func() { _ = resp.Body.Close() }()
		var m message
		for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
			key, value, _ := strings.Cut(sc.Text(), ": ")
			switch key {
			case "id":
				m.id = value
			case "event":
				m.event = value
			case "data":
				m.data += value
			case "":
				if m != (message{}) {
					c.msgs <- m
				}
				m = message{}
			}
		}
	}()
	t.Cleanup(stop)
	return c
}

func (c *client) next() message {
	c.t.Helper()
	select {
	case m, ok := <-c.msgs:
		if !ok {
			c.t.Fatal("the stream ended")
		}
		return m
	case <-time.After(5 * time.Second):
		c.t.Fatal("nothing came for 5 s")
	}
	return message{}
}

func (c *client) want(event, data string) message {
	c.t.Helper()
	m := c.next()
	if m.event != event || data != "*" && m.data != data {
		c.t.Fatalf("got event %q data %q, want %q %q", m.event, m.data, event, data)
	}
	return m
}

func TestHubResumes(t *testing.T) {
	h := live.NewHub(live.Options{Epoch: "e1", Ring: 8})
	srv := serve(t, h, "a", "b")
	c := connect(t, srv.URL, "")
	c.want("hello", "*")
	h.Publish("a", []byte("1"))
	h.Publish("other", []byte("x"))
	h.Publish("b", []byte("2\n3"))
	c.want("", "1")
	seen := c.want("", "23").id
	if seen != "e1.3" {
		t.Fatalf("id %q", seen)
	}
	c.stop()
	h.Publish("a", []byte("4"))
	c = connect(t, srv.URL, seen)
	c.want("hello", "*")
	c.want("", "4")

	for _, last := range []string{"e0.3", "e1.99", "nonsense", "e1."} {
		c := connect(t, srv.URL, last)
		c.want("hello", "*")
		if m := c.want("resync", "gap"); m.id != "" {
			t.Errorf("resync carries id %q", m.id)
		}
	}
	for i := range 9 { // over the ring's edge
		h.Publish("a", fmt.Append(nil, i))
	}
	c = connect(t, srv.URL, seen)
	c.want("hello", "*")
	c.want("resync", "gap")
}

func TestHubMissesNothingBetweenPageAndStream(t *testing.T) {
	h := live.NewHub(live.Options{Epoch: "e"})
	srv := serve(t, h, "p")
	since := h.Cursor("p")
	h.Publish("p", []byte("between"))
	c := connect(t, srv.URL+"?since="+since, "")
	c.want("hello", "*")
	c.want("", "between")
}

func TestHubColdTopics(t *testing.T) {
	var mu sync.Mutex
	now := time.Unix(1000, 0)
	h := live.NewHub(live.Options{Epoch: "e", Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	srv := serve(t, h, "p")
	since := h.Cursor("p")
	if d := cmp.Diff([]string{"p"}, h.Warm()); d != "" {
		t.Fatal(d)
	}
	mu.Lock()
	now = now.Add(2 * time.Minute)
	mu.Unlock()
	if w := h.Warm(); len(w) != 0 {
		t.Fatalf("still warm: %v", w)
	}
	h.Publish("q", []byte("something else went on"))
	c := connect(t, srv.URL, since)
	c.want("hello", "*")
	c.want("resync", "gap")
	if d := cmp.Diff([]string{"p"}, h.Warm()); d != "" {
		t.Fatal(d)
	}
}

func TestHubKeepsOnlyTheNewestForTheSlow(t *testing.T) {
	h := live.NewHub(live.Options{Epoch: "e", Ring: 2000})
	since := h.Cursor("a", "b")
	for i := range 1500 {
		h.Publish("a", fmt.Appendf(nil, "a%d", i))
		if i == 700 {
			h.Publish("b", []byte("b"))
		}
	}
	c := connect(t, serve(t, h, "a", "b").URL, since)
	c.want("hello", "*")
	c.want("", "b")
	c.want("", "a1499")
}

func TestHubCheckEndsTheStream(t *testing.T) {
	h := live.NewHub(live.Options{})
	srv := serve(t, h, "a")
	c := connect(t, srv.URL, "")
	c.want("hello", "*")
	h.Resync()
	c.want("resync", "slow")
	h.Close()
	h.Close()
	if _, ok := <-c.msgs; ok {
		t.Error("the stream goes on after Close")
	}
}

func TestTail(t *testing.T) {
	tail := live.NewTail()
	if tail.Watched("r") {
		t.Fatal("nobody watches yet")
	}
	tail.Publish("r", live.Piece{Seq: 1})
	r, leave := tail.Read("r")
	other, leaveOther := tail.Read("other")
	defer leaveOther()
	tail.Publish("r", live.Piece{Seq: 2})
	tail.Publish("r", live.Piece{Seq: 3})
	<-r.C
	if p, lost, ended := r.Take(); len(p) != 2 || p[0].Seq != 2 || lost || ended {
		t.Fatalf("%v %v %v", p, lost, ended)
	}
	for i := range 600 {
		tail.Publish("r", live.Piece{Seq: uint64(10 + i)})
	}
	<-r.C
	if p, lost, _ := r.Take(); !lost || len(p) == 0 || p[len(p)-1].Seq != 609 {
		t.Fatalf("%d pieces, lost %v", len(p), lost)
	}
	tail.End("r")
	<-r.C
	if _, _, ended := r.Take(); !ended {
		t.Fatal("the end was not told")
	}
	if p, _, _ := other.Take(); len(p) != 0 {
		t.Fatalf("another run's output: %v", p)
	}
	tail.Lose()
	if _, lost, _ := other.Take(); !lost {
		t.Fatal("the loss was not told")
	}
	leave()
	if tail.Watched("r") {
		t.Fatal("still watched")
	}
}

func TestManyAtOnce(t *testing.T) {
	h := live.NewHub(live.Options{Epoch: "e"})
	srv := serve(t, h, "a")
	clients := make([]*client, 20)
	for i := range clients {
		clients[i] = connect(t, srv.URL, "")
		clients[i].want("hello", "*")
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				h.Publish("a", fmt.Appendf(nil, "%d-%d", w, i))
			}
		})
	}
	wg.Wait()
	h.Publish("a", []byte("last"))
	for _, c := range clients {
		for c.next().data != "last" {
		}
	}
}

func TestFrame(t *testing.T) {
	got := string(live.Frame("1", "log", []byte("a\r\nb\n")))
	if want := "id: 1\nevent: log\ndata: a\ndata: b\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
