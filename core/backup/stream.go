package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"

	"berth/bus"
	"berth/schema"
)

// The JetStream API's requests for snapshots, which the client library lacks.
const (
	apiSnapshot = "$JS.API.STREAM.SNAPSHOT."
	apiRestore  = "$JS.API.STREAM.RESTORE."
	apiUpdate   = "$JS.API.STREAM.UPDATE."
	apiInfo     = "$JS.API.STREAM.INFO."
	apiNames    = "$JS.API.STREAM.NAMES"
	apiDelete   = "$JS.API.STREAM.MSG.DELETE."

	apiWait    = 30 * time.Second // for one answer
	chunkWait  = 20 * time.Second // for the next piece of a snapshot
	chunkBytes = 512 << 10
)

// apiError is how the API says no.
type apiError struct {
	Error *struct {
		Code int    `json:"code"`
		Text string `json:"description"`
		Err  int    `json:"err_code"`
	} `json:"error"`
}

// store is the bus as a backup sees it.
type store struct{ nc *nats.Conn }

func storeOf(c *bus.Conn) store { return store{c.NATS()} }

// ask puts a request to the API and decodes its answer.
func (s store) ask(ctx context.Context, subject string, req, resp any) error {
	var body []byte
	if req != nil {
		var err error
		if body, err = json.Marshal(req); err != nil {
			return fmt.Errorf("encode %s: %w", subject, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, apiWait)
	defer cancel()
	m, err := s.nc.RequestWithContext(ctx, subject, body)
	if err != nil {
		return schema.Wrap(schema.Unavailable, err, "the store does not answer")
	}
	return answered(m.Data, subject, resp)
}

func answered(data []byte, subject string, resp any) error {
	var e apiError
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("%s: decode the answer: %w", subject, err)
	}
	if e.Error != nil {
		return fmt.Errorf("%s: %s (%d)", subject, e.Error.Text, e.Error.Err)
	}
	if resp == nil {
		return nil
	}
	return json.Unmarshal(data, resp)
}

// state is what a backup needs of a stream's state. Two equal ones of one stream
// mean that nothing was written in between.
type state struct {
	Msgs    uint64 `json:"messages"`
	Bytes   uint64 `json:"bytes"`
	First   uint64 `json:"first_seq"`
	Last    uint64 `json:"last_seq"`
	Deleted int    `json:"num_deleted"`
}

// names lists all streams.
func (s store) names(ctx context.Context) ([]string, error) {
	var all []string
	for {
		var page struct {
			Total   int      `json:"total"`
			Streams []string `json:"streams"`
		}
		if err := s.ask(ctx, apiNames, map[string]int{"offset": len(all)}, &page); err != nil {
			return nil, fmt.Errorf("list the streams: %w", err)
		}
		all = append(all, page.Streams...)
		if len(page.Streams) == 0 || len(all) >= page.Total {
			return all, nil
		}
	}
}

func (s store) state(ctx context.Context, stream string) (state, error) {
	var info struct {
		State state `json:"state"`
	}
	err := s.ask(ctx, apiInfo+stream, nil, &info)
	return info.State, err
}

// snapshot writes a stream's snapshot to w, piece after piece.
func (s store) snapshot(ctx context.Context, stream string, w io.Writer) (Stream, error) {
	var resp struct {
		Config json.RawMessage `json:"config"`
		State  json.RawMessage `json:"state"`
	}
	inbox := s.nc.NewInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return Stream{}, fmt.Errorf("snapshot %s: %w", stream, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(-1, -1); err != nil { // the window bounds it
		return Stream{}, fmt.Errorf("snapshot %s: %w", stream, err)
	}
	req := map[string]any{"deliver_subject": inbox, "no_consumers": true, "chunk_size": chunkBytes, "window_size": 8 * chunkBytes}
	if err := s.ask(ctx, apiSnapshot+stream, req, &resp); err != nil {
		return Stream{}, fmt.Errorf("snapshot %s: %w", stream, err)
	}
	out := Stream{Config: resp.Config, State: resp.State}
	for {
		more, err := s.chunk(ctx, sub, w)
		if err != nil {
			return out, fmt.Errorf("snapshot %s: %w", stream, err)
		}
		if !more {
			return out, nil
		}
	}
}

func (s store) chunk(ctx context.Context, sub *nats.Subscription, w io.Writer) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, chunkWait)
	defer cancel()
	m, err := sub.NextMsgWithContext(ctx)
	if err != nil {
		return false, err
	}
	if len(m.Data) == 0 {
		if status := m.Header.Get("Status"); status != "" && status != "204" {
			return false, fmt.Errorf("status %s %s", status, m.Header.Get("Description"))
		}
		return false, nil
	}
	if _, err := w.Write(m.Data); err != nil {
		return false, err
	}
	if m.Reply == "" {
		return true, nil
	}
	return true, s.nc.Publish(m.Reply, nil)
}

// restoring feeds a snapshot back.
type restoring struct {
	s       store
	stream  string
	part    Stream
	deliver string
}

// restore begins to restore a stream that does not exist.
func (s store) restore(ctx context.Context, stream string, p Stream) (*restoring, error) {
	cfg, err := withoutDenyDelete(p.Config)
	if err != nil {
		return nil, fmt.Errorf("restore %s: %w", stream, err)
	}
	var resp struct {
		Deliver string `json:"deliver_subject"`
	}
	req := map[string]json.RawMessage{"config": cfg, "state": p.State}
	if err := s.ask(ctx, apiRestore+stream, req, &resp); err != nil {
		return nil, fmt.Errorf("restore %s: %w", stream, err)
	}
	return &restoring{s, stream, p, resp.Deliver}, nil
}

// withoutDenyDelete lets the end of a log be cut off before it is closed again.
func withoutDenyDelete(config json.RawMessage) (json.RawMessage, error) {
	var cfg map[string]json.RawMessage
	if err := json.Unmarshal(config, &cfg); err != nil {
		return nil, err
	}
	delete(cfg, "deny_delete")
	return json.Marshal(cfg)
}

// piece hands on the next bytes of the snapshot.
func (r *restoring) piece(ctx context.Context, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), chunkBytes)
		wait, cancel := context.WithTimeout(ctx, apiWait)
		m, err := r.s.nc.RequestWithContext(wait, r.deliver, data[:n])
		cancel()
		if err == nil && len(m.Data) > 0 {
			err = answered(m.Data, "restore", nil)
		}
		if err != nil {
			return fmt.Errorf("restore %s: %w", r.stream, err)
		}
		data = data[n:]
	}
	return nil
}

// end waits until the stream is there, and cuts it at the moment of the backup.
func (r *restoring) end(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	m, err := r.s.nc.RequestWithContext(wait, r.deliver, nil)
	if err == nil {
		err = answered(m.Data, "restore", nil)
	}
	if err == nil {
		err = r.cut(ctx)
	}
	if err == nil {
		err = r.s.ask(ctx, apiUpdate+r.stream, r.part.Config, nil)
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", r.stream, err)
	}
	return nil
}

// cut removes what was written after the moment of the backup.
func (r *restoring) cut(ctx context.Context) error {
	if r.part.Last == 0 {
		return nil
	}
	st, err := r.s.state(ctx, r.stream)
	if err != nil {
		return err
	}
	for seq := max(r.part.Last+1, st.First); seq <= st.Last; seq++ {
		err := r.s.ask(ctx, apiDelete+r.stream, map[string]any{"seq": seq, "no_erase": true}, nil)
		if err != nil {
			return fmt.Errorf("cut at %d: remove %d of %d: %w", r.part.Last, seq, st.Last, err)
		}
	}
	return nil
}
