package core

import (
	"cmp"
	"context"
	"path/filepath"
	"time"

	"berth/bus"
	"berth/schema"
)

// looking is what is looked at of a stack or build.
type looking struct {
	dir    string   // that the files are relative to
	files  []string // in the repository or on the server
	server string   // id of the server on which the files lie; "" for those of a repository
	stack  string   // whose folder that is
	was    string   // commit that was deployed or built
	// Where its containers run.
	host, project string
}

// Refresh looks up where a resource's sources stand and what is in them, and keeps it.
func (s sources) Refresh(ctx context.Context, t schema.Target) error {
	src, of, err := s.git(ctx, t)
	if err != nil {
		return err
	}
	l, err := s.looking(t)
	if err != nil {
		return err
	}
	seen := schema.Seen{Images: s.images(ctx, l)}
	switch {
	case src != nil:
		err = s.lookRepo(ctx, t, l, *src, of, &seen)
	case l.server != "":
		seen.Files = s.lookServer(ctx, l)
	}
	if _, bad := s.c.seen.Put(ctx, t.ID, seen); bad != nil && err == nil {
		err = schema.Wrap(schema.CodeOf(bad), bad, "keep where the sources of %s %q stand", t.Kind, t.Name)
	}
	s.c.changes.announce(schema.Change{Topic: t.Kind, ID: t.ID})
	return err
}

// looking says what to look at.
func (s sources) looking(t schema.Target) (looking, error) {
	switch t.Kind {
	case "stack":
		r, err := s.c.kinds.stacks.Masked(t.ID)
		c := r.Config
		l := looking{dir: c.RunDirectory, files: stackFiles(c), stack: r.Name, host: c.ServerID, project: cmp.Or(c.ProjectName, r.Name)}
		if c.Source() == schema.SourceHost {
			l.server = c.ServerID
		}
		if d, err := s.c.deployed.Get(t.ID); err == nil {
			l.was, l.project = d.Value.Commit, d.Value.Project
		}
		return l, err
	case "build":
		r, err := s.c.kinds.builds.Masked(t.ID)
		l := looking{dir: r.Config.BuildPath, files: []string{cmp.Or(r.Config.DockerfilePath, "Dockerfile")}}
		if b, err := s.c.buildState.Get(t.ID); err == nil {
			l.was = b.Value.Commit
		}
		return l, err
	}
	return looking{}, nil
}

// stackFiles are the files of a stack that are shown: not those with its environment,
// which hold secrets.
func stackFiles(c schema.StackConfig) []string {
	files := append([]string{}, c.Compose()...)
	for _, f := range c.ConfigFiles {
		files = append(files, f.Path)
	}
	return files
}

// lookRepo looks at a repository: at where it stands, and at the commit that was
// deployed or built when that is another. When it cannot be looked at, what was seen
// before of where it stood stays, and the files say why.
func (s sources) lookRepo(ctx context.Context, t schema.Target, l looking, src schema.GitSource, of string, seen *schema.Seen) error {
	if filepath.IsAbs(l.dir) {
		l.files = nil // they lie on the server, wherever the clone is
	}
	at, files, err := s.c.syncs.ReadSource(ctx, src, l.dir, l.files)
	if err != nil {
		if have, missing := s.c.seen.Get(t.ID); missing == nil {
			seen.CommitInfo, seen.At = have.Value.CommitInfo, have.Value.At
		}
		for _, f := range l.files {
			seen.Files = append(seen.Files, schema.SeenFile{Path: f, Problem: schema.SafeText(err)})
		}
		return schema.Wrap(schema.CodeOf(err), err, "look up the sources of %s %q", t.Kind, t.Name)
	}
	seen.Files, seen.FilesOf = files, at.Commit
	now := schema.Seen{CommitInfo: at, At: time.Now().UnixMilli()}
	if of == t.ID {
		seen.CommitInfo, seen.At = now.CommitInfo, now.At
	} else if _, err := s.c.seen.Put(ctx, of, now); err != nil {
		return schema.Wrap(schema.CodeOf(err), err, "keep where the sources of %s %q stand", t.Kind, t.Name)
	}
	if l.was == "" || l.was == at.Commit || len(l.files) == 0 {
		return nil
	}
	src.Commit = l.was
	_, before, err := s.c.syncs.ReadSource(ctx, src, l.dir, l.files)
	if err != nil { // it was forced away, perhaps: what was deployed is not known then
		s.c.cfg.Log.Info("look at the commit that was deployed", "of", t.Name, "commit", l.was, "err", err)
		return nil
	}
	seen.Before, seen.BeforeOf = before, l.was
	return nil
}

// lookServer reads the files that lie on a server, or says of each why not.
func (s sources) lookServer(ctx context.Context, l looking) []schema.SeenFile {
	ctx, cancel := context.WithTimeout(ctx, agentAnswers)
	defer cancel()
	resp, err := bus.Ask(ctx, s.c.conn, l.server, schema.FileRead, schema.FileReadReq{Stack: l.stack, Dir: l.dir, Files: l.files})
	if err == nil {
		return schema.BoundSeen(resp.Files)
	}
	out := make([]schema.SeenFile, 0, len(l.files))
	for _, f := range l.files {
		out = append(out, schema.SeenFile{Path: f, Problem: schema.SafeText(err)})
	}
	return out
}

// images asks a stack's server which digests the images have that run; nil when
// nobody says.
func (s sources) images(ctx context.Context, l looking) map[string]string {
	if online, _ := s.c.online(l.host); l.project == "" || !online {
		return nil
	}
	list, _ := s.c.monitor.Project(l.host, l.project)
	var ids []string
	for _, x := range list {
		if x.ImageID != "" {
			ids = append(ids, x.ImageID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, agentAnswers)
	defer cancel()
	resp, err := bus.Ask(ctx, s.c.conn, l.host, schema.ImageDigests, schema.ImageDigestsReq{Images: ids})
	if err != nil {
		s.c.cfg.Log.Info("ask which images run", "server", l.host, "err", err)
	}
	out := map[string]string{}
	for id, image := range resp.Images {
		if len(image.Digests) > 0 {
			out[id] = image.Digests[0]
		}
	}
	return out
}

// seenOf is what was seen of a resource's sources at the last look; nil for never.
func (c *core) seenOf(id string) *schema.Seen {
	s, err := c.seen.Get(id)
	if err != nil {
		return nil
	}
	return &s.Value
}
