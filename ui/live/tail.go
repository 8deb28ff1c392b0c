package live

import (
	"sync"
)

// maxTail is how many chunks of output wait for a slow reader.
const maxTail = 512

// Tail fans the output of runs out to those who watch it. A chunk is framed once;
// its id is its sequence number in the store, so a reader can continue anywhere.
type Tail struct {
	mu   sync.Mutex // guards subs
	subs map[string]map[*Reader]struct{}
}

// NewTail returns a tail without readers.
func NewTail() *Tail { return &Tail{subs: map[string]map[*Reader]struct{}{}} }

// Piece is a chunk of output as it goes to browsers.
type Piece struct {
	Seq   uint64
	Frame []byte
}

// Reader is one watcher of a run's output.
type Reader struct {
	// C has room for one: it says that Take has something.
	C chan struct{}

	mu    sync.Mutex // guards what follows
	queue []Piece
	lost  bool
	ended bool
}

// Watched reports whether anybody reads the run's output.
func (t *Tail) Watched(run string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.subs[run]) > 0
}

// Publish hands a piece to the run's readers.
func (t *Tail) Publish(run string, p Piece) {
	t.each(run, func(r *Reader) {
		r.queue = append(r.queue, p)
		if len(r.queue) > maxTail {
			r.queue, r.lost = nil, true
		}
	})
}

// End tells the run's readers that nothing more comes, beyond what is stored.
func (t *Tail) End(run string) { t.each(run, func(r *Reader) { r.ended = true }) }

// Lose tells all readers to read the store again.
func (t *Tail) Lose() {
	t.mu.Lock()
	var runs []string
	for run := range t.subs {
		runs = append(runs, run)
	}
	t.mu.Unlock()
	for _, run := range runs {
		t.each(run, func(r *Reader) { r.queue, r.lost = nil, true })
	}
}

func (t *Tail) each(run string, do func(*Reader)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for r := range t.subs[run] {
		r.mu.Lock()
		do(r)
		r.mu.Unlock()
		select {
		case r.C <- struct{}{}:
		default:
		}
	}
}

// Read registers a reader; call the returned function when it leaves. Register
// before reading the store, then drop pieces that are not newer than the store's.
func (t *Tail) Read(run string) (*Reader, func()) {
	r := &Reader{C: make(chan struct{}, 1)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.subs[run] == nil {
		t.subs[run] = map[*Reader]struct{}{}
	}
	t.subs[run][r] = struct{}{}
	return r, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.subs[run], r)
		if len(t.subs[run]) == 0 {
			delete(t.subs, run)
		}
	}
}

// Take returns what has come since the last call. lost says that pieces are
// missing before those returned; ended that no more will come.
func (r *Reader) Take() (pieces []Piece, lost, ended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pieces, lost, ended = r.queue, r.lost, r.ended
	r.queue, r.lost = nil, false
	return pieces, lost, ended
}
