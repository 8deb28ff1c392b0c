package script

import (
	"container/heap"
	"math"
	"time"

	"github.com/dop251/goja"
)

// timer is one of setTimeout and setInterval.
type timer struct {
	id    int64
	at    time.Time
	every time.Duration // 0 for setTimeout
	fn    goja.Callable
	args  []goja.Value
	index int // in the queue; -1 when it is not in it
}

// timers are those of one script, the next to fire first; of several at one time
// the one that was set first.
type timers struct {
	queue timerQueue
	byID  map[int64]*timer
	last  int64
}

type timerQueue []*timer

// Len, Less and Swap are the heap's order: by time, then by when it was set.
func (q *timerQueue) Len() int { return len(*q) }

// Less is the order.
func (q *timerQueue) Less(i, j int) bool {
	a, b := (*q)[i], (*q)[j]
	if a.at.Equal(b.at) {
		return a.id < b.id
	}
	return a.at.Before(b.at)
}

// Swap swaps two.
func (q *timerQueue) Swap(i, j int) {
	s := *q
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

// Push is heap.Push's half.
func (q *timerQueue) Push(v any) {
	t, _ := v.(*timer)
	t.index = len(*q)
	*q = append(*q, t)
}

// Pop is heap.Pop's half.
func (q *timerQueue) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	t.index = -1
	return t
}

func (ts *timers) empty() bool { return len(ts.queue) == 0 }

func (ts *timers) first() (*timer, bool) {
	if ts.empty() {
		return nil, false
	}
	return ts.queue[0], true
}

// fired takes a timer out, or sets it again if it repeats.
func (ts *timers) fired(t *timer) {
	if t.every == 0 {
		ts.clear(t.id)
		return
	}
	t.at = time.Now().Add(t.every)
	heap.Fix(&ts.queue, t.index)
}

func (ts *timers) clear(id int64) {
	t := ts.byID[id]
	if t == nil {
		return
	}
	delete(ts.byID, id)
	if t.index >= 0 {
		heap.Remove(&ts.queue, t.index)
	}
}

// setTimer is behind setTimeout and setInterval; it returns the timer's id.
func (m *machine) setTimer(fn goja.Callable, ms float64, repeat bool, args []goja.Value) int64 {
	ts := &m.timers
	if ts.byID == nil {
		ts.byID = map[int64]*timer{}
	}
	if len(ts.byID) >= maxTimers {
		panic(m.vm.NewTypeError("more than %d timers are set", maxTimers))
	}
	if ms > math.MaxInt32 { // as in browsers, Node and Deno
		ms = 1
	}
	if math.IsNaN(ms) || ms < 0 {
		ms = 0
	}
	d := time.Duration(ms * float64(time.Millisecond))
	ts.last++
	t := &timer{id: ts.last, at: time.Now().Add(d), fn: fn, args: args}
	if repeat {
		t.every = max(d, time.Millisecond)
	}
	ts.byID[t.id] = t
	heap.Push(&ts.queue, t)
	return t.id
}

func (m *machine) clearTimer(id int64) { m.timers.clear(id) }
