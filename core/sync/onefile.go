package sync

import (
	"context"
	"path"
	"path/filepath"
	"strings"

	"berth/git"
	"berth/schema"
)

// ReadSource asks a repository where its branch, or pinned commit, stands, and reads
// files of that commit, which lie in dir.
func (s *Syncer) ReadSource(ctx context.Context, src schema.GitSource, dir string, files []string) (schema.CommitInfo, []schema.SeenFile, error) {
	p, err := s.repos.place(ctx, src)
	if err != nil {
		return schema.CommitInfo{}, nil, err
	}
	l := s.repos.look()
	defer l.close()
	at, err := l.at(ctx, p)
	if err != nil {
		return schema.CommitInfo{}, nil, err
	}
	snap, info, err := l.open(ctx, p, at)
	if err != nil {
		return schema.CommitInfo{}, nil, err
	}
	var out []schema.SeenFile
	for _, file := range files[:min(len(files), schema.MaxSeenFiles)] {
		if f, ok := readSeen(gitTree{snap}, dir, file); ok {
			out = append(out, f)
		}
	}
	return infoOf(info), schema.BoundSeen(out), nil
}

// readSeen reads one file; false for what is a folder.
func readSeen(t tree, dir, file string) (schema.SeenFile, bool) {
	out := schema.SeenFile{Path: file}
	at := path.Join(filepath.ToSlash(dir), filepath.ToSlash(file))
	if !filepath.IsLocal(at) || path.IsAbs(file) {
		out.Problem = "it lies outside the repository"
		return out, true
	}
	n, there, err := t.stat(at)
	switch {
	case err != nil:
		out.Problem = schema.SafeText(err)
		return out, true
	case !there:
		out.Missing, out.Problem = true, at+" is not in the repository"
		return out, true
	case n.dir:
		return out, false
	}
	text, err := t.read(n)
	if err != nil {
		out.Problem = schema.SafeText(err)
		return out, true
	}
	out.Text = string(text)
	return out, true
}

func infoOf(c git.Commit) schema.CommitInfo {
	message, _, _ := strings.Cut(c.Message, "\n")
	return schema.CommitInfo{Commit: c.Hash, Message: message, Author: c.Author}
}

// WriteSource writes one file of a repository as a commit on its branch, and says
// which; once more when the branch has moved on meanwhile. A file that says that
// already makes no commit.
func (s *Syncer) WriteSource(ctx context.Context, src schema.GitSource, file, text, by string) (schema.CommitInfo, error) {
	file = path.Clean(filepath.ToSlash(file))
	switch {
	case !filepath.IsLocal(file) || file == ".":
		return schema.CommitInfo{}, schema.Errorf(schema.Invalid, "file %q is not in the repository", file)
	case src.Commit != "":
		return schema.CommitInfo{}, schema.Errorf(schema.Conflict, "the source stays at commit %.8s, so nothing can be committed to its branch: remove commit", src.Commit)
	}
	p, err := s.repos.place(ctx, src)
	if err != nil {
		return schema.CommitInfo{}, err
	}
	for attempt := 1; ; attempt++ {
		out, err := s.commitFile(ctx, p, file, text, by)
		if schema.CodeOf(err) != schema.Conflict || attempt > 1 {
			return out, err
		}
	}
}

func (s *Syncer) commitFile(ctx context.Context, p place, file, text, by string) (schema.CommitInfo, error) {
	l := s.repos.look()
	defer l.close()
	at, err := l.at(ctx, p)
	if err != nil {
		return schema.CommitInfo{}, err
	}
	snap, info, err := l.open(ctx, p, at)
	if err != nil {
		return schema.CommitInfo{}, err
	}
	if f, there, err := snap.Find(file); err == nil && there && !f.IsDir() {
		if have, err := snap.Read(f, maxFile); err == nil && string(have) == text {
			return infoOf(info), nil
		}
	}
	message := "Write " + file
	if by != "" {
		message += "\n\nBy " + by + ", in Berth."
	}
	hash, err := s.cfg.Git.Push(ctx, p.dir, p.source, git.Edit{
		Branch: p.source.Branch, Onto: at, Files: map[string][]byte{file: []byte(text)}, Message: message,
		Name: "Berth", Email: "berth@localhost", When: s.cfg.Now(),
	})
	return schema.CommitInfo{Commit: hash, Message: "Write " + file}, err
}
