package gittest

import "context"

// TB is what New needs of testing.TB; declared here so that the demo's binary
// does not carry the testing package.
type TB interface {
	Helper()
	TempDir() string
	Cleanup(fn func())
	Fatalf(format string, args ...any)
}

// Fixture is a server for one test: what fails ends the test.
type Fixture struct {
	*Server
	t TB
}

// FixtureRepo is a repository of a Fixture.
type FixtureRepo struct {
	*Repo
	t TB
}

// New serves empty repositories on 127.0.0.1 until the test ends. At most one
// Config may be given; its Dir is replaced by a temporary one when empty.
func New(t TB, cfg ...Config) *Fixture {
	t.Helper()
	var c Config
	if len(cfg) > 0 {
		c = cfg[0]
	}
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, wait, err := Serve(ctx, c)
	if err != nil {
		cancel()
		t.Fatalf("serve git: %v", err)
		return nil
	}
	t.Cleanup(func() {
		cancel()
		if err := wait(); err != nil {
			t.Fatalf("git server: %v", err)
		}
	})
	return &Fixture{Server: s, t: t}
}

// Repo returns the named repository, made when it is missing.
func (f *Fixture) Repo(name string) *FixtureRepo {
	f.t.Helper()
	r, err := f.Server.Repo(context.Background(), name)
	if err != nil {
		f.t.Fatalf("make repository %s: %v", name, err)
	}
	return &FixtureRepo{Repo: r, t: f.t}
}

// Commit writes files on branch main and returns the commit's hash.
func (r *FixtureRepo) Commit(files map[string]string, message string) string {
	r.t.Helper()
	return r.Change(Change{Files: files, Message: message})
}

// Change makes any commit and returns its hash.
func (r *FixtureRepo) Change(c Change) string {
	r.t.Helper()
	hash, err := r.Repo.Commit(context.Background(), c)
	if err != nil {
		r.t.Fatalf("commit to %s: %v", r.name, err)
	}
	return hash
}

// ForcePush replaces branch main by a new history with only these files.
func (r *FixtureRepo) ForcePush(files map[string]string, message string) string {
	r.t.Helper()
	return r.Change(Change{Files: files, Message: message, Orphan: true})
}

// DeleteBranch removes a branch.
func (r *FixtureRepo) DeleteBranch(branch string) {
	r.t.Helper()
	if err := r.Repo.DeleteBranch(context.Background(), branch); err != nil {
		r.t.Fatalf("delete branch: %v", err)
	}
}

// Git runs git in the bare repository and returns its output.
func (r *FixtureRepo) Git(args ...string) string {
	r.t.Helper()
	out, err := r.Repo.Git(context.Background(), args...)
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	return out
}
