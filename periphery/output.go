package periphery

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"berth/bus"
	"berth/mask"
	"berth/schema"
)

const (
	flushEvery   = 100 * time.Millisecond
	flushEntries = 256
	flushBytes   = 48 << 10
	maxHeld      = 8 * flushEntries // entries that wait to be sent, at most
	maxHeldBytes = 1 << 20
	maxLines     = 100_000
	maxProgress  = 20_000
	maxBytes     = 16 << 20
	maxLine      = 16 << 10
	endPatience  = 3 * time.Second // for core to have the last chunk
)

// output collects the entries of a command and sends them in chunks: masked,
// bounded, and of progress only the newest of each id. It is safe for concurrent
// use. One goroutine, begun by newOutput and ended by finish, does the sending.
// Work that writes faster than that waits for it, but not for a core that is away:
// then entries are dropped, and a mark says so.
type output struct {
	conn sink
	mask *mask.Masker
	base schema.Output // run, step, command
	max  limits
	wake chan struct{} // there is enough to send, or it is the end
	done chan struct{} // the sender has ended

	mu       sync.Mutex // guards what follows
	room     *sync.Cond // entries were taken, or stalled
	entries  []schema.Entry
	progress map[string]int // id → index in entries
	phase    string
	size     int // bytes of entries
	next     int // index of the first of entries in the step
	lines    int
	shown    int // progress entries
	bytes    int
	cut      int  // entries dropped in all
	gap      int  // entries dropped since the last that was taken
	full     bool // the limits of the step were reached
	stalled  bool // the connection takes no more
	ended    bool
	dropped  bool // it goes on elsewhere: there is no end to tell of
}

// sink takes chunks of output: a connection to core.
type sink interface {
	Emit(ctx context.Context, out schema.Output) error
	Flush(ctx context.Context) error
}

// limits bound the output of a command.
type limits struct{ lines, progress, bytes int }

func newOutput(ctx context.Context, conn sink, masker *mask.Masker, cmd schema.Command) *output {
	o := &output{
		conn: conn, mask: masker, base: schema.Output{Run: cmd.Run, Step: cmd.Step, Command: cmd.ID}, max: limits{maxLines, maxProgress, maxBytes},
		progress: map[string]int{}, wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	o.room = sync.NewCond(&o.mu)
	go o.run(context.WithoutCancel(ctx)) // how work ended must be seen although its ctx has
	return o
}

// add takes an entry: masks it, bounds it, and sends it soon.
func (o *output) add(e schema.Entry) {
	if e.At == 0 {
		e.At = time.Now().UnixMilli()
	}
	e.Text, e.ID = o.mask.Mask(e.Text), o.mask.Mask(e.ID)
	if len(e.Text) > maxLine {
		e.Text = strings.ToValidUTF8(e.Text[:maxLine], "") + fmt.Sprintf(" … (%d bytes more)", len(e.Text)-maxLine)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.crowded() && e.Kind != schema.EntryProgress && !o.full && !o.stalled && !o.ended {
		o.poke()
		o.room.Wait()
	}
	if o.ended {
		return
	}
	if e.Phase == "" {
		e.Phase = o.phase
	}
	if e.Kind == schema.EntryProgress && e.ID != "" {
		if i, ok := o.progress[e.ID]; ok {
			o.entries[i] = e
			return
		}
	}
	if o.excess(e) {
		return
	}
	o.mark()
	if e.Kind == schema.EntryProgress && e.ID != "" {
		o.progress[e.ID] = len(o.entries)
	}
	o.append(e)
	if len(o.entries) >= flushEntries || o.size >= flushBytes {
		o.poke()
	}
}

func (o *output) append(e schema.Entry) {
	o.entries = append(o.entries, e)
	o.size += len(e.Text) + len(e.ID) + 64
}

// crowded says that there is no room for more until some is sent.
func (o *output) crowded() bool { return len(o.entries) >= maxHeld || o.size >= maxHeldBytes }

// excess counts an entry against the bounds. Beyond them only phases pass; where
// that begins, a mark says so.
func (o *output) excess(e schema.Entry) bool {
	switch {
	case e.Kind == schema.EntryPhase || e.Kind == schema.EntryCut:
		return false
	case e.Kind == schema.EntryProgress:
		o.shown++
		return o.shown > o.max.progress || o.crowded() // the newest comes again, or does not matter
	case o.lines >= o.max.lines || o.bytes >= o.max.bytes:
		if !o.full {
			o.full = true
			o.append(o.cutEntry(fmt.Sprintf("output is cut here: the limit of %d lines or %d MiB is reached", o.max.lines, o.max.bytes>>20)))
		}
		o.cut++
		return true
	case o.crowded(): // core is away and takes no more
		o.cut++
		o.gap++
		return true
	}
	o.lines++
	o.bytes += len(e.Text)
	return false
}

// mark says where entries are missing that were dropped while core was away.
func (o *output) mark() {
	if o.gap > 0 {
		o.append(o.cutEntry(fmt.Sprintf("output is missing here: %d entries were dropped while core was away", o.gap)))
		o.gap = 0
	}
}

func (o *output) cutEntry(text string) schema.Entry {
	return schema.Entry{Kind: schema.EntryCut, At: time.Now().UnixMilli(), Phase: o.phase, Text: text}
}

func (o *output) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// setPhase names the phase of entries that come without one.
func (o *output) setPhase(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.phase = name
}

// run sends what was collected until finish; a chunk that the connection does not
// take is kept and tried again.
func (o *output) run(ctx context.Context) {
	defer close(o.done)
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-o.wake:
		case <-t.C:
		}
		chunk, last := o.chunk()
		if len(chunk.Entries) == 0 && !last {
			continue
		}
		if o.isDropped() {
			return
		}
		for tries := 1; ; tries++ { // what is added meanwhile is the next chunk's
			err := o.conn.Emit(ctx, chunk) // waits a second when there is no room
			if o.sent(err == nil) || tries >= 3 && last {
				break
			}
			if bus.Sleep(ctx, flushEvery) != nil {
				break
			}
		}
		if last {
			return
		}
	}
}

// chunk takes what is collected; last says that nothing comes after it.
func (o *output) chunk() (chunk schema.Output, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	chunk = o.base
	chunk.First, chunk.Entries, chunk.End = o.next, o.entries, o.ended
	o.next += len(o.entries)
	o.entries, o.size, o.progress = nil, 0, map[string]int{}
	return chunk, o.ended
}

// sent lets go of those who wait for room, and passes on whether a chunk was sent.
func (o *output) sent(ok bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stalled = !ok
	o.room.Broadcast()
	return ok
}

// count is the index of the next entry in the step.
func (o *output) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.next + len(o.entries)
}

// skip begins where another process ended; before the first entry.
func (o *output) skip(entries int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next = entries
}

// drop ends it without a word: another process goes on.
func (o *output) drop() {
	o.mu.Lock()
	o.ended, o.dropped = true, true
	o.room.Broadcast()
	o.mu.Unlock()
	o.poke()
	<-o.done
}

func (o *output) isDropped() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}

// finish says how the work ended and how much was cut, sends the rest, and waits a
// moment until core has it. What is added later is dropped.
func (o *output) finish(ctx context.Context, err error) (lines, cut int) {
	if err != nil {
		o.add(schema.Entry{Kind: schema.EntryLine, Err: true, Text: schema.SafeText(err)})
	}
	o.mu.Lock()
	o.mark()
	if o.full {
		o.append(o.cutEntry(fmt.Sprintf("%d entries were dropped in all", o.cut)))
	}
	o.ended = true
	o.room.Broadcast()
	lines, cut = o.next+len(o.entries), o.cut
	o.mu.Unlock()
	o.poke()
	<-o.done
	ctx, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	_ = o.conn.Flush(ctx) // core is away: the outbox sends it later
	return lines, cut
}
