package backup_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/nats-io/nats.go/jetstream"

	"berth/bus"
	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/core/backup"
)

// canary stands in everything that is backed up.
const canary = "canary-7d1f-in-clear"

// allNames returns the values of the constants in bus/names.go that begin so.
func allNames(t *testing.T, prefix string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "bus", "names.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			if !strings.HasPrefix(name.Name, prefix) || i >= len(spec.Values) {
				continue
			}
			if lit, ok := spec.Values[i].(*ast.BasicLit); ok {
				v, _ := strconv.Unquote(lit.Value)
				out = append(out, v)
			}
		}
		return true
	})
	if len(out) == 0 {
		t.Fatalf("bus/names.go names no %s…", prefix)
	}
	return out
}

// world is a hub with core's own files beside it, and a source on it.
type world struct {
	dir    string // core's folder
	bus    *bustest.Bus
	source *backup.Source
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"age.key": canary + " age", "tls.key": canary + " tls", "lock": "", "sub/other": canary} {
		if err := bus.WritePrivate(filepath.Join(dir, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "repos", "web"), 0o700); err != nil {
		t.Fatal(err)
	}
	b := bustest.Open(t, hub.Options{Dir: filepath.Join(dir, "bus"), Sync: time.Minute})
	return &world{dir: dir, bus: b, source: &backup.Source{Hub: b.Hub, Dir: dir, Settings: []byte("title = \"" + canary + "\"\n"), Version: "test", Now: time.Now}}
}

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// write makes a backup in a file.
func (w *world) write(t *testing.T, to ...age.Recipient) (string, backup.Manifest) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "backup.age"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := w.source.Write(t.Context(), f, to)
	if err != nil {
		t.Fatal(err)
	}
	return f.Name(), m
}

func (w *world) bucket(t *testing.T, name string) jetstream.KeyValue {
	t.Helper()
	kv, err := w.bus.Core.JetStream().CreateOrUpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: name, History: 5})
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

// included are the buckets that a backup holds.
func included(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(allNames(t, "Bucket"), func(b string) bool { return b == bus.BucketTokens || b == bus.BucketSessions })
}

// contents are all messages of all streams but the output, with their sequences.
func contents(t *testing.T, b *bustest.Bus) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	names := b.Core.JetStream().StreamNames(t.Context())
	for name := range names.Name() {
		if name == bus.StreamOutput {
			continue
		}
		s, err := b.Core.JetStream().Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		st := s.CachedInfo().State
		for seq := st.FirstSeq; seq <= st.LastSeq; seq++ {
			if m, err := s.GetMsg(t.Context(), seq); err == nil {
				out[name] = append(out[name], fmt.Sprint(seq, m.Subject, m.Header, string(m.Data), m.Time.UnixNano()))
			}
		}
	}
	if names.Err() != nil {
		t.Fatal(names.Err())
	}
	return out
}

func tree(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, path); rel != "." {
			out = append(out, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
