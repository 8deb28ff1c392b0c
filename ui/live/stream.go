package live

import (
	"fmt"
	"net/http"
	"time"
)

const (
	beat    = 15 * time.Second // how often a quiet stream shows that it lives
	timeout = 10 * time.Second // how long one write may take
)

// Stream writes server-sent events to one client.
type Stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// Open answers the request with an event stream.
func Open(w http.ResponseWriter) (*Stream, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s := &Stream{w: w, rc: http.NewResponseController(w)}
	return s, s.Send(fmt.Appendf(nil, "retry: 1000\n\n"))
}

// Send writes frames and flushes; the error says that the client is gone.
func (s *Stream) Send(frames ...[]byte) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(timeout)) // not every connection has one
	for _, f := range frames {
		if _, err := s.w.Write(f); err != nil {
			return err
		}
	}
	return s.rc.Flush()
}

// Beat sends a sign of life that the page can see.
func (s *Stream) Beat() error {
	return s.Send(Frame("", "hb", fmt.Appendf(nil, "%d", time.Now().UnixMilli())))
}

// Serve streams topics to one client until it leaves, the hub is closed or check,
// which is asked at each beat, says that it may no longer listen.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, topics []string, check func() error) {
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		last = r.URL.Query().Get("since")
	}
	s, cur, resync := h.subscribe(topics, last)
	defer h.unsubscribe(s)
	out, err := Open(w)
	if err != nil {
		return
	}
	// The opening frame carries the current id, so that a client which has seen no
	// event yet can still resume from here; not when a replay follows.
	hello := Frame("", "hello", []byte(cur))
	if last == "" || resync {
		hello = Frame(cur, "hello", []byte(cur))
	}
	if resync {
		hello = append(hello, Frame("", "resync", []byte("gap"))...)
	}
	if out.Send(hello) != nil {
		return
	}
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-h.done:
			return
		case <-ticker.C:
			if check() != nil || out.Beat() != nil {
				return
			}
		case <-s.notify:
			if h.deliver(out, s) != nil {
				return
			}
		}
	}
}

func (h *Hub) deliver(out *Stream, s *sub) error {
	events, lost := s.take()
	frames := make([][]byte, 0, len(events)+1)
	if lost {
		frames = append(frames, Frame("", "resync", []byte("slow")))
	}
	for _, e := range events {
		frames = append(frames, e.frame)
	}
	return out.Send(frames...)
}
