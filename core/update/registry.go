package update

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"berth/schema"
)

const (
	keep     = 30 * time.Second // an answer: one pass over everything asks once per image
	perHost  = 4                // questions at once
	timeout  = 20 * time.Second
	restless = 15 * time.Minute // pause of a registry that has had enough and does not say how long
)

// Registry asks registries for digests.
type Registry struct {
	now       func() time.Time
	transport http.RoundTripper
	mu        sync.Mutex
	answers   map[question]*answer
	hosts     map[string]*host
}

// NewRegistry returns one that knows nothing yet. transport may be nil.
func NewRegistry(now func() time.Time, transport http.RoundTripper) *Registry {
	if transport == nil {
		transport = remote.DefaultTransport
	}
	return &Registry{now: now, transport: transport, answers: map[question]*answer{}, hosts: map[string]*host{}}
}

// Login is how to log in; the zero Login is without.
type Login struct {
	Username, Token string
	HTTP            bool // the registry speaks plain http
}

type question struct {
	image, username string
}

// answer is being found while done is open.
type answer struct {
	done   chan struct{}
	digest string
	err    error
	at     time.Time
}

// host bounds what one registry is asked.
type host struct {
	slots chan struct{}
	until time.Time // nothing before; guarded by Registry.mu
}

// Digest returns the digest that a tag has now. Errors: Invalid for no image name,
// NotFound when the registry has no such image, Denied or Unauthenticated when the
// login is not good enough, Unavailable otherwise.
func (r *Registry) Digest(ctx context.Context, image string, login Login) (string, error) {
	ref, err := reference(image, login)
	if err != nil {
		return "", err
	}
	q := question{ref.Name(), login.Username}
	for {
		a, mine := r.ask(q)
		if mine {
			a.digest, a.err = r.head(ctx, ref, login)
			r.mu.Lock()
			a.at = r.now()
			if a.err != nil {
				delete(r.answers, q)
			}
			r.mu.Unlock()
			close(a.done)
			return a.digest, a.err
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		if a.err == nil || ctx.Err() != nil || !errors.Is(a.err, context.Canceled) {
			return a.digest, a.err
		}
	}
}

func reference(image string, login Login) (name.Reference, error) {
	var opts []name.Option
	if login.HTTP {
		opts = append(opts, name.Insecure)
	}
	ref, err := name.ParseReference(image, opts...)
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "%q is no name of an image", image)
	}
	return ref, nil
}

// ask returns the answer to a question, and whether the caller is to find it.
func (r *Registry) ask(q question) (a *answer, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, ok := r.answers[q]; ok {
		select {
		case <-a.done:
			if r.now().Sub(a.at) < keep {
				return a, false
			}
		default:
			return a, false
		}
	}
	a = &answer{done: make(chan struct{})}
	r.answers[q] = a
	return a, true
}

func (r *Registry) host(name string) (*host, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hosts[name]
	if h == nil {
		h = &host{slots: make(chan struct{}, perHost)}
		r.hosts[name] = h
	}
	return h, h.until
}

func (r *Registry) head(ctx context.Context, ref name.Reference, login Login) (string, error) {
	registry := ref.Context().RegistryStr()
	h, until := r.host(registry)
	if r.now().Before(until) {
		return "", schema.Errorf(schema.Unavailable, "%s has had enough questions and is left alone until %s", registry, until.Format(time.TimeOnly))
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d, err := remote.Head(ref, r.options(ctx, login)...)
	if err != nil {
		return "", r.refused(h, registry, ref, login, err)
	}
	return d.Digest.String(), nil
}

func (r *Registry) options(ctx context.Context, login Login) []remote.Option {
	auth := authn.Anonymous
	if login.Username != "" {
		auth = &authn.Basic{Username: login.Username, Password: login.Token}
	}
	return []remote.Option{remote.WithContext(ctx), remote.WithAuth(auth), remote.WithTransport(r.transport), remote.WithUserAgent("berth")}
}

// refused tells why a registry did not answer.
func (r *Registry) refused(h *host, registry string, ref name.Reference, login Login, err error) error {
	who := "without a login"
	if login.Username != "" {
		who = fmt.Sprintf("as %q", login.Username)
	}
	var te *transport.Error
	if !errors.As(err, &te) {
		return schema.Wrap(schema.Unavailable, err, "%s: %s", registry, reason(err))
	}
	switch te.StatusCode {
	case http.StatusNotFound:
		return schema.Wrap(schema.NotFound, err, "%s has no %s", registry, ref.Name())
	case http.StatusUnauthorized, http.StatusForbidden:
		return schema.Wrap(schema.Denied, err, "%s refuses %s (%d) %s: check the registry account", registry, ref.Name(), te.StatusCode, who)
	case http.StatusTooManyRequests:
		until := r.now().Add(retryAfter(te.Request))
		r.mu.Lock()
		h.until = until
		r.mu.Unlock()
		return schema.Wrap(schema.Unavailable, err, "%s has had enough questions (429) %s: asked again after %s", registry, who, until.Format(time.TimeOnly))
	}
	return schema.Wrap(schema.Unavailable, err, "%s answers %d", registry, te.StatusCode)
}

// retryAfter is how long a registry wants to be left alone.
func retryAfter(req *http.Request) time.Duration {
	if req != nil && req.Response != nil {
		if s, err := strconv.Atoi(req.Response.Header.Get("Retry-After")); err == nil && s > 0 {
			return time.Duration(s) * time.Second
		}
	}
	return restless
}

func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return err.Error()
}

// Has reports whether the image behind a tag is, for one platform, the one with the
// digest: of an image for several platforms, engines may know the digest of the whole
// or of their part.
func (r *Registry) Has(ctx context.Context, image, digest string, local schema.LocalImage, login Login) (bool, error) {
	ref, err := reference(image, login)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d, err := remote.Get(ref, r.options(ctx, login)...)
	if err != nil {
		h, _ := r.host(ref.Context().RegistryStr())
		return false, r.refused(h, ref.Context().RegistryStr(), ref, login, err)
	}
	if !d.MediaType.IsIndex() {
		return d.Digest.String() == digest, nil
	}
	index, err := d.ImageIndex()
	if err != nil {
		return false, schema.Wrap(schema.Unavailable, err, "read the index of %s", image)
	}
	m, err := index.IndexManifest()
	if err != nil {
		return false, schema.Wrap(schema.Unavailable, err, "read the index of %s", image)
	}
	for _, one := range m.Manifests {
		if one.Digest.String() == digest && fits(one.Platform, local) {
			return true, nil
		}
	}
	return false, nil
}

func fits(p *v1.Platform, local schema.LocalImage) bool {
	return p == nil || p.OS == local.OS && p.Architecture == local.Arch && (p.Variant == local.Variant || p.Variant == "" || local.Variant == "")
}
