package git

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/hash"
	"golang.org/x/sys/unix"

	"berth/schema"
)

// index is git's list of tracked files with what lstat said of each when it was
// last known to equal its blob. go-git's own reader drops the cached trees and
// the assume-unchanged bit, which are what makes a sync cheap and polite.
type index struct {
	version uint32
	entries []entry
	trees   *cachedTree // nil if there are none
	mtime   time.Time   // of the index file; zero if there is none
}

// entry is one tracked file.
type entry struct {
	path  string
	mode  uint32
	hash  plumbing.Hash
	stat  stat
	flags uint16 // assume-unchanged, stage
	more  uint16 // skip-worktree, intent-to-add
}

// stat is the part of lstat's answer that the index keeps.
type stat struct {
	ctime, mtime [2]uint32 // seconds, nanoseconds
	dev, ino     uint32
	uid, gid     uint32
	size         uint32
}

const (
	flagAssume   = 0x8000
	flagExtended = 0x4000
	flagStage    = 0x3000
	flagName     = 0x0fff
	moreSkip     = 0x4000
	moreIntent   = 0x2000

	modeFile    = 0o100644
	modeExec    = 0o100755
	modeLink    = 0o120000
	modeModule  = 0o160000
	entryHeader = 62
)

func (e *entry) unmerged() bool { return e.flags&flagStage != 0 }
func (e *entry) kept() bool     { return e.flags&flagAssume != 0 || e.more&moreSkip != 0 }

// cachedTree remembers which tree a folder's entries came from.
type cachedTree struct {
	name  string
	count int // entries below, -1 if no longer true
	hash  plumbing.Hash
	sub   []*cachedTree
}

func (t *cachedTree) child(name string) *cachedTree {
	if t == nil {
		return nil
	}
	for _, s := range t.sub {
		if s.name == name {
			return s
		}
	}
	return nil
}

// statOf converts lstat's answer.
func statOf(st *unix.Stat_t) stat {
	return stat{
		ctime: [2]uint32{uint32(st.Ctim.Sec), uint32(st.Ctim.Nsec)},          //nolint:gosec // the format keeps 32 bits
		mtime: [2]uint32{uint32(st.Mtim.Sec), uint32(st.Mtim.Nsec)},          //nolint:gosec // the format keeps 32 bits
		dev:   uint32(st.Dev), ino: uint32(st.Ino), uid: st.Uid, gid: st.Gid, //nolint:gosec // the format keeps 32 bits
		size: uint32(st.Size), //nolint:gosec // the format keeps 32 bits
	}
}

// readIndex reads an index file; a missing or empty one is an empty index.
func readIndex(path string) (*index, error) {
	b, err := os.ReadFile(path) //nolint:gosec // a repository's own file
	if errors.Is(err, fs.ErrNotExist) || (err == nil && len(b) == 0) {
		return &index{version: 2}, nil
	}
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	idx, err := decodeIndex(b)
	if err != nil {
		return nil, err
	}
	idx.mtime = st.ModTime()
	return idx, nil
}

func corruptIndex(why string) error {
	return schema.Errorf(schema.Conflict, "read .git/index: %s; delete that file and try again: files that equal the commit are kept", why)
}

func decodeIndex(b []byte) (*index, error) {
	if len(b) < 12+20 || string(b[:4]) != "DIRC" {
		return nil, corruptIndex("it is no git index")
	}
	body, sum := b[:len(b)-20], b[len(b)-20:]
	h := hash.New(hash.CryptoType)
	_, _ = h.Write(body) // a hash takes everything
	if !bytes.Equal(h.Sum(nil), sum) && !bytes.Equal(sum, make([]byte, 20)) {
		return nil, corruptIndex("its checksum is wrong")
	}
	idx := &index{version: binary.BigEndian.Uint32(body[4:])}
	if idx.version < 2 || idx.version > 4 {
		return nil, schema.Errorf(schema.Unsupported, "read .git/index: version %d is not supported", idx.version)
	}
	n := int(binary.BigEndian.Uint32(body[8:]))
	if n > len(body)/entryHeader {
		return nil, corruptIndex("it is cut short")
	}
	idx.entries = make([]entry, 0, n)
	rest, last := body[12:], ""
	for range n {
		e, size, ok := decodeEntry(rest, idx.version, last)
		if !ok {
			return nil, corruptIndex("it is cut short")
		}
		idx.entries, rest, last = append(idx.entries, e), rest[size:], e.path
	}
	return idx, idx.decodeExtensions(rest)
}

func decodeEntry(b []byte, version uint32, last string) (e entry, size int, ok bool) {
	if len(b) < entryHeader {
		return e, 0, false
	}
	u := func(i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }
	e.stat = stat{
		ctime: [2]uint32{u(0), u(1)}, mtime: [2]uint32{u(2), u(3)},
		dev: u(4), ino: u(5), uid: u(7), gid: u(8), size: u(9),
	}
	e.mode = u(6)
	copy(e.hash[:], b[40:60])
	e.flags = binary.BigEndian.Uint16(b[60:])
	at := entryHeader
	if e.flags&flagExtended != 0 {
		if len(b) < at+2 {
			return e, 0, false
		}
		e.more = binary.BigEndian.Uint16(b[at:])
		at += 2
	}
	e.flags &= flagAssume | flagStage
	if version == 4 {
		strip, n := offsetVarint(b[at:])
		if n == 0 || strip > len(last) {
			return e, 0, false
		}
		at += n
		end := bytes.IndexByte(b[at:], 0)
		if end < 0 {
			return e, 0, false
		}
		e.path = last[:len(last)-strip] + string(b[at:at+end])
		return e, at + end + 1, true
	}
	end := bytes.IndexByte(b[at:], 0)
	if end < 0 {
		return e, 0, false
	}
	e.path = string(b[at : at+end])
	size = (at + end + 8) &^ 7
	return e, size, size <= len(b)
}

// offsetVarint reads the number form of index version 4; n is 0 if it is cut.
func offsetVarint(b []byte) (v, n int) {
	for n < len(b) && n < 5 {
		c := b[n]
		n++
		v = v<<7 | int(c&0x7f)
		if c&0x80 == 0 {
			return v, n
		}
		v++
	}
	return 0, 0
}

func (idx *index) decodeExtensions(b []byte) error {
	for len(b) >= 8 {
		name, n := string(b[:4]), int(binary.BigEndian.Uint32(b[4:]))
		if n > len(b)-8 {
			return corruptIndex("it is cut short")
		}
		switch {
		case name == "TREE":
			idx.trees, _ = decodeTrees(b[8 : 8+n])
		case name == "link":
			return schema.Errorf(schema.Unsupported, "read .git/index: it is split in two, which is not supported; run `git update-index --no-split-index` in the repository")
		case name == "sdir":
			return schema.Errorf(schema.Unsupported, "read .git/index: it is sparse, which is not supported; run `git sparse-checkout reapply --no-sparse-index` in the repository")
		case name[0] >= 'a' && name[0] <= 'z':
			return schema.Errorf(schema.Unsupported, "read .git/index: the extension %q is not supported", name)
		}
		b = b[8+n:]
	}
	return nil
}

// decodeTrees reads the cached trees; nil if they are not understood, which only
// costs time.
func decodeTrees(b []byte) (*cachedTree, []byte) {
	end := bytes.IndexByte(b, 0)
	line := bytes.IndexByte(b, '\n')
	if end < 0 || line < end {
		return nil, nil
	}
	t := &cachedTree{name: string(b[:end])}
	counts := strings.Fields(string(b[end+1 : line]))
	if len(counts) != 2 {
		return nil, nil
	}
	var err1, err2 error
	var subs int
	t.count, err1 = strconv.Atoi(counts[0])
	subs, err2 = strconv.Atoi(counts[1])
	b = b[line+1:]
	if err1 != nil || err2 != nil || (t.count >= 0 && len(b) < 20) {
		return nil, nil
	}
	if t.count >= 0 {
		copy(t.hash[:], b[:20])
		b = b[20:]
	}
	for range subs {
		var s *cachedTree
		if s, b = decodeTrees(b); s == nil {
			return nil, nil
		}
		t.sub = append(t.sub, s)
	}
	return t, b
}

// encode writes the index: entries in git's order and the cached trees.
func (idx *index) encode() []byte {
	slices.SortStableFunc(idx.entries, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	version := idx.version
	if version == 2 && slices.ContainsFunc(idx.entries, func(e entry) bool { return e.more != 0 }) {
		version = 3
	}
	var out bytes.Buffer
	out.Grow(len(idx.entries) * 100)
	out.WriteString("DIRC")
	out.Write(binary.BigEndian.AppendUint32(nil, version))
	out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(idx.entries)))) //nolint:gosec // the format's own limit
	last := ""
	for i := range idx.entries {
		idx.entries[i].encode(&out, version, last)
		last = idx.entries[i].path
	}
	if idx.trees != nil {
		var t bytes.Buffer
		idx.trees.encode(&t)
		out.WriteString("TREE")
		out.Write(binary.BigEndian.AppendUint32(nil, uint32(t.Len()))) //nolint:gosec // the format's own limit
		out.Write(t.Bytes())
	}
	h := hash.New(hash.CryptoType)
	_, _ = h.Write(out.Bytes()) // a hash takes everything
	return h.Sum(out.Bytes())
}

func (e *entry) encode(out *bytes.Buffer, version uint32, last string) {
	b := make([]byte, 0, entryHeader+2)
	for _, v := range []uint32{
		e.stat.ctime[0], e.stat.ctime[1], e.stat.mtime[0], e.stat.mtime[1],
		e.stat.dev, e.stat.ino, e.mode, e.stat.uid, e.stat.gid, e.stat.size,
	} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	b = append(b, e.hash[:]...)
	flags := e.flags | uint16(min(len(e.path), flagName)) //nolint:gosec // at most 12 bits
	if e.more != 0 {
		flags |= flagExtended
	}
	b = binary.BigEndian.AppendUint16(b, flags)
	if e.more != 0 {
		b = binary.BigEndian.AppendUint16(b, e.more)
	}
	out.Write(b)
	if version == 4 {
		same := 0
		for same < len(last) && same < len(e.path) && last[same] == e.path[same] {
			same++
		}
		out.Write(appendOffsetVarint(nil, len(last)-same))
		out.WriteString(e.path[same:])
		out.WriteByte(0)
		return
	}
	out.WriteString(e.path)
	size := len(b) + len(e.path)
	out.Write(make([]byte, (size+8)&^7-size))
}

func appendOffsetVarint(b []byte, v int) []byte {
	out := []byte{byte(v & 0x7f)}
	for v >>= 7; v > 0; v >>= 7 {
		v--
		out = append(out, 0x80|byte(v&0x7f))
	}
	slices.Reverse(out)
	return append(b, out...)
}

func (t *cachedTree) encode(out *bytes.Buffer) {
	fmt.Fprintf(out, "%s\x00%d %d\n", t.name, t.count, len(t.sub))
	if t.count >= 0 {
		out.Write(t.hash[:])
	}
	for _, s := range t.sub {
		s.encode(out)
	}
}
