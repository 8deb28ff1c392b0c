package gittest

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

func encodePEM(w io.Writer, b *pem.Block) error { return pem.Encode(w, b) }

// Repo is one bare repository of a server.
type Repo struct {
	server *Server
	name   string
	dir    string
	mu     sync.Mutex // one commit at a time
}

// Change is a commit to make.
type Change struct {
	Branch     string            // "main" if empty
	Message    string            // "change" if empty
	Files      map[string]string // path to content; written beside what is there
	Executable []string          // paths of Files with the exec bit
	Links      map[string]string // path to target of a symbolic link
	Modules    map[string]string // path to commit of a submodule (write .gitmodules yourself)
	Delete     []string          // paths to remove
	Orphan     bool              // begin a new history: what a force push leaves behind
	Base       string            // commit to build on instead of the branch's tip (a force push too)
}

// Repo returns the named repository ("team/app"), made when it is missing, with
// the settings of a forge: pushes accepted, any commit may be asked for.
func (s *Server) Repo(ctx context.Context, name string) (*Repo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.repos[name]; r != nil {
		return r, nil
	}
	r := &Repo{server: s, name: name, dir: filepath.Join(s.cfg.Dir, name+".git")}
	if _, err := os.Stat(filepath.Join(r.dir, "HEAD")); err != nil {
		if _, err := r.run(ctx, nil, "init", "-q", "--bare", "-b", "main", r.dir); err != nil {
			return nil, err
		}
		for _, kv := range [][2]string{
			{"http.receivepack", "true"}, {"uploadpack.allowAnySHA1InWant", "true"}, {"uploadpack.allowFilter", "true"},
		} {
			if _, err := r.Git(ctx, "config", kv[0], kv[1]); err != nil {
				return nil, err
			}
		}
	}
	s.repos[name] = r
	return r, nil
}

// Dir returns the bare repository's folder.
func (r *Repo) Dir() string { return r.dir }

// URL returns the repository's address over HTTP, without credentials.
func (r *Repo) URL() string { return r.server.URL() + "/" + r.name + ".git" }

// SSHURL returns the repository's address over SSH.
func (r *Repo) SSHURL() string { return "ssh://git@" + r.server.SSHAddr() + "/" + r.name + ".git" }

// Git runs the git program inside the bare repository and returns its output.
func (r *Repo) Git(ctx context.Context, args ...string) (string, error) {
	return r.run(ctx, nil, append([]string{"--git-dir=" + r.dir}, args...)...)
}

func (r *Repo) run(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = append(os.Environ(), gitEnv()...)
	cmd.Stdin = stdin
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// Commit makes a commit and moves the branch to it; it returns the commit's hash.
func (r *Repo) Commit(ctx context.Context, c Change) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Branch == "" {
		c.Branch = "main"
	}
	if c.Message == "" {
		c.Message = "change"
	}
	ref := "refs/heads/" + c.Branch
	base := c.Base
	if base == "" && !c.Orphan {
		base, _ = r.Git(ctx, "rev-parse", "-q", "--verify", ref) // a missing branch begins here
	}
	var in bytes.Buffer
	fmt.Fprintf(&in, "commit %s\nmark :1\n", ref)
	who := fmt.Sprintf("Ada Tester <ada@example.com> %d +0000", time.Now().Unix())
	fmt.Fprintf(&in, "author %s\ncommitter %s\n", who, who)
	data(&in, c.Message)
	if base != "" {
		fmt.Fprintf(&in, "from %s\n", base)
	}
	writeFiles(&in, c)
	fmt.Fprint(&in, "\nget-mark :1\n")
	return r.run(ctx, &in, "--git-dir="+r.dir, "fast-import", "--quiet", "--force")
}

func writeFiles(in *bytes.Buffer, c Change) {
	for _, p := range c.Delete {
		fmt.Fprintf(in, "D %s\n", p)
	}
	for _, p := range slices.Sorted(maps.Keys(c.Files)) {
		mode := "100644"
		if slices.Contains(c.Executable, p) {
			mode = "100755"
		}
		fmt.Fprintf(in, "M %s inline %s\n", mode, p)
		data(in, c.Files[p])
	}
	for _, p := range slices.Sorted(maps.Keys(c.Links)) {
		fmt.Fprintf(in, "M 120000 inline %s\n", p)
		data(in, c.Links[p])
	}
	for _, p := range slices.Sorted(maps.Keys(c.Modules)) {
		fmt.Fprintf(in, "M 160000 %s %s\n", c.Modules[p], p)
	}
}

func data(in *bytes.Buffer, s string) { fmt.Fprintf(in, "data %d\n%s\n", len(s), s) }

// DeleteBranch removes a branch, as a forge does after a merge.
func (r *Repo) DeleteBranch(ctx context.Context, branch string) error {
	_, err := r.Git(ctx, "update-ref", "-d", "refs/heads/"+branch)
	return err
}
