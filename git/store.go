package git

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/objfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/memory"
)

// unpackBelow is git's fetch.unpackLimit: smaller packs become loose objects, so
// that a year of pushes does not leave a thousand packs.
const unpackBelow = 100

// storePack reads a pack from the server into the object store. With keep it is
// stored as a pack whatever its size.
func (r *repository) storePack(ctx context.Context, from io.Reader, keep bool) error {
	in := bufio.NewReaderSize(contextReader{ctx, from}, 64<<10)
	head, err := in.Peek(12)
	if err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[8:])
	switch {
	case n == 0:
		return nil
	case n < unpackBelow && !keep:
		err = r.storeLoose(in)
	default:
		err = r.storeWhole(in)
	}
	r.reopen()
	return err
}

// contextReader ends a read loop with its context.
type contextReader struct {
	ctx context.Context //nolint:containedctx // lives for one read loop
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// storeWhole writes the pack and its index; the index last, because it is what
// makes the pack seen.
func (r *repository) storeWhole(in io.Reader) (err error) {
	folder := filepath.Join(r.common, "objects", "pack")
	if err := r.owner.mkdir(folder); err != nil {
		return onDisk(err, "write objects of %s", r.work)
	}
	f, err := os.CreateTemp(folder, "tmp_pack_")
	if err != nil {
		return onDisk(err, "write objects of %s", r.work)
	}
	defer func() {
		_ = f.Close() // closed before, if all went well
		if rm := os.Remove(f.Name()); err == nil && !errors.Is(rm, fs.ErrNotExist) {
			err = rm
		}
	}()
	if _, err := io.Copy(f, in); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	writer := new(idxfile.Writer)
	parser, err := packfile.NewParser(packfile.NewScanner(f), writer)
	if err != nil {
		return err
	}
	sum, err := parser.Parse()
	if err != nil {
		return err
	}
	index, err := writer.Index()
	if err != nil {
		return err
	}
	var idx bytes.Buffer
	if _, err := idxfile.NewEncoder(&idx).Encode(index); err != nil {
		return err
	}
	base := filepath.Join(folder, "pack-"+sum.String())
	if err := errors.Join(f.Chmod(0o444), f.Sync(), f.Close(), r.owner.take(f.Name())); err != nil {
		return onDisk(err, "write objects of %s", r.work)
	}
	if err := os.Rename(f.Name(), base+".pack"); err != nil {
		return onDisk(err, "write objects of %s", r.work)
	}
	return onDisk(r.owner.write(base+".idx", idx.Bytes(), 0o444), "write objects of %s", r.work)
}

// storeLoose unpacks a small pack; commits last, so that a commit that is seen
// is whole.
func (r *repository) storeLoose(in io.Reader) error {
	small := memory.NewStorage()
	parser, err := packfile.NewParserWithStorage(packfile.NewScanner(in), small)
	if err != nil {
		return err
	}
	if _, err := parser.Parse(); err != nil {
		return err
	}
	for _, kind := range []plumbing.ObjectType{plumbing.BlobObject, plumbing.TreeObject, plumbing.CommitObject, plumbing.TagObject} {
		objects, err := small.IterEncodedObjects(kind)
		if err != nil {
			return err
		}
		if err := objects.ForEach(r.writeObject); err != nil {
			return err
		}
	}
	return nil
}

// writeObject adds one loose object.
func (r *repository) writeObject(o plumbing.EncodedObject) (err error) {
	name := o.Hash().String()
	file := filepath.Join(r.common, "objects", name[:2], name[2:])
	if _, err := os.Lstat(file); err == nil {
		return nil
	}
	content, err := o.Reader()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	w := objfile.NewWriter(&out)
	if err := w.WriteHeader(o.Type(), o.Size()); err != nil {
		return err
	}
	if _, err := io.Copy(w, content); err != nil {
		return err
	}
	if err := errors.Join(w.Close(), content.Close()); err != nil {
		return err
	}
	if err := r.owner.mkdir(filepath.Dir(file)); err != nil {
		return onDisk(err, "write objects of %s", r.work)
	}
	return onDisk(r.owner.write(file, out.Bytes(), 0o444), "write objects of %s", r.work)
}
