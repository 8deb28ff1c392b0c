package git

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"golang.org/x/sys/unix"
)

// have is what is in the work tree at a path.
type have struct {
	kind   kind
	st     unix.Stat_t
	hash   plumbing.Hash
	mode   uint32
	hashed bool // the content was read
}

func (h have) content() bool { return h.kind == file || h.kind == link }

// look says what is at the path; the index's word is taken when lstat agrees.
func (p *planner) look(at string, e *entry) (h have, err error) {
	if h.kind, h.st, err = p.tree.lstat(at); err != nil || !h.content() {
		return h, err
	}
	h.mode = modeLink
	if h.kind == file {
		h.mode = modeFile
		if h.st.Mode&0o100 != 0 {
			h.mode = modeExec
		}
		if !p.fileMode && e != nil && (e.mode == modeFile || e.mode == modeExec) {
			h.mode = e.mode
		}
	}
	if e != nil && !e.unmerged() && e.more&moreIntent == 0 && e.mode == h.mode && p.unchanged(e, &h.st) {
		h.hash = e.hash
		return h, nil
	}
	h.hashed = true
	h.hash, err = p.tree.hash(at, h.kind)
	return h, err
}

// unchanged applies git's rule: the same stat, and older than the index (a file
// written in the same instant may have changed since without showing it).
func (p *planner) unchanged(e *entry, st *unix.Stat_t) bool {
	now := statOf(st)
	now.dev = e.stat.dev
	if now != e.stat {
		return false
	}
	return time.Unix(int64(st.Mtim.Sec), int64(st.Mtim.Nsec)).Before(p.idx.mtime) //nolint:unconvert // 32 bits elsewhere
}

// ours says whether a past commit had exactly this at the path.
func (p *planner) ours(at string, h have) bool {
	for _, t := range p.past {
		e, err := t.FindEntry(at)
		if err == nil && e.Hash == h.hash && (!p.fileMode || indexMode(e.Mode) == h.mode) {
			return true
		}
	}
	return false
}

// wasTracked says whether a past commit had the path at all.
func (p *planner) wasTracked(at string) bool {
	return slices.ContainsFunc(p.past, func(t *object.Tree) bool {
		_, err := t.FindEntry(at)
		return err == nil
	})
}

// same says whether the file is the commit's, or what git's filters would have
// made of it.
func (p *planner) same(w wanted, h have) bool {
	if h.hash == w.hash {
		return h.mode == w.mode || (!p.fileMode && h.kind == file && w.mode != modeLink)
	}
	if h.kind != file || w.mode == modeLink {
		return false
	}
	if p.crlf {
		if lf, ok := p.tree.hashLF(w.path); ok && lf == w.hash {
			return true
		}
	}
	if p.lfs {
		if oid := p.repo.lfsPointer(w.hash); oid != "" && p.tree.sha256(w.path) == oid {
			return true
		}
	}
	return false
}

// attributes reads .gitattributes for what we do not do.
func (p *planner) attributes(files []wanted) {
	var crlf bool
	var filters []string
	for _, f := range files {
		if path.Base(f.path) != ".gitattributes" || f.mode == modeLink {
			continue
		}
		text, err := p.repo.blob(f.hash, 1<<20)
		if err != nil {
			continue // the file itself will be reported
		}
		for _, word := range attributeWords(string(text)) {
			crlf = crlf || word == "eol=crlf"
			if name, ok := strings.CutPrefix(word, "filter="); ok {
				filters = append(filters, name)
			}
		}
	}
	if crlf {
		p.crlf = true
		p.plan.warnings = append(p.plan.warnings, "eol=crlf in .gitattributes is not applied: files are written with LF")
	}
	p.lfs = slices.Contains(filters, "lfs")
	if len(filters) > 0 {
		slices.Sort(filters)
		p.plan.warnings = append(p.plan.warnings, fmt.Sprintf(
			"filters in .gitattributes are not run (%s): such files hold what the repository stores", strings.Join(slices.Compact(filters), ", ")))
	}
}

// attributeWords are the words of a .gitattributes file, without its comments.
func attributeWords(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			out = append(out, words...)
		}
	}
	return out
}
