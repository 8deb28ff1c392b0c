package ui

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"berth/schema"
	"berth/ui/live"
)

const (
	batch = 64 // stored chunks written at once
	grace = 2  // seconds the last lines may come after a run's end
	beats = 15 // seconds between signs of life
	width = 1 << 16
)

// outputStream is one reader of a run's output: first what is stored after its
// position, then what comes.
type outputStream struct {
	s    *Server
	r    *http.Request
	run  *schema.Run
	out  *live.Stream
	seq  uint64         // of the newest chunk sent
	next map[string]int // by step: how many entries were sent
}

// output streams a run's output. The id of an event is the chunk's number in the
// store, so a reader can continue anywhere, also after core was started again.
func (s *Server) output(w http.ResponseWriter, r *http.Request) error {
	run, err := s.History.Run(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = r.URL.Query().Get("after")
	}
	seq, _ := strconv.ParseUint(after, 10, 64) // not a number: from the start; the page drops what it has
	reader, leave := s.tail.Read(run.ID)
	defer leave()
	out, err := live.Open(w)
	if err != nil {
		return nil // the browser is gone
	}
	o := &outputStream{s: s, r: r, run: run, out: out, seq: seq, next: map[string]int{}}
	o.serve(r.Context(), reader)
	return nil
}

func (o *outputStream) serve(ctx context.Context, reader *live.Reader) {
	if o.stored(ctx) != nil {
		return
	}
	if run, err := o.s.History.Run(ctx, o.run.ID); err == nil && run.State.Terminal() {
		o.end(ctx)
		return
	}
	beat := time.NewTicker(beats * time.Second)
	defer beat.Stop()
	var last <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.s.hub.Done():
			return
		case <-last:
			o.end(ctx)
			return
		case <-beat.C:
			_, err := o.s.who(o.r)
			if _, denied := o.s.History.Run(ctx, o.run.ID); err != nil || denied != nil || o.out.Beat() != nil {
				return
			}
		case <-reader.C:
			pieces, lost, ended := reader.Take()
			if o.deliver(ctx, pieces, lost) != nil {
				return
			}
			if ended && last == nil {
				last = time.After(o.patience(ctx))
			}
		}
	}
}

// patience is how long lines are waited for that the run's record counts but
// that have not come yet.
func (o *outputStream) patience(ctx context.Context) time.Duration {
	run, err := o.s.History.Run(ctx, o.run.ID)
	if err != nil {
		return 0
	}
	for _, s := range run.Steps {
		if s.Lines > o.next[s.Name] {
			return grace * time.Second
		}
	}
	return 0
}

func (o *outputStream) deliver(ctx context.Context, pieces []live.Piece, lost bool) error {
	if lost {
		return o.stored(ctx)
	}
	var frames [][]byte
	for _, p := range pieces {
		if p.Seq > o.seq {
			o.seq = p.Seq
			frames = append(frames, p.Frame)
		}
	}
	if len(frames) == 0 {
		return nil
	}
	return o.out.Send(frames...)
}

// stored sends what the store holds after the position.
func (o *outputStream) stored(ctx context.Context) error {
	var frames [][]byte
	for c, err := range o.s.History.Output(ctx, o.run.ID, o.seq) {
		if err != nil {
			o.s.Log.Warn("read a run's output", "run", o.run.ID, "err", err)
			return err
		}
		frame, err := outputFrame(c)
		if err != nil {
			return err
		}
		o.seq = c.Seq
		o.next[c.Step] = max(o.next[c.Step], c.First+len(c.Entries))
		if frames = append(frames, frame); len(frames) == batch {
			if err := o.out.Send(frames...); err != nil {
				return err
			}
			frames = frames[:0]
		}
	}
	return o.out.Send(frames...)
}

// end sends what is left and says that no more will come.
func (o *outputStream) end(ctx context.Context) {
	if o.stored(ctx) == nil {
		_ = o.out.Send(live.Frame("", "end", []byte("end")))
	}
}

// outputText sends the whole output of a run as text.
func (s *Server) outputText(w http.ResponseWriter, r *http.Request) error {
	run, err := s.History.Run(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Disposition", fmt.Sprintf("inline; filename=\"run-%d.txt\"", run.Number))
	w.Header().Set("Cache-Control", "no-store")
	b := bufio.NewWriterSize(w, width)
	next := map[string]int{}
	step := ""
	for c, err := range s.History.Output(r.Context(), run.ID, 0) {
		if err != nil {
			_, _ = fmt.Fprintf(b, "\n-- the rest could not be read: %s\n", schema.SafeText(err))
			break
		}
		if c.Step != step {
			step = c.Step
			_, _ = fmt.Fprintf(b, "-- %s\n", step)
		}
		for i := max(0, next[step]-c.First); i < len(c.Entries); i++ {
			writeEntry(b, c.Entries[i])
		}
		next[step] = max(next[step], c.First+len(c.Entries))
	}
	return b.Flush()
}

func writeEntry(b *bufio.Writer, e schema.Entry) {
	if e.Kind == schema.EntryProgress && e.Current < e.Total {
		return // only the end of a download is worth a line
	}
	_, _ = b.WriteString(time.UnixMilli(e.At).UTC().Format("15:04:05.000 "))
	var words []string
	if e.Kind == schema.EntryPhase {
		words = append(words, "==", e.Phase, string(e.State))
	}
	for _, s := range []string{e.Service, e.ID, e.Text} {
		if s != "" {
			words = append(words, s)
		}
	}
	_, _ = b.WriteString(strings.Join(words, " ") + "\n")
}
