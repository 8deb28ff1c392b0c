package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"berth/bus/hub"
	"berth/e2e/forge"
	"berth/e2e/wire"
)

// deliveries is how many webhooks are sent, and as many publishes.
const deliveries = 800

// pause is how long nothing happens before the next: pushes come one by one, not a
// hundred a second.
const pause = 50 * time.Millisecond

// quiet is a logger for servers that say too much.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// answer is what a webhook's sender is told, and how long that took.
type answer struct {
	Run  string `json:"run"`
	took time.Duration
}

// deliver sends a signed webhook, which must start a run.
func (s *stage) deliver(ctx context.Context, path string, d forge.Delivery) (answer, error) {
	var v answer
	a, err := forge.Deliver(ctx, s.url+"/listener/"+path, secret, d)
	if err != nil {
		return v, err
	}
	if json.Unmarshal(a.Body, &v) != nil || a.Status != http.StatusOK || v.Run == "" {
		return v, fmt.Errorf("the webhook was answered %d: %s", a.Status, a.Body)
	}
	v.took = a.Took
	return v, nil
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
		pushes := make([]forge.Delivery, clients)
		for i := range pushes {
			if pushes[i], err = forge.GitHub.Push(forge.Push{After: "1f0c5b1d9a3e4f60718293a4b5c6d7e8f9012345"}); err != nil {
				return nil, nil, err
			}
		}
		runs := make([]string, clients)
		a, err := together(clients, func(i int) (time.Duration, error) {
			answer, err := s.deliver(ctx, "github/procedure/bench-hook/main", pushes[i])
			runs[i] = answer.Run
			return answer.took, err
		})
		if err != nil {
			return nil, nil, err
		}
		ours = append(ours, a...)
		if err := s.quiesce(ctx, runs); err != nil {
			return nil, nil, err
		}
		z, err := together(clients, func(int) (time.Duration, error) {
			at := time.Now()
			_, err := f.js.Publish(ctx, "floor.x", f.data)
			return time.Since(at), err
		})
		if err != nil {
			return nil, nil, err
		}
		theirs = append(theirs, z...)
	}
	return ours, theirs, nil
}

// together calls f in n goroutines that begin at once, and returns their times.
func together(n int, f func(i int) (time.Duration, error)) (sample, error) {
	times, errs := make(sample, n), make([]error, n)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			times[i], errs[i] = f(i)
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

// quiesce waits until runs have ended, and a moment longer.
func (s *stage) quiesce(ctx context.Context, runs []string) error {
	for _, id := range runs {
		if _, err := s.api.AwaitRun(ctx, id, wire.Run.Terminal); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}
