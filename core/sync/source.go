package sync

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"berth/core/resource"
	"berth/git"
	"berth/schema"
)

// content is what a sync's source holds at one commit.
type content struct {
	source  schema.SyncSource
	commit  string
	message string
	files   []schema.SyncFile
	place   place         // of git
	snap    *git.Snapshot // of git
}

// toml returns the files that were read, as core/resource takes them.
func (c content) toml() []resource.File {
	var out []resource.File
	for _, f := range c.files {
		if f.Problem == "" {
			out = append(out, resource.File{Name: f.Path, Text: f.Text})
		}
	}
	return out
}

// issues are what was wrong with the files as such.
func (c content) issues() []schema.SyncIssue {
	var out []schema.SyncIssue
	for _, f := range c.files {
		if f.Problem != "" {
			out = append(out, schema.SyncIssue{File: f.Path, Text: f.Problem})
		}
	}
	return out
}

// contentsName is how file_contents are called in messages.
const contentsName = "file_contents"

// sourceOf says where a sync's files come from; kind is empty when it has no
// source. The order is Komodo's.
func sourceOf(c schema.SyncConfig) string {
	switch {
	case c.FilesOnHost:
		return "host"
	case c.LinkedRepo != "", c.Repo != "":
		return "git"
	case strings.TrimSpace(string(c.FileContents)) != "", c.Managed:
		return "contents"
	}
	return ""
}

// gitSource returns the repository of a sync, its own or the linked repo's.
func (s *Syncer) gitSource(ctx context.Context, c schema.SyncConfig) (schema.GitSource, error) {
	if c.LinkedRepo == "" {
		return c.Git(), nil
	}
	r, err := s.cfg.Repos.Get(ctx, c.LinkedRepo)
	if err != nil {
		return schema.GitSource{}, schema.Wrap(schema.CodeOf(err), err, "linked repo")
	}
	return r.Config.Git(), nil
}

// read reads the source of a sync. commit, when it is set, is the one to read
// instead of the branch's newest. What is wrong with single files is in them; an
// error is about the source as a whole.
func (s *Syncer) read(ctx context.Context, l *look, r schema.Resource[schema.SyncConfig], commit string) (content, error) {
	c := r.Config
	switch sourceOf(c) {
	case "host":
		return s.readHost(ctx, r)
	case "git":
		return s.readGit(ctx, l, c, commit)
	case "contents":
		return content{
			source: schema.SyncSource{Kind: "contents"},
			files:  []schema.SyncFile{{Entry: contentsName, Path: contentsName, Text: string(c.FileContents)}},
		}, nil
	}
	return content{}, schema.Errorf(schema.Invalid, "sync %q has no source: set repo, linked_repo, files_on_host or file_contents", r.Name)
}

func (s *Syncer) readGit(ctx context.Context, l *look, c schema.SyncConfig, commit string) (content, error) {
	src, err := s.gitSource(ctx, c)
	if err != nil {
		return content{}, err
	}
	p, err := s.repos.place(ctx, src)
	if err != nil {
		return content{}, err
	}
	out := content{place: p, source: schema.SyncSource{Kind: "git", URL: plainURL(p.source.URL), Repo: src.Repo, Branch: src.Branch}}
	if commit == "" {
		if commit, err = l.at(ctx, p); err != nil {
			return out, err
		}
	}
	snap, info, err := l.open(ctx, p, commit)
	if err != nil {
		return out, err
	}
	l.given[p.key+"/"+p.source.Branch] = info.Hash
	out.snap, out.commit = snap, info.Hash
	out.message, _, _ = strings.Cut(info.Message, "\n")
	if out.source.Root, err = s.repos.origin(ctx, p, info.Hash); err != nil {
		return out, err
	}
	out.files, err = discover(ctx, gitTree{snap}, c.ResourcePath)
	return out, err
}

// readHost reads files on core's host, below the folder of the sync.
func (s *Syncer) readHost(ctx context.Context, r schema.Resource[schema.SyncConfig]) (content, error) {
	root := s.hostRoot(r.Name)
	out := content{source: schema.SyncSource{Kind: "host", URL: root}}
	tree, err := openHost(root)
	if err != nil {
		return out, err
	}
	defer tree.close()
	out.files, err = discover(ctx, tree, r.Config.ResourcePath)
	return out, err
}

// hostRoot is the folder of a sync's files on core's host.
func (s *Syncer) hostRoot(name string) string {
	name = strings.NewReplacer(" ", "_", "\n", "_", "/", "_", `\`, "_").Replace(strings.TrimSpace(name))
	if name == "." || name == ".." || name == "" {
		name = "_"
	}
	return filepath.Join(s.cfg.Files, name)
}

// sortedPaths are the entries of resource_path in their order, each once.
func sortedPaths(list schema.StrList) []string {
	var out []string
	for _, p := range list {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
