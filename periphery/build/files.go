package build

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/moby/buildkit/session/auth"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"
	"google.golang.org/grpc"
)

// rootOwned is a folder whose files all belong to root, so that an image does not
// depend on who checked it out.
func rootOwned(dir string) (fsutil.FS, error) {
	all, err := fsutil.NewFS(dir)
	if err != nil {
		return nil, err
	}
	return fsutil.NewFilterFS(all, &fsutil.FilterOpt{Map: func(_ string, st *fstypes.Stat) fsutil.MapResult {
		st.Uid, st.Gid = 0, 0
		return fsutil.MapResultKeep
	}})
}

// recipe is the folder of the Dockerfile, in memory.
func (s *Spec) recipe() memory {
	m := memory{made: time.Now(), files: map[string][]byte{s.Name: s.Dockerfile}}
	if s.Ignore != nil {
		m.files[s.Name+".dockerignore"] = s.Ignore
	}
	return m
}

// memory is a folder of files that lie on no disk.
type memory struct {
	files map[string][]byte
	made  time.Time // by it BuildKit tells one version of a file from the next
}

// Walk is part of fsutil.FS.
func (m memory) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	target = filepath.Clean(target)
	for _, name := range slices.Sorted(maps.Keys(m.files)) {
		if target != "." && target != "/" && target != name {
			continue
		}
		st := &fstypes.Stat{Path: name, Mode: 0o644, Size: int64(len(m.files[name])), ModTime: m.made.UnixNano()}
		if err := fn(name, &fsutil.DirEntryInfo{Stat: st}, ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// Open is part of fsutil.FS.
func (m memory) Open(name string) (io.ReadCloser, error) {
	text, ok := m.files[filepath.Clean(name)]
	if !ok {
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return io.NopCloser(bytes.NewReader(text)), nil
}

// keeper answers BuildKit's question for credentials of a registry.
type keeper struct {
	auth.UnimplementedAuthServer
	logins []Login
}

// Register is part of session.Attachable.
func (k *keeper) Register(s *grpc.Server) { auth.RegisterAuthServer(s, k) }

// Credentials is part of auth.AuthServer. No login is an anonymous one.
func (k *keeper) Credentials(_ context.Context, q *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	l, _ := login(k.logins, q.Host)
	return &auth.CredentialsResponse{Username: l.User, Secret: l.Password}, nil
}
