package core

import (
	"cmp"
	"context"
	"path"
	"strings"

	"berth/bus"
	"berth/core/store"
	"berth/schema"
)

func (c *core) openSeen(ctx context.Context) error {
	var err error
	c.seen, err = store.Open[schema.Seen](ctx, c.conn, bus.BucketSeen, store.Options{History: 1, Log: c.cfg.Log})
	return err
}

// newest is the commit that a source was seen at last: when somebody looked, or at
// another time.
func (c *core) newest(id string, have schema.CommitInfo, at int64) schema.CommitInfo {
	if s, err := c.seen.Get(id); err == nil && s.Value.At > at {
		return s.Value.CommitInfo
	}
	return have
}

// sources are where stacks, builds and repos have their files from.
type sources struct{ c *core }

// git returns the repository of a resource and the id of the resource that names it:
// its own, or the linked repo's. It is nil for files that are elsewhere.
func (s sources) git(ctx context.Context, t schema.Target) (src *schema.GitSource, of string, err error) {
	var linked string
	var source schema.GitSource
	switch t.Kind {
	case "stack":
		r, err := s.c.kinds.stacks.Get(ctx, t.ID)
		if err != nil || r.Config.FilesOnHost {
			return nil, "", err
		}
		linked, of, source = r.Config.LinkedRepo, r.ID, r.Config.Git()
	case "build":
		r, err := s.c.kinds.builds.Get(ctx, t.ID)
		if err != nil || r.Config.FilesOnHost {
			return nil, "", err
		}
		linked, of, source = r.Config.LinkedRepo, r.ID, r.Config.Git()
	default:
		linked = t.ID
	}
	if linked != "" {
		r, err := s.c.kinds.repos.Get(ctx, linked)
		if err != nil {
			return nil, "", schema.Wrap(schema.CodeOf(err), err, "linked repo")
		}
		of, source = r.ID, r.Config.Git()
	}
	if source.Repo == "" {
		return nil, of, nil
	}
	return &source, of, nil
}

// WriteStackFile writes a file of a stack, relative to its run directory: on its
// server, or as a commit. It says what it did.
func (s sources) WriteStackFile(ctx context.Context, t schema.Target, file, text, by string) (string, error) {
	r, err := s.c.kinds.stacks.Masked(t.ID)
	if err != nil {
		return "", err
	}
	if !r.Config.FilesOnHost {
		return s.commit(ctx, t, path.Join(r.Config.RunDirectory, file), text, by, "file_contents")
	}
	server, err := s.c.kinds.servers.Find(r.Config.ServerID)
	if err != nil {
		return "", schema.Errorf(schema.Invalid, "stack %q has no server: set `server`", r.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, agentAnswers)
	defer cancel()
	_, err = bus.Ask(ctx, s.c.conn, server.ID, schema.FileWrite, schema.FileWriteReq{Stack: r.Name, Dir: r.Config.RunDirectory, File: file, Text: text})
	return file + " written on server " + server.Name, schema.Wrap(schema.CodeOf(err), err, "write a file of stack %q on server %q", r.Name, server.Name)
}

// WriteBuildFile writes the Dockerfile of a build as a commit.
func (s sources) WriteBuildFile(ctx context.Context, t schema.Target, text, by string) (string, error) {
	r, err := s.c.kinds.builds.Masked(t.ID)
	if err != nil {
		return "", err
	}
	if r.Config.FilesOnHost {
		return "", schema.Errorf(schema.Invalid, "the files of build %q lie on the servers of its builder: change them there", r.Name)
	}
	return s.commit(ctx, t, path.Join(r.Config.BuildPath, cmp.Or(r.Config.DockerfilePath, "Dockerfile")), text, by, "dockerfile")
}

// commit writes a file of a resource's repository; setting holds the file of a
// resource that has none.
func (s sources) commit(ctx context.Context, t schema.Target, file, text, by, setting string) (string, error) {
	src, _, err := s.git(ctx, t)
	if err != nil {
		return "", err
	}
	if src == nil {
		return "", schema.Errorf(schema.Invalid, "%s %q has its file in its settings: change %s", t.Kind, t.Name, setting)
	}
	file = strings.TrimPrefix(file, "/")
	at, err := s.c.syncs.WriteSource(ctx, *src, file, text, by)
	if err != nil {
		return "", schema.Wrap(schema.CodeOf(err), err, "write %s of %s %q", file, t.Kind, t.Name)
	}
	if err := s.Refresh(ctx, t); err != nil { // it is written: the next look shows it
		s.c.cfg.Log.Warn("look at the sources after a file was written", "of", t.Name, "err", err)
	}
	return file + ": commit " + at.Commit[:min(len(at.Commit), 7)] + " on branch " + src.Branch, nil
}

// RenameContainer gives the container of a deployment that is renamed its new name.
// It does nothing for one that has none, or a name of its own; the func takes it
// back.
func (s sources) RenameContainer(ctx context.Context, t schema.Target, to string) (undo func(context.Context), err error) {
	nothing := func(context.Context) {}
	r, err := s.c.kinds.deployments.Masked(t.ID)
	if err != nil || r.Config.CustomName != "" {
		return nothing, err
	}
	d, err := s.c.deployed.Get(t.ID)
	if schema.CodeOf(err) == schema.NotFound {
		return nothing, nil
	}
	if err != nil {
		return nothing, err
	}
	if to, err = schema.DeploymentName(to); err != nil {
		return nothing, err
	}
	from, now := d.Value.Project, r.Config.Container(to)
	if from == "" || from == now {
		return nothing, nil
	}
	ask := func(ctx context.Context, from, to string) error {
		ctx, cancel := context.WithTimeout(ctx, agentAnswers)
		defer cancel()
		_, err := bus.Ask(ctx, s.c.conn, r.Config.ServerID, schema.ContainerRename, schema.ContainerRenameReq{From: from, To: to})
		if schema.CodeOf(err) == schema.NotFound {
			return nil // it was removed: the next deploy makes one
		}
		return err
	}
	if err := ask(ctx, from, now); err != nil {
		return nothing, schema.Wrap(schema.CodeOf(err), err, "rename the container of deployment %q", t.Name)
	}
	keep := func(ctx context.Context, name string) error {
		_, err := s.c.deployed.Edit(ctx, t.ID, func(v *schema.Deployed) error { v.Project = name; return nil })
		return err
	}
	return func(ctx context.Context) {
		if err := cmp.Or(ask(ctx, now, from), keep(ctx, from)); err != nil {
			s.c.cfg.Log.Error("give a container its name back", "container", from, "err", err)
		}
	}, keep(ctx, now)
}
