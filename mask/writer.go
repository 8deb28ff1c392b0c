package mask

import "io"

// maskWriter masks what passes through it.
type maskWriter struct {
	masker *Masker
	out    io.Writer
	held   []byte // not written yet, begins at position 0 of spans
	spans  []span
	stream stream
	buf    []byte
}

// Writer returns a writer that masks what is written to it and passes it on to
// out. A value that is split over writes is caught: bytes that may be the
// beginning of one are held back (never more than the longest form of a value)
// until it is decided or Close. Close does not close out. The writer is for one
// goroutine at a time.
func (m *Masker) Writer(out io.Writer) io.WriteCloser {
	return &maskWriter{masker: m, out: out}
}

// Write masks p. It reports len(p) written when p was taken, even if some of it
// is held back.
func (w *maskWriter) Write(p []byte) (int, error) {
	match := w.masker.matcher()
	if match != w.stream.match {
		// Values were added: look at what is held back again.
		w.stream, w.spans = stream{match: match}, w.spans[:0]
		if match != nil {
			w.spans = w.stream.scan(w.held, w.spans)
		}
	}
	w.held = append(w.held, p...)
	if match == nil {
		return len(p), w.emit(len(w.held))
	}
	w.spans = w.stream.scan(p, w.spans)
	return len(p), w.emit(len(w.held) - w.stream.open())
}

// Close passes on what was held back.
func (w *maskWriter) Close() error {
	err := w.emit(len(w.held))
	w.stream.at = 0
	return err
}

// emit writes the held text up to limit, with its spans masked. A span that
// reaches beyond limit may still grow and stays.
func (w *maskWriter) emit(limit int) error {
	done := 0
	for done < len(w.spans) && w.spans[done].end <= limit {
		done++
	}
	if done < len(w.spans) {
		limit = min(limit, w.spans[done].start)
	}
	if limit == 0 {
		return nil
	}
	w.buf = w.buf[:0]
	at := 0
	for _, sp := range w.spans[:done] {
		w.buf = append(w.buf, w.held[at:sp.start]...)
		w.buf = append(w.buf, w.stream.match.masks[sp.mask]...)
		at = sp.end
	}
	w.buf = append(w.buf, w.held[at:limit]...)
	w.held = append(w.held[:0], w.held[limit:]...)
	w.spans = append(w.spans[:0], w.spans[done:]...)
	for i := range w.spans {
		w.spans[i].start -= limit
		w.spans[i].end -= limit
	}
	w.stream.pos -= limit
	_, err := w.out.Write(w.buf)
	return err
}
