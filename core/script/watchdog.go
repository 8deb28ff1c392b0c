package script

import (
	"context"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"berth/schema"
)

// sampleEvery is how often memory is looked at while scripts run.
const sampleEvery = 10 * time.Millisecond

// watchdog ends scripts when the heap grows too much while they run. It has a
// goroutine only while there are scripts.
type watchdog struct {
	mu      sync.Mutex
	base    uint64     // heap before the first of the scripts began
	scripts []*watched // the one that began last is last
	stop    chan struct{}
}

type watched struct {
	limit uint64
	end   context.CancelCauseFunc
}

func newWatchdog() *watchdog { return &watchdog{} }

// add watches a script until the function it returns is called.
func (w *watchdog) add(limit uint64, end context.CancelCauseFunc) (remove func()) {
	s := &watched{limit: limit, end: end}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.scripts) == 0 {
		w.base, w.stop = heapBytes(), make(chan struct{})
		go w.run(w.stop)
	}
	w.scripts = append(w.scripts, s)
	return func() { w.remove(s) }
}

func (w *watchdog) remove(s *watched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scripts = slices.DeleteFunc(w.scripts, func(o *watched) bool { return o == s })
	if len(w.scripts) == 0 {
		close(w.stop)
	}
}

func (w *watchdog) run(stop <-chan struct{}) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			w.look()
		}
	}
}

// look ends the script that began last if the heap has grown beyond its limit.
// Garbage is collected first, unless it has grown to twice that.
func (w *watchdog) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.scripts) == 0 {
		return
	}
	last := w.scripts[len(w.scripts)-1]
	limit := w.base + last.limit
	now := heapBytes()
	if now <= limit {
		w.base = min(w.base, now)
		return
	}
	if now <= limit+last.limit {
		runtime.GC()
		if heapBytes() <= limit {
			return
		}
	}
	last.end(schema.Errorf(schema.TooLarge, "the script used more than %d MiB of memory: it was ended; work on less at a time", last.limit>>20))
}

// heapBytes is how many bytes the objects on the heap take, garbage included.
func heapBytes() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
