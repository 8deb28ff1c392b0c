package sync

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"berth/core/resource"
	"berth/git"
	"berth/schema"
)

// Commit writes what is stored of the resources in a sync's scope back to where
// they came from, each to the very table, as a commit on the branch or on
// commit_branch, or into the file on core's host, or into file_contents. by is who
// asks. Errors: conflict when the sync is not managed, or when the branch moves on
// again and again; invalid when the files have mistakes.
func (s *Syncer) Commit(ctx context.Context, key, by string) (schema.SyncWritten, error) {
	return s.write(ctx, key, func(r schema.Resource[schema.SyncConfig], b *base) (*edits, string, error) {
		fresh := sourceOf(r.Config) == "" || sourceOf(r.Config) == "contents" && strings.TrimSpace(string(r.Config.FileContents)) == ""
		if !r.Config.Managed && !fresh {
			return nil, "", schema.Errorf(schema.Conflict, "sync %q is not managed, so nothing is written to its source: set managed = true to allow it", r.Name)
		}
		e, names, err := s.writeStored(ctx, r, b.content)
		if err != nil || len(names) == 0 {
			return nil, "", err
		}
		return e, fmt.Sprintf("sync %s: %s\n\nWritten by Berth for %s.\n", r.Name, some(names, 5), by), nil
	})
}

// WriteFile writes one file of a sync's source as a whole.
func (s *Syncer) WriteFile(ctx context.Context, key, file, text, by string) (schema.SyncWritten, error) {
	file = path.Clean(file)
	if file == "." || path.IsAbs(file) || strings.HasPrefix(file, "../") || file == ".." {
		return schema.SyncWritten{}, schema.Errorf(schema.Invalid, "%q is no file below the source's root", file)
	}
	return s.write(ctx, key, func(r schema.Resource[schema.SyncConfig], b *base) (*edits, string, error) {
		e := newEdits(b.content.files)
		if sourceOf(r.Config) == "contents" || sourceOf(r.Config) == "" {
			file = contentsName
		}
		if was, ok := e.lines[file]; ok && strings.Join(was, "\n") == text {
			return nil, "", nil
		}
		e.lines[file] = strings.Split(text, "\n")
		e.touch(file)
		return e, fmt.Sprintf("sync %s: write %s\n\nWritten by Berth for %s.\n", r.Name, file, by), nil
	})
}

// base is what is written onto.
type base struct {
	content content
	branch  string // of git: that is pushed to
	expect  string // of git: where that branch is, empty when it is to be made
}

type change func(r schema.Resource[schema.SyncConfig], b *base) (*edits, string, error)

// write reads the source, has it changed and writes it back; once more when the
// branch has moved on meanwhile.
func (s *Syncer) write(ctx context.Context, key string, fn change) (schema.SyncWritten, error) {
	r, err := s.cfg.Syncs.Get(ctx, key)
	if err != nil {
		return schema.SyncWritten{}, err
	}
	for attempt := 1; ; attempt++ {
		out, err := s.writeOnce(ctx, r, fn)
		if schema.CodeOf(err) == schema.Conflict && attempt == 1 && sourceOf(r.Config) == "git" {
			continue
		}
		return out, err
	}
}

func (s *Syncer) writeOnce(ctx context.Context, r schema.Resource[schema.SyncConfig], fn change) (schema.SyncWritten, error) {
	defer s.lock(r.ID)()
	l := s.repos.look()
	defer l.close()
	b, err := s.base(ctx, l, r)
	if err != nil {
		return schema.SyncWritten{}, err
	}
	e, message, err := fn(r, b)
	if err != nil {
		return schema.SyncWritten{}, err
	}
	if e == nil {
		return schema.SyncWritten{Message: "nothing to write: the source has it all"}, nil
	}
	out := schema.SyncWritten{Files: e.touched, Branch: b.branch}
	out.Message, _, _ = strings.Cut(message, "\n")
	switch b.content.source.Kind {
	case "git":
		out.Commit, err = s.push(ctx, b, e, message)
	case "host":
		err = writeHost(s.hostRoot(r.Name), e)
	default:
		var patch []byte
		if patch, err = json.Marshal(map[string]string{"file_contents": e.text(contentsName)}); err == nil {
			var k resource.Any
			if k, err = s.cfg.Registry.Kind("resource_sync"); err == nil {
				_, err = k.Update(ctx, r.ID, patch)
			}
		}
	}
	return out, err
}

// base reads what is written onto: the newest commit of the branch that is pushed
// to. A commit_branch that was merged goes on from the source's branch.
func (s *Syncer) base(ctx context.Context, l *look, r schema.Resource[schema.SyncConfig]) (*base, error) {
	if sourceOf(r.Config) == "" {
		return &base{content: content{source: schema.SyncSource{Kind: "contents"}}}, nil
	}
	c, err := s.read(ctx, l, r, "")
	b := &base{content: c, branch: c.source.Branch, expect: c.commit}
	if err != nil || c.source.Kind != "git" {
		return b, err
	}
	to := r.Config.CommitBranch
	if c.place.source.Commit != "" && (to == "" || to == b.branch) {
		return b, schema.Errorf(schema.Conflict, "sync %q stays at commit %.8s, so nothing can be committed to its branch: set commit_branch, or remove commit", r.Name, c.commit)
	}
	if to == "" || to == b.branch {
		return b, nil
	}
	b.branch, b.expect = to, ""
	heads, err := s.cfg.Git.Heads(ctx, c.place.source)
	if err != nil {
		return b, err
	}
	at, err := heads.Find(to)
	if schema.CodeOf(err) == schema.NotFound {
		return b, nil // it is made
	}
	if err != nil {
		return b, err
	}
	b.expect = at.Hash
	p := c.place
	p.source.Branch, p.source.Commit = to, ""
	if _, _, err := l.open(ctx, p, at.Hash); err != nil {
		return b, err
	}
	if merged, err := s.cfg.Git.Contains(p.dir, c.commit, at.Hash); merged || err != nil {
		return b, err
	}
	b.content, err = s.readAt(ctx, l, r, p, at.Hash) // goes on from what waits there to be merged
	return b, err
}

// readAt reads a commit of another branch of the sync's repository.
func (s *Syncer) readAt(ctx context.Context, l *look, r schema.Resource[schema.SyncConfig], p place, commit string) (content, error) {
	snap, info, err := l.open(ctx, p, commit)
	if err != nil {
		return content{}, err
	}
	out := content{place: p, snap: snap, commit: info.Hash, source: schema.SyncSource{Kind: "git", Branch: p.source.Branch}}
	out.files, err = discover(ctx, gitTree{snap}, r.Config.ResourcePath)
	return out, err
}

// push makes the commit.
func (s *Syncer) push(ctx context.Context, b *base, e *edits, message string) (string, error) {
	files := map[string][]byte{}
	for _, f := range e.touched {
		files[f] = []byte(e.text(f))
	}
	return s.cfg.Git.Push(ctx, b.content.place.dir, b.content.place.source, git.Edit{
		Branch: b.branch, Onto: b.content.commit, Expect: b.expect, Files: files, Message: message,
		Name: "Berth", Email: "berth@localhost", When: s.cfg.Now(),
	})
}

// writeStored edits the files so that they declare what is stored; names are the
// resources that were written.
func (s *Syncer) writeStored(ctx context.Context, r schema.Resource[schema.SyncConfig], c content) (*edits, []string, error) {
	for _, f := range c.files {
		if f.Problem != "" && !strings.Contains(f.Problem, "there is no such file") && !strings.Contains(f.Problem, "holds no .toml") {
			return nil, nil, schema.Errorf(schema.Invalid, "nothing is written: %s: %s", f.Path, f.Problem)
		}
	}
	c.files = slices.DeleteFunc(slices.Clone(c.files), func(f schema.SyncFile) bool { return f.Problem != "" })
	scope, err := s.scope(ctx, r, Request{}, c)
	if err != nil {
		return nil, nil, err
	}
	scope.Delete = true
	to, err := target(r.Config, r.Name, c.files)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.cfg.Registry.PlanScope(ctx, c.toml(), scope)
	if err != nil {
		return nil, nil, err
	}
	e := newEdits(c.files)
	var names []string
	if len(p.Changes) == 0 {
		names, err = s.writeAll(ctx, scope, e, to)
	} else if problem := mistakes(issuesOf(p)); problem != nil {
		return nil, nil, problem.Err()
	} else {
		names, err = s.writeChanges(ctx, p, e, to, false)
	}
	if err != nil || len(names) == 0 {
		return nil, nil, err
	}
	if left := s.left(ctx, e, c, scope); left != "" && len(p.Changes) > 0 { // once more, whole tables
		e = newEdits(c.files)
		if names, err = s.writeChanges(ctx, p, e, to, true); err != nil {
			return nil, nil, err
		}
	}
	if left := s.left(ctx, e, c, scope); left != "" {
		return nil, nil, schema.Errorf(schema.Failed, "nothing is written, because the files would not load back to what is stored: %s; change the file by hand", left)
	}
	return e, names, nil
}

func issuesOf(p resource.Plan) []schema.SyncIssue {
	var out []schema.SyncIssue
	for _, i := range p.Issues {
		out = append(out, schema.SyncIssue{File: i.File, Line: i.Line, Key: i.Key, Text: i.Text, Warning: i.Warning})
	}
	return out
}

// left says what the edited files would still change; empty when nothing.
func (s *Syncer) left(ctx context.Context, e *edits, c content, scope resource.Scope) string {
	c.files = e.files(c.files)
	p, err := s.cfg.Registry.PlanScope(ctx, c.toml(), scope)
	if err != nil {
		return schema.SafeText(err)
	}
	if problem := mistakes(issuesOf(p)); problem != nil {
		return problem.Text
	}
	if p.Empty() {
		return ""
	}
	return strings.TrimSpace(p.String())
}

// writeAll writes everything in scope: nothing is declared yet.
func (s *Syncer) writeAll(ctx context.Context, scope resource.Scope, e *edits, to string) ([]string, error) {
	var names []string
	for _, k := range s.cfg.Registry.Kinds() {
		if !slices.Contains(scope.Kinds, k.Name()) {
			continue
		}
		tags := scope.Tags
		if k.Name() == "variable" || k.Name() == "user_group" {
			tags = nil
		}
		list, err := k.Match("*", tags)
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			if s.ownContents(t) {
				continue
			}
			text, err := s.shown(ctx, t, resource.Kept{})
			if err != nil {
				return nil, err
			}
			e.append(to, text)
			names = append(names, t.Kind+" "+t.Name)
		}
	}
	return names, nil
}

// ownContents reports whether it is a sync without a source outside: no file
// declares those.
func (s *Syncer) ownContents(t schema.Target) bool {
	if t.Kind != "resource_sync" {
		return false
	}
	o, err := s.cfg.Syncs.Masked(t.ID)
	return err != nil || sourceOf(o.Config) == "contents" || sourceOf(o.Config) == ""
}

// writeChanges writes back what a plan would change. With whole the tables are
// replaced as they are; otherwise only settings that differ are, where that can be.
func (s *Syncer) writeChanges(ctx context.Context, p resource.Plan, e *edits, to string, whole bool) ([]string, error) {
	var names []string
	var marks []mark
	var added []string
	for _, c := range p.Changes {
		if c.Op == resource.OpUnchanged {
			continue
		}
		names = append(names, c.Kind+" "+c.Name)
		text := ""
		if c.Op != resource.OpCreate {
			var err error
			if text, err = s.shown(ctx, c.Target(), keptOf(c)); err != nil {
				return nil, err
			}
		}
		if c.Op == resource.OpDelete {
			added = append(added, text)
			continue
		}
		m, ok := markOf(e, c)
		if !ok {
			return nil, schema.Errorf(schema.Internal, "find %s %q at %s:%d", c.Kind, c.Name, c.File, c.Line)
		}
		if c.Op == resource.OpUpdate {
			m.text = tableOf(e.lines[m.file][m.from-1:m.to], text, c, whole)
		}
		marks = append(marks, m)
	}
	byFile := map[string][]mark{}
	for _, m := range marks {
		byFile[m.file] = append(byFile[m.file], m)
	}
	for _, list := range byFile {
		e.apply(list)
	}
	for _, text := range added {
		e.append(to, text)
	}
	slices.Sort(e.touched)
	return names, nil
}

// tableOf is the text of a table that changes: with only the settings that differ
// replaced, where that can be.
func tableOf(table []string, text string, c resource.Change, whole bool) []string {
	exported := strings.Split(strings.TrimRight(text, "\n"), "\n")
	var keys []string
	for _, f := range c.Fields {
		keys = append(keys, f.Setting())
	}
	if part, ok := settings(table, exported, c.Kind, keys); ok && !whole {
		return part
	}
	return exported
}

// markOf finds the table of a resource.
func markOf(e *edits, c resource.Change) (mark, bool) {
	for _, sp := range spans(e.text(c.File)) {
		if sp.from <= c.Line && c.Line <= sp.to {
			return mark{file: c.File, from: sp.from, to: sp.to}, true
		}
	}
	return mark{}, false
}
