package git

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/memory"

	"berth/schema"
)

// Edit is a commit to make and push.
type Edit struct {
	Branch  string            // that is pushed to; made at Onto when the remote does not have it
	Onto    string            // full hash of the commit it follows, which is in the repository
	Expect  string            // where the remote has the branch; Onto when empty
	Files   map[string][]byte // contents by path; nil removes the file
	Message string
	Name    string // author and committer
	Email   string
	When    time.Time
}

// Push makes a commit of the edit in the repository below dir, which Fetch made,
// and pushes it; the commit's hash comes back. Errors: conflict when the branch
// has moved on (fetch, make the edit anew and push again), denied when the
// account may not write; then nothing was pushed.
func (c *Client) Push(ctx context.Context, dir string, src Source, e Edit) (string, error) {
	r, err := remoteOf(src)
	if err != nil {
		return "", err
	}
	ref := plumbing.NewBranchReferenceName(e.Branch)
	if e.Branch == "" || ref.Validate() != nil {
		return "", schema.Errorf(schema.Invalid, "push to %s: %q is no name for a branch", r, e.Branch)
	}
	unlock, err := c.lockDir(ctx, dir)
	if err != nil {
		return "", fmt.Errorf("wait for another fetch of %s: %w", r, err)
	}
	defer unlock()
	repo, err := openRepository(dir)
	if err != nil {
		return "", err
	}
	defer repo.close()
	w := &writer{repo: repo, store: memory.NewStorage()}
	hash, err := w.write(e)
	if err != nil {
		return "", err
	}
	expect := plumbing.NewHash(cmp.Or(e.Expect, e.Onto))
	if err := c.send(ctx, r, ref, expect, hash, w); err != nil {
		return "", err
	}
	for _, o := range w.objects { // known from now on, without a fetch
		if err := repo.writeObject(o); err != nil {
			return "", err
		}
	}
	repo.reopen()
	return hash.String(), repo.setRemoteRef(found{hash: hash, name: e.Branch}, r)
}

// send tells the server to move the branch and hands it the new objects.
func (c *Client) send(ctx context.Context, r remote, ref plumbing.ReferenceName, expect, hash plumbing.Hash, w *writer) error {
	s, err := c.openReceive(ctx, r)
	if err != nil {
		return r.explain(ctx, "push to", err)
	}
	defer func() { _ = s.Close() }() // the answer was read or the error is known
	refs, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		return r.explain(ctx, "push to", err)
	}
	old, exists := refs.References[ref.String()]
	if exists && old != expect {
		return schema.Errorf(schema.Conflict, "push to branch %q of %s: it has moved on to %.8s", ref.Short(), r, old)
	}
	var pack bytes.Buffer
	hashes := make([]plumbing.Hash, len(w.objects))
	for i, o := range w.objects {
		hashes[i] = o.Hash()
	}
	if _, err := packfile.NewEncoder(&pack, w.store, false).Encode(hashes, 0); err != nil {
		return fmt.Errorf("push to %s: pack objects: %w", r, err)
	}
	req := packp.NewReferenceUpdateRequestFromCapabilities(refs.Capabilities)
	if refs.Capabilities.Supports(capability.ReportStatus) {
		if err := req.Capabilities.Set(capability.ReportStatus); err != nil {
			return err
		}
	}
	req.Commands = []*packp.Command{{Name: ref, Old: old, New: hash}}
	req.Packfile = io.NopCloser(&pack)
	report, err := s.ReceivePack(ctx, req)
	if report != nil {
		for _, st := range report.CommandStatuses {
			if st.Status != "ok" {
				return schema.Errorf(refusal(st.Status), "push to branch %q of %s: the server refuses: %s", ref.Short(), r, oneLine(st.Status))
			}
		}
	}
	return r.explain(ctx, "push to", err)
}

// refusal tells a branch that moved at the last moment from one that is protected.
func refusal(status string) schema.Code {
	for _, s := range []string{"fetch first", "non-fast-forward", "failed to update ref", "cannot lock ref", "stale info"} {
		if strings.Contains(status, s) {
			return schema.Conflict
		}
	}
	return schema.Denied
}

func (c *Client) openReceive(ctx context.Context, r remote) (receiver, error) {
	if r.scheme == "ssh" {
		s, err := openSSHFor(ctx, r, transport.ReceivePackServiceName)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	ep, err := transport.NewEndpoint(r.String())
	if err != nil {
		return nil, err
	}
	if user, pass, ok := r.auth.basic(); ok {
		return c.web.NewReceivePackSession(ep, &githttp.BasicAuth{Username: user, Password: pass})
	}
	return c.web.NewReceivePackSession(ep, nil)
}

// receiver is one conversation with a server's receive-pack.
type receiver interface {
	AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error)
	ReceivePack(ctx context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error)
	Close() error
}

// ReceivePack sends what is to be changed, with its objects, and reads the answer.
func (s *shell) ReceivePack(_ context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	s.asked = true
	if err := req.Encode(s.in); err != nil {
		return nil, fmt.Errorf("send objects: %w (%s)", err, s.errs)
	}
	if err := s.in.Close(); err != nil {
		return nil, fmt.Errorf("close input: %w", err)
	}
	report := packp.NewReportStatus()
	if err := report.Decode(s.out); err != nil {
		return nil, fmt.Errorf("%w (%s)", err, s.errs)
	}
	return report, report.Error()
}

// writer makes objects: blobs and trees first, the commit last.
type writer struct {
	repo    *repository
	store   *memory.Storage
	objects []plumbing.EncodedObject
}

// encoder is a tree or a commit.
type encoder interface {
	Encode(o plumbing.EncodedObject) error
}

func (w *writer) add(v encoder) (plumbing.Hash, error) {
	o := &plumbing.MemoryObject{}
	if err := v.Encode(o); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("write object: %w", err)
	}
	return w.keep(o)
}

func (w *writer) keep(o plumbing.EncodedObject) (plumbing.Hash, error) {
	h, err := w.store.SetEncodedObject(o)
	if err != nil {
		return h, fmt.Errorf("write object: %w", err)
	}
	if !slices.ContainsFunc(w.objects, func(have plumbing.EncodedObject) bool { return have.Hash() == h }) {
		w.objects = append(w.objects, o)
	}
	return h, nil
}

// write makes the commit.
func (w *writer) write(e Edit) (plumbing.Hash, error) {
	onto, err := object.GetCommit(w.repo.store, plumbing.NewHash(e.Onto))
	if err != nil {
		return plumbing.ZeroHash, readObject(err, plumbing.NewHash(e.Onto))
	}
	root := onto.TreeHash
	for _, name := range sortedNames(e.Files) {
		if clean(name) == "" || !allSafe(clean(name)) {
			return plumbing.ZeroHash, schema.Errorf(schema.Invalid, "commit: %q is no name for a file", name)
		}
		if root, err = w.put(root, clean(name), e.Files[name]); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	if root.IsZero() {
		if root, err = w.add(&object.Tree{}); err != nil {
			return root, err
		}
	}
	if root == onto.TreeHash {
		return plumbing.ZeroHash, schema.Errorf(schema.Conflict, "commit: nothing would change")
	}
	by := object.Signature{Name: e.Name, Email: e.Email, When: e.When}
	return w.add(&object.Commit{Author: by, Committer: by, Message: e.Message, TreeHash: root, ParentHashes: []plumbing.Hash{onto.Hash}})
}

func allSafe(p string) bool {
	return !slices.ContainsFunc(strings.Split(p, "/"), func(name string) bool { return !safeName(name) })
}

// put returns the tree with one file replaced, or removed when contents is nil.
func (w *writer) put(tree plumbing.Hash, p string, contents []byte) (plumbing.Hash, error) {
	t := &object.Tree{}
	if !tree.IsZero() {
		old, err := w.tree(tree)
		if err != nil {
			return tree, err
		}
		t.Entries = slices.Clone(old.Entries)
	}
	name, rest, deep := strings.Cut(p, "/")
	i := slices.IndexFunc(t.Entries, func(x object.TreeEntry) bool { return x.Name == name })
	entry := object.TreeEntry{Name: name, Mode: filemode.Regular}
	if i >= 0 {
		entry = t.Entries[i]
	}
	var err error
	switch {
	case deep:
		below := plumbing.ZeroHash
		if entry.Mode == filemode.Dir {
			below = entry.Hash
		}
		entry.Mode = filemode.Dir
		entry.Hash, err = w.put(below, rest, contents)
	case contents != nil:
		o := &plumbing.MemoryObject{}
		o.SetType(plumbing.BlobObject)
		if _, err := o.Write(contents); err != nil {
			return tree, err
		}
		if entry.Mode != filemode.Executable {
			entry.Mode = filemode.Regular
		}
		entry.Hash, err = w.keep(o)
	default:
		entry.Hash = plumbing.ZeroHash
	}
	if err != nil {
		return tree, err
	}
	switch {
	case i >= 0 && entry.Hash.IsZero():
		t.Entries = slices.Delete(t.Entries, i, i+1)
	case i >= 0:
		t.Entries[i] = entry
	case !entry.Hash.IsZero():
		t.Entries = append(t.Entries, entry)
	}
	if len(t.Entries) == 0 { // git knows no empty folders
		return plumbing.ZeroHash, nil
	}
	slices.SortFunc(t.Entries, func(a, b object.TreeEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	return w.add(t)
}

// sortName is the name by which git sorts a tree's entries.
func sortName(e object.TreeEntry) string {
	if e.Mode == filemode.Dir {
		return e.Name + "/"
	}
	return e.Name
}

func (w *writer) tree(h plumbing.Hash) (*object.Tree, error) {
	t, err := object.GetTree(w.store, h)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		t, err = object.GetTree(w.repo.store, h)
	}
	if err != nil {
		return nil, readObject(err, h)
	}
	return t, nil
}
