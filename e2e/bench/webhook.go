package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"berth/bus/hub"
	"berth/e2e/forge"
	"berth/e2e/wire"
)

// deliveries is how many webhooks are sent, and as many publishes.
const deliveries = 400

// quiet is a logger for servers that say too much.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

type answer struct {
	Verdict string `json:"verdict"`
	Run     string `json:"run"`
}

func verdict(body []byte) (answer, error) {
	var a answer
	err := json.Unmarshal(body, &a)
	return a, err
}

// measureWebhook compares how long a forge waits for the answer with one synced
// publish. Deliveries are to a procedure without stages: what they start is
// over at once.
func (s *stage) measureWebhook(ctx context.Context) error {
	config := wire.Params{"webhook_secret": secret}
	if err := s.api.Call(ctx, "write", "CreateProcedure", wire.Params{"name": "bench-hook", "config": config}, nil); err != nil {
		return err
	}
	f, err := s.openFloor(ctx)
	if err != nil {
		return err
	}
	defer f.hub.Close()
	d, err := forge.GitHub.Push(forge.Push{After: "1f0c5b1d9a3e4f60718293a4b5c6d7e8f9012345"})
	if err != nil {
		return err
	}
	f.data = d.Body
	for _, clients := range []int{1, 8} {
		ours, floor, err := s.accepts(ctx, f, clients)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("webhook accepted on disk, %d at once", clients)
		if clients == 1 {
			what = "webhook accepted on disk, one by one"
		}
		s.webhookRow(what+", p50", ours.at(0.5), floor.at(0.5), "≤ 2 ms", ours.at(0.5) <= 2*time.Millisecond, clients == 1)
		s.webhookRow(what+", p99", ours.at(0.99), floor.at(0.99), "≤ 1.5 × floor", float64(ours.at(0.99)) <= 1.5*float64(floor.at(0.99)), true)
	}
	return nil
}

func (s *stage) webhookRow(what string, ours, floor time.Duration, goal string, good, wanted bool) {
	if !wanted {
		goal = ""
	}
	s.add(line{what: what, measured: ms(ours), floor: ms(floor), ratio: fmt.Sprintf("%.2f", float64(ours)/float64(floor)), goal: goal, good: good})
}

// floor is an embedded JetStream that syncs every write, as core's does.
type floor struct {
	hub  *hub.Hub
	js   jetstream.JetStream
	data []byte
}

func (s *stage) openFloor(ctx context.Context) (*floor, error) {
	h, err := hub.Start(ctx, hub.Options{Dir: filepath.Join(s.dir, "floor"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	js := h.Conn().JetStream()
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "FLOOR", Subjects: []string{"floor.>"}, Storage: jetstream.FileStorage, Compression: jetstream.S2Compression})
	return &floor{hub: h, js: js}, err
}

// accepts sends rounds of one delivery and one publish from each client, in turns.
func (s *stage) accepts(ctx context.Context, f *floor, clients int) (ours, theirs sample, err error) {
	for range deliveries / clients {
		a, err := together(clients, func() error {
			d, err := forge.GitHub.Push(forge.Push{After: "1f0c5b1d9a3e4f60718293a4b5c6d7e8f9012345"})
			if err != nil {
				return err
			}
			_, err = s.deliver(ctx, "github/procedure/bench-hook/main", d)
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		ours = append(ours, a...)
		if err := s.quiesce(ctx); err != nil {
			return nil, nil, err
		}
		z, err := together(clients, func() error { _, err := f.js.Publish(ctx, "floor.x", f.data); return err })
		if err != nil {
			return nil, nil, err
		}
		theirs = append(theirs, z...)
	}
	return ours, theirs, nil
}

// together times f in n goroutines that begin at once.
func together(n int, f func() error) (sample, error) {
	times, errs := make(sample, n), make([]error, n)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			at := time.Now()
			errs[i] = f()
			times[i] = time.Since(at)
		})
	}
	close(begin)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return times, nil
}

// quiesce waits until all runs have ended.
func (s *stage) quiesce(ctx context.Context) error {
	var failed error
	err := until(ctx, time.Minute, func() bool {
		var runs []json.RawMessage
		failed = s.api.Call(ctx, "read", "ListRuns", wire.Params{"pending": true, "limit": 1}, &runs)
		return failed != nil || len(runs) == 0
	})
	if failed != nil {
		return failed
	}
	return err
}
