package resource

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/schema"
)

// memory is a Bucket without a bus.
type memory[T any] struct {
	mu   sync.Mutex
	rev  uint64
	docs map[string]Doc[[]byte]
}

func (m *memory[T]) Get(key string) (Doc[T], bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.docs[key]
	return m.read(d), ok
}

func (m *memory[T]) read(d Doc[[]byte]) Doc[T] {
	out := Doc[T]{Key: d.Key, Rev: d.Rev}
	_ = json.Unmarshal(d.Value, &out.Value)
	return out
}

func (m *memory[T]) List() []Doc[T] {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := []Doc[T]{}
	for _, d := range m.docs {
		out = append(out, m.read(d))
	}
	return out
}

func (m *memory[T]) Create(_ context.Context, key string, v T) (uint64, error) {
	return m.put(key, v, 0)
}

func (m *memory[T]) Update(_ context.Context, key string, v T, rev uint64) (uint64, error) {
	return m.put(key, v, rev)
}

func (m *memory[T]) put(key string, v T, rev uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs[key].Rev != rev {
		return 0, schema.Errorf(schema.Conflict, "somebody was first")
	}
	if m.docs == nil {
		m.docs = map[string]Doc[[]byte]{}
	}
	m.rev++
	b, err := json.Marshal(v)
	m.docs[key] = Doc[[]byte]{key, m.rev, b}
	return m.rev, err
}

func (m *memory[T]) Delete(_ context.Context, key string, rev uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs[key].Rev != rev {
		return schema.Errorf(schema.Conflict, "somebody was first")
	}
	delete(m.docs, key)
	return nil
}

// reversed is a sealer whose seal shows, so that a test can see it.
type reversed struct{}

func (reversed) Seal(p []byte) ([]byte, error) {
	b := slices.Clone(p)
	slices.Reverse(b)
	return append([]byte("sealed:"), b...), nil
}

func (reversed) Open(s []byte) ([]byte, error) {
	b, ok := bytes.CutPrefix(slices.Clone(s), []byte("sealed:"))
	if !ok {
		return nil, schema.Errorf(schema.Internal, "not sealed")
	}
	slices.Reverse(b)
	return b, nil
}

type world struct {
	*Registry
	variables  *Kind[schema.VariableConfig]
	servers    *Kind[schema.ServerConfig]
	repos      *Kind[schema.RepoConfig]
	stacks     *Kind[schema.StackConfig]
	procedures *Kind[schema.ProcedureConfig]
	raw        *memory[schema.Resource[schema.VariableConfig]]
}

func newWorld() *world {
	g := NewRegistry(reversed{}, time.Now)
	raw := &memory[schema.Resource[schema.VariableConfig]]{}
	return &world{
		Registry: g, raw: raw,
		variables:  Register(g, "variable", raw, schema.DefaultVariable, Named(schema.VariableName), Flat()),
		servers:    Register(g, "server", &memory[schema.Resource[schema.ServerConfig]]{}, schema.DefaultServer),
		repos:      Register(g, "repo", &memory[schema.Resource[schema.RepoConfig]]{}, schema.DefaultRepo, Named(schema.RepoName)),
		stacks:     Register(g, "stack", &memory[schema.Resource[schema.StackConfig]]{}, schema.DefaultStack, Named(schema.StackName)),
		procedures: Register(g, "procedure", &memory[schema.Resource[schema.ProcedureConfig]]{}, schema.DefaultProcedure),
	}
}

// plan is a plan without mistakes.
func (w *world) plan(t *testing.T, text string) Plan {
	t.Helper()
	p, err := w.Plan(t.Context(), []File{{"x.toml", text}})
	if err == nil {
		err = p.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) apply(t *testing.T, text string) {
	t.Helper()
	if err := w.Apply(t.Context(), w.plan(t, text)); err != nil {
		t.Fatal(err)
	}
	if again := w.plan(t, text); !again.Empty() {
		t.Errorf("the plan after applying is not empty: %+v", again.Changes)
	}
}

// want fails the test unless err has the code and its text holds all parts.
func want(t *testing.T, err error, code schema.Code, parts ...string) {
	t.Helper()
	if schema.CodeOf(err) != code {
		t.Errorf("have %v (%s), want %s", err, schema.CodeOf(err), code)
		return
	}
	for _, p := range parts {
		if !strings.Contains(schema.SafeText(err), p) {
			t.Errorf("%q lacks %q", schema.SafeText(err), p)
		}
	}
}
