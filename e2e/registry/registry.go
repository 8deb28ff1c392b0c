// Package registry is an image registry in the test's own process, with a password,
// which every engine on the machine reaches; and images to put into it.
//
// A Registry may be used from any number of goroutines.
package registry

import (
	"archive/tar"
	"bytes"
	"crypto/subtle"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Registry serves images over plain HTTP on every address of the machine.
type Registry struct {
	User, Password string

	port     string
	mu       sync.Mutex
	requests []string
	refused  int
}

// New serves until the test's end.
func New(t testing.TB, user, password string) *Registry {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	r := &Registry{User: user, Password: password, port: port}
	quiet := log.New(io.Discard, "", 0)
	server := &http.Server{
		Handler:           r.guard(registry.New(registry.Logger(quiet))),
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet,
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return r
}

// guard asks for the password and notes what was asked for.
func (r *Registry) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		user, password, _ := req.BasicAuth()
		ok := subtle.ConstantTimeCompare([]byte(user+"\x00"+password), []byte(r.User+"\x00"+r.Password)) == 1
		r.mu.Lock()
		r.requests = append(r.requests, req.Method+" "+req.URL.Path)
		if !ok {
			r.refused++
		}
		r.mu.Unlock()
		if !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// Host returns the registry's name for an engine that reaches the machine at
// address, such as rig.Engine.Gateway: 10.99.1.1:40123.
func (r *Registry) Host(address string) string { return net.JoinHostPort(address, r.port) }

// Pulled reports how often the manifest of an image was asked for.
func (r *Registry) Pulled(image string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, req := range r.requests {
		if strings.HasPrefix(req, "GET /v2/"+image+"/manifests/") {
			n++
		}
	}
	return n
}

// Refused reports how many requests came without the password.
func (r *Registry) Refused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

// Push puts an image name:tag into the registry that runs a static program with
// arguments. Text makes images of the same program differ. The answer is the
// image's digest.
func (r *Registry) Push(t testing.TB, image, tag string, program []byte, text string, args ...string) string {
	t.Helper()
	img, err := build(program, text, args)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(r.Host("127.0.0.1")+"/"+image+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	auth := &authn.Basic{Username: r.User, Password: r.Password}
	if err := remote.Write(ref, img, remote.WithContext(t.Context()), remote.WithAuth(auth)); err != nil {
		t.Fatalf("push %s: %v", ref, err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// Digest is that of the image name:tag in the registry; no such image ends the test.
func (r *Registry) Digest(t testing.TB, image, tag string) string {
	t.Helper()
	ref, err := name.NewTag(r.Host("127.0.0.1")+"/"+image+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	d, err := remote.Head(ref, remote.WithContext(t.Context()), remote.WithAuth(&authn.Basic{Username: r.User, Password: r.Password}))
	if err != nil {
		t.Fatalf("look up %s: %v", ref, err)
	}
	return d.Digest.String()
}

func build(program []byte, text string, args []string) (v1.Image, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for file, data := range map[string][]byte{"app": program, "text": []byte(text)} {
		if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o755, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config.Entrypoint, file.Config.Cmd = []string{"/app"}, args
	return mutate.ConfigFile(img, file)
}
