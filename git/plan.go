package git

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"berth/schema"
)

// plan is what must be done to be at a commit. Making it changes nothing.
type plan struct {
	next     *index
	writes   []wanted
	removes  []string
	modules  []wanted
	drift    []Drift
	inTheWay []string // untracked, different, where a tracked file must go
	clear    []string // untracked links and files to remove first (Options.Overwrite)
	warnings []string
	dirty    bool // the index must be written
	stale    bool // the index could save reading files again if it were written
}

func (p *plan) changed() []string {
	out := slices.Clone(p.removes)
	for _, w := range p.writes {
		out = append(out, w.path)
	}
	slices.Sort(out)
	return out
}

// planner compares the commit, the index and the work tree, path by path.
type planner struct {
	repo      *repository
	tree      *worktree
	idx       *index
	past      []*object.Tree  // commits whose files are ours: HEAD's and those of interrupted syncs
	tracked   map[string]bool // paths of the index
	overwrite bool
	fileMode  bool // core.fileMode: the exec bit counts
	crlf, lfs bool // attributes or settings under which a different file may be the same
	plan      *plan
}

// newPlan plans the way to a commit.
func (r *repository) newPlan(ctx context.Context, to *object.Commit, overwrite bool) (*plan, error) {
	idx, err := readIndex(r.dir + "/index")
	if err != nil {
		return nil, onDisk(err, "read the index of %s", r.work)
	}
	p := &planner{
		repo: r, tree: newWorktree(r.work), idx: idx, overwrite: overwrite,
		fileMode: !r.config.is("core", "filemode", "false"),
		crlf:     r.config.is("core", "autocrlf", "true"),
		tracked:  make(map[string]bool, len(idx.entries)),
		plan:     &plan{next: &index{version: idx.version}},
	}
	for _, e := range idx.entries {
		p.tracked[e.path] = true
	}
	if p.past, err = r.pastTrees(); err != nil {
		return nil, err
	}
	w := &treeWalk{repo: r, idx: idx, out: make([]wanted, 0, len(idx.entries))}
	if p.plan.next.trees, err = w.walk(ctx, to.TreeHash, "", "", idx.trees); err != nil {
		return nil, err
	}
	p.attributes(w.out)
	if err := p.merge(ctx, w.out); err != nil {
		return nil, err
	}
	if idx.trees == nil || idx.trees.hash != p.plan.next.trees.hash {
		p.plan.stale = true
	}
	return p.plan, nil
}

// pastTrees returns the trees whose files may be replaced without a word.
func (r *repository) pastTrees() ([]*object.Tree, error) {
	head, _, err := r.head()
	if err != nil {
		return nil, err
	}
	var out []*object.Tree
	for _, h := range append([]plumbing.Hash{head}, r.unfinished()...) {
		if h.IsZero() {
			continue
		}
		commit, err := object.GetCommit(r.store, h)
		if err != nil {
			continue // damaged: then nothing is known to be ours, which is the safe side
		}
		if tree, err := object.GetTree(r.store, commit.TreeHash); err == nil {
			out = append(out, tree)
		}
	}
	return out, nil
}

// merge goes through the index and the commit, both in order.
func (p *planner) merge(ctx context.Context, want []wanted) error {
	idx := p.idx.entries
	for n := 0; len(idx) > 0 || len(want) > 0; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		var err error
		switch {
		case len(idx) == 0 || (len(want) > 0 && want[0].path < idx[0].path):
			err = p.arrives(want[0])
			want = want[1:]
		case len(want) == 0 || idx[0].path < want[0].path:
			last := idx[0]
			idx = skip(idx)
			err = p.leaves(last)
		default:
			err = p.stays(idx[0], want[0])
			idx, want = skip(idx), want[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// skip passes all stages of a path.
func skip(idx []entry) []entry {
	n := 1
	for n < len(idx) && idx[n].path == idx[0].path {
		n++
	}
	return idx[n:]
}

// keep notes a file that is right as it is.
func (p *planner) keep(w wanted, h have, e *entry) {
	next := entry{path: w.path, mode: w.mode, hash: w.hash, stat: statOf(&h.st)}
	if e == nil || e.hash != next.hash || e.mode != next.mode || e.unmerged() {
		p.plan.dirty = true
	}
	p.plan.stale = p.plan.stale || h.hashed
	p.plan.next.entries = append(p.plan.next.entries, next)
}

// put notes a file to write; its stat is known when that is done.
func (p *planner) put(w wanted) {
	p.plan.dirty = true
	p.plan.writes = append(p.plan.writes, w)
	p.plan.next.entries = append(p.plan.next.entries, entry{path: w.path, mode: w.mode, hash: w.hash})
}

func (p *planner) drifted(at, kind string, h have) {
	d := Drift{Path: at, Kind: kind}
	if h.content() && kind != "mode" && h.st.Size <= maxKept {
		d.Blob = h.hash.String()
	}
	p.plan.drift = append(p.plan.drift, d)
}

// module notes a submodule; its own sync looks into it.
func (p *planner) module(w wanted, e *entry) {
	if e == nil || e.hash != w.hash || e.mode != w.mode {
		p.plan.dirty = true
	}
	p.plan.modules = append(p.plan.modules, w)
	p.plan.next.entries = append(p.plan.next.entries, entry{path: w.path, mode: w.mode, hash: w.hash})
}

// arrives: the commit has the path, the index has not.
func (p *planner) arrives(w wanted) error {
	h, err := p.look(w.path, nil)
	if err != nil {
		return err
	}
	if w.mode == modeModule {
		if h.content() || h.kind == other {
			p.plan.inTheWay = append(p.plan.inTheWay, w.path)
		}
		p.module(w, nil)
		return nil
	}
	if !h.content() {
		return p.place(w, h)
	}
	if p.same(w, h) {
		p.keep(w, h, nil)
		return nil
	}
	if h.hash != w.hash && !p.ours(w.path, h) {
		if !p.overwrite {
			p.plan.inTheWay = append(p.plan.inTheWay, w.path)
			return nil
		}
		p.drifted(w.path, "edited", h)
	}
	p.put(w)
	return nil
}

// place: the commit has a file where there is none now.
func (p *planner) place(w wanted, h have) error {
	switch h.kind {
	case beyond:
		at := p.tree.obstacle(w.path)
		if p.tracked[at] {
			break // it is removed first
		}
		if !p.overwrite {
			p.plan.inTheWay = append(p.plan.inTheWay, at)
			return nil
		}
		if !slices.Contains(p.plan.clear, at) {
			p.plan.clear = append(p.plan.clear, at)
			p.plan.drift = append(p.plan.drift, Drift{Path: at, Kind: "type"})
		}
	case folder:
		rest, err := p.tree.untracked(w.path, p.tracked)
		if err != nil {
			return err
		}
		if len(rest) > 0 { // somebody's data, whatever the options say
			p.plan.inTheWay = append(p.plan.inTheWay, rest...)
			return nil
		}
	case other:
		p.plan.inTheWay = append(p.plan.inTheWay, w.path)
		return nil
	case absent, file, link: // nothing, or what the new file replaces
	}
	p.put(w)
	return nil
}

// stays: the commit and the index have the path.
func (p *planner) stays(e entry, w wanted) error {
	if w.mode == modeModule {
		p.module(w, &e)
		return nil
	}
	h, err := p.look(w.path, &e)
	if err != nil {
		return err
	}
	if e.kept() {
		return p.leaveAlone(e, w, h)
	}
	if h.content() && p.same(w, h) {
		p.keep(w, h, &e)
		return nil
	}
	switch {
	case h.kind == absent && e.mode != modeModule:
		if p.wasTracked(w.path) {
			p.drifted(w.path, "deleted", h)
		}
	case h.content() && !p.ours(w.path, h) && h.hash == w.hash:
		p.drifted(w.path, "mode", h)
	case h.content() && !p.ours(w.path, h):
		p.drifted(w.path, "edited", h)
	}
	if !h.content() {
		return p.place(w, h)
	}
	p.put(w)
	return nil
}

// leaveAlone: the user told git to keep off this file (`git update-index
// --skip-worktree` or `--assume-unchanged`), and so do we.
func (p *planner) leaveAlone(e entry, w wanted, h have) error {
	if e.hash != w.hash {
		p.plan.dirty = true
		if h.content() && h.hash != w.hash {
			p.plan.warnings = append(p.plan.warnings, fmt.Sprintf(
				"%s changed upstream, but is marked to be left alone (git update-index --skip-worktree): your version stays", w.path))
		}
	}
	e.hash, e.mode = w.hash, w.mode
	p.plan.next.entries = append(p.plan.next.entries, e)
	return nil
}

// leaves: the index has the path, the commit has not.
func (p *planner) leaves(e entry) error {
	p.plan.dirty = true
	if e.mode == modeModule {
		p.plan.warnings = append(p.plan.warnings, fmt.Sprintf("submodule %s is gone upstream; its folder is left as it is", e.path))
		return nil
	}
	h, err := p.look(e.path, &e)
	if err != nil || !h.content() {
		return err
	}
	if e.kept() || !p.wasTracked(e.path) {
		p.plan.warnings = append(p.plan.warnings, fmt.Sprintf("%s was added by hand or marked to be left alone: it stays, untracked", e.path))
		return nil
	}
	if !p.ours(e.path, h) {
		p.drifted(e.path, "edited", h)
	}
	p.plan.removes = append(p.plan.removes, e.path)
	return nil
}

// blocked is the error for untracked files that are in the way.
func (p *plan) blocked(work string) error {
	if len(p.inTheWay) == 0 {
		return nil
	}
	names := slices.Compact(slices.Sorted(slices.Values(p.inTheWay)))
	return schema.Errorf(schema.Conflict,
		"check out into %s: untracked files are in the way of tracked ones and differ from them: %s; move them away (nothing was changed)", work, list(names))
}
