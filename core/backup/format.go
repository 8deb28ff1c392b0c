package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"berth/schema"
)

// format is the version of files that this program writes and the newest it reads.
const format = 1

const (
	headerName   = "berth-backup.json"
	manifestName = "manifest.json"
	pieceSize    = 1 << 20
	smallSize    = 16 << 20 // of header and manifest
)

// Header says what a file is.
type Header struct {
	Format  int    `json:"format"`
	Created int64  `json:"created"` // unix ms: the moment it is of
	Version string `json:"version"` // of the program that wrote it
	Core    string `json:"core"`    // public nkey of the core it is of
}

// Manifest ends a file.
type Manifest struct {
	Header
	Parts []Part `json:"parts"`
}

// Part is one file or stream.
type Part struct {
	Name   string  `json:"name"` // files/age.key, streams/RUNS, settings.toml
	Bytes  int64   `json:"bytes"`
	Pieces int     `json:"pieces"`
	SHA256 string  `json:"sha256"`
	Stream *Stream `json:"stream,omitempty"`
}

// Stream is what the bus needs to restore a stream.
type Stream struct {
	Config json.RawMessage `json:"config"`
	State  json.RawMessage `json:"state"`
	// Last is the newest sequence that belongs to the backup; what lies behind it
	// is cut off. 0 keeps all.
	Last uint64 `json:"last,omitempty"`
	// Msgs is how many messages it had at the moment of the backup.
	Msgs uint64 `json:"msgs"`
}

// Bytes is how much the parts hold together.
func (m Manifest) Bytes() (n int64) {
	for _, p := range m.Parts {
		n += p.Bytes
	}
	return n
}

// Time is the moment that the backup is of.
func (m Manifest) Time() time.Time { return time.UnixMilli(m.Created) }

// archive writes a file's inside.
type archive struct {
	tar  *tar.Writer
	made Manifest
}

func newArchive(w io.Writer, h Header) (*archive, error) {
	a := &archive{tar: tar.NewWriter(w), made: Manifest{Header: h}}
	return a, a.document(headerName, h)
}

func (a *archive) document(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return a.entry(name, data)
}

func (a *archive) entry(name string, data []byte) error {
	err := a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: time.UnixMilli(a.made.Created), Format: tar.FormatPAX})
	if err == nil {
		_, err = a.tar.Write(data)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// partWriter cuts a part into pieces.
type partWriter struct {
	a    *archive
	part Part
	sum  hash.Hash
	buf  []byte
}

func (a *archive) part(name string) *partWriter {
	return &partWriter{a: a, part: Part{Name: name}, sum: sha256.New(), buf: make([]byte, 0, pieceSize)}
}

// Write implements io.Writer.
func (p *partWriter) Write(data []byte) (int, error) {
	n := len(data)
	for len(data) > 0 {
		k := copy(p.buf[len(p.buf):pieceSize], data)
		p.buf, data = p.buf[:len(p.buf)+k], data[k:]
		if len(p.buf) == pieceSize {
			if err := p.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

func (p *partWriter) flush() error {
	if err := p.a.entry(pieceName(p.part.Name, p.part.Pieces), p.buf); err != nil {
		return err
	}
	p.sum.Write(p.buf)
	p.part.Bytes += int64(len(p.buf))
	p.part.Pieces++
	p.buf = p.buf[:0]
	return nil
}

// end writes what is left and enters the part into the manifest.
func (p *partWriter) end(s *Stream) error {
	if len(p.buf) > 0 {
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.part.SHA256, p.part.Stream = hex.EncodeToString(p.sum.Sum(nil)), s
	p.a.made.Parts = append(p.a.made.Parts, p.part)
	return nil
}

func (a *archive) close() (Manifest, error) {
	if err := a.document(manifestName, a.made); err != nil {
		return a.made, err
	}
	if err := a.tar.Close(); err != nil {
		return a.made, fmt.Errorf("write the end of the archive: %w", err)
	}
	return a.made, nil
}

func pieceName(part string, n int) string { return fmt.Sprintf("%s/%06d", part, n) }

// reader is who takes the parts of a file; nil fields are passed over.
type reader struct {
	// piece is called with every piece of every part, in order. data is good until
	// it returns.
	piece func(part string, data []byte) error
	// end is called after the last piece of each part.
	end func(part string) error
}

// read goes through an archive from its first byte to its last and compares it
// with its own manifest. Errors of schema.Invalid say that the file is not whole.
func (r reader) read(in io.Reader) (Manifest, error) {
	t := tar.NewReader(in)
	var h Header
	name, err := next(t)
	if err == nil && name != headerName {
		return Manifest{}, schema.Errorf(schema.Invalid, "it is no backup of Berth: it begins with %.80q", name)
	}
	if err == nil {
		err = decode(t, &h)
	}
	switch {
	case err != nil:
		return Manifest{}, notWhole(err)
	case h.Format > format:
		return Manifest{}, schema.Errorf(schema.Invalid, "the backup was written by a newer Berth (%s, format %d): restore it with that version", h.Version, h.Format)
	case h.Format < 1:
		return Manifest{}, schema.Errorf(schema.Invalid, "it is no backup of Berth: it has no format")
	}
	seen, m, err := r.parts(t)
	if err != nil {
		return m, notWhole(err)
	}
	if m.Header != h || !same(m.Parts, seen) {
		return m, schema.Errorf(schema.Invalid, "the backup does not hold what its manifest says: take another one")
	}
	// The archive's end, and behind it the proof that nothing was cut off.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return m, notWhole(err)
	}
	return m, nil
}

// parts reads up to the manifest.
func (r reader) parts(t *tar.Reader) ([]Part, Manifest, error) {
	w := &walk{reader: r, tar: t, sum: sha256.New(), buf: make([]byte, pieceSize)}
	for {
		name, err := next(t)
		if err == nil && name == manifestName {
			m, err := w.manifest()
			return w.seen, m, err
		}
		if err == nil {
			err = w.take(name)
		}
		if err != nil {
			return w.seen, Manifest{}, err
		}
	}
}

// walk is one way through the parts of a file.
type walk struct {
	reader
	tar  *tar.Reader
	seen []Part // the last one is being read
	sum  hash.Hash
	buf  []byte
}

// take reads a piece.
func (w *walk) take(name string) error {
	part := name[:max(strings.LastIndexByte(name, '/'), 0)]
	if len(w.seen) == 0 || w.seen[len(w.seen)-1].Name != part {
		if err := w.finish(); err != nil {
			return err
		}
		w.seen = append(w.seen, Part{Name: part})
	}
	p := &w.seen[len(w.seen)-1]
	n, err := io.ReadFull(w.tar, w.buf)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	if more, _ := w.tar.Read(make([]byte, 1)); more > 0 || name != pieceName(part, p.Pieces) {
		return schema.Errorf(schema.Invalid, "piece %.80q is not where it belongs", name)
	}
	w.sum.Write(w.buf[:n])
	p.Bytes, p.Pieces = p.Bytes+int64(n), p.Pieces+1
	if w.piece == nil {
		return nil
	}
	return w.piece(part, w.buf[:n])
}

// finish ends the part that is being read.
func (w *walk) finish() error {
	if len(w.seen) == 0 {
		return nil
	}
	p := &w.seen[len(w.seen)-1]
	p.SHA256 = hex.EncodeToString(w.sum.Sum(nil))
	w.sum.Reset()
	if w.end == nil {
		return nil
	}
	return w.end(p.Name)
}

// manifest reads what stands last.
func (w *walk) manifest() (m Manifest, err error) {
	if err := w.finish(); err != nil {
		return m, err
	}
	if err := decode(w.tar, &m); err != nil {
		return m, err
	}
	if _, err := w.tar.Next(); !errors.Is(err, io.EOF) {
		return m, schema.Errorf(schema.Invalid, "something follows the backup's manifest")
	}
	return m, nil
}

func next(t *tar.Reader) (string, error) {
	h, err := t.Next()
	if err != nil {
		return "", err
	}
	return h.Name, nil
}

func decode(r io.Reader, v any) error {
	data, err := io.ReadAll(io.LimitReader(r, smallSize))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// same compares the manifest with what was read; parts without a piece are only in
// the manifest.
func same(want, seen []Part) bool {
	i := 0
	for _, w := range want {
		if w.Pieces == 0 {
			continue
		}
		if i == len(seen) || w.Name != seen[i].Name || w.Bytes != seen[i].Bytes || w.Pieces != seen[i].Pieces || w.SHA256 != seen[i].SHA256 {
			return false
		}
		i++
	}
	return i == len(seen)
}

// notWhole gives errors of reading a code and a word; those that have one keep it.
func notWhole(err error) error {
	if _, ok := errors.AsType[*schema.Error](err); ok {
		return err
	}
	return schema.Wrap(schema.Invalid, err, "the backup is cut off or damaged: take another one")
}
