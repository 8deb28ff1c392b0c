package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/bus"
	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/core/store"
	"berth/schema"
)

type doc struct {
	Name string            `json:"name"`
	Tags map[string]string `json:"tags,omitempty"`
}

func open[T any](t testing.TB, b *bustest.Bus, name string, o store.Options) *store.Bucket[T] {
	t.Helper()
	o.Log = bustest.Log(t)
	k, err := store.Open[T](t.Context(), b.Core, name, o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestBucketReadsItsWrites(t *testing.T) {
	b, ctx := bustest.New(t), t.Context()
	k := open[doc](t, b, "THINGS", store.Options{})
	tags := map[string]string{"a": "1"}
	d, err := k.Create(ctx, "stack/1", doc{Name: "web", Tags: tags})
	if err != nil {
		t.Fatal(err)
	}
	tags["a"] = "changed by the caller"
	if got, err := k.Get("stack/1"); err != nil || got.Rev != d.Rev || got.Value.Tags["a"] != "1" {
		t.Errorf("get after create: %+v, %v", got, err)
	}
	if _, err := k.Create(ctx, "stack/1", doc{}); schema.CodeOf(err) != schema.Conflict {
		t.Errorf("create twice: %v", err)
	}
	d2, err := k.Update(ctx, "stack/1", doc{Name: "web2"}, d.Rev)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Update(ctx, "stack/1", doc{Name: "late"}, d.Rev); schema.CodeOf(err) != schema.Conflict {
		t.Errorf("update of an old revision: %v", err)
	}
	if err := k.Delete(ctx, "stack/1", d.Rev); schema.CodeOf(err) != schema.Conflict {
		t.Errorf("delete of an old revision: %v", err)
	}
	if err := k.Delete(ctx, "stack/1", d2.Rev); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Get("stack/1"); schema.CodeOf(err) != schema.NotFound {
		t.Errorf("get after delete: %v", err)
	}
	if _, err := k.Create(ctx, "stack/1", doc{Name: "again"}); err != nil {
		t.Errorf("create after delete: %v", err)
	}
	for _, key := range []string{"", "a b", "a.*", ">", ".a", "a..b", "a.", "ä", strings.Repeat("x", 300)} {
		if _, err := k.Put(ctx, key, doc{}); schema.CodeOf(err) != schema.Invalid {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

func TestBucketsOfTwoCoresStayEqual(t *testing.T) {
	b, ctx := bustest.New(t), t.Context()
	one, two := open[doc](t, b, "THINGS", store.Options{}), open[doc](t, b, "THINGS", store.Options{})
	var wg sync.WaitGroup
	for w, k := range []*store.Bucket[doc]{one, two} {
		wg.Go(func() {
			for i := range 50 {
				key := fmt.Sprintf("k%d", i%10)
				switch i % 5 {
				case 4:
					_ = k.Delete(ctx, key, 0)
				default:
					_, _ = k.Put(ctx, key, doc{Name: fmt.Sprint(w, i)})
				}
			}
		})
	}
	wg.Wait()
	bustest.Eventually(t, 20*time.Second, "both mirrors hold the same", func() bool { return cmp.Equal(one.List(""), two.List("")) })
	three := open[doc](t, b, "THINGS", store.Options{})
	if diff := cmp.Diff(three.List(""), one.List("")); diff != "" {
		t.Errorf("a mirror read anew differs: %s", diff)
	}
}

func TestBucketWatchAndEdit(t *testing.T) {
	b, ctx := bustest.New(t), t.Context()
	k := open[doc](t, b, "THINGS", store.Options{})
	other := open[doc](t, b, "THINGS", store.Options{})
	if _, err := k.Put(ctx, "a", doc{}); err != nil {
		t.Fatal(err)
	}
	var seen, last atomic.Int64
	stop := k.Watch(func(ch store.Change[doc]) {
		_ = k.Has(ch.Doc.Key) // reading from a watcher is allowed
		seen.Add(1)
		last.Store(int64(len(ch.Doc.Value.Name)))
	})
	defer stop()
	var wg sync.WaitGroup
	for _, k := range []*store.Bucket[doc]{k, other} {
		wg.Go(func() {
			for range 20 {
				bustest.Eventually(t, 20*time.Second, "the document is seen", func() bool { return k.Has("a") })
				if _, err := k.Edit(ctx, "a", func(v *doc) error { v.Name += "x"; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	bustest.Eventually(t, 20*time.Second, "the watcher saw the last edit", func() bool { return last.Load() == 40 })
}

func TestBucketTTL(t *testing.T) {
	b := bustest.New(t)
	k := open[doc](t, b, "SHORT", store.Options{TTL: time.Second})
	if _, err := k.Put(t.Context(), "a", doc{}); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, 20*time.Second, "the mirror forgets what expired", func() bool { return !k.Has("a") })
}

func TestCounterHasNoGaps(t *testing.T) {
	b, ctx := bustest.New(t), t.Context()
	var (
		mu   sync.Mutex
		seen = map[uint64]bool{}
		wg   sync.WaitGroup
	)
	for range 2 {
		c, err := store.OpenCounters(ctx, b.Core, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			wg.Go(func() {
				for range 10 {
					n, err := c.Next(ctx, "run")
					mu.Lock()
					if err != nil || seen[n] || n < 1 || n > 80 {
						t.Errorf("number %d: %v", n, err)
					}
					seen[n] = true
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	if len(seen) != 80 {
		t.Errorf("%d numbers, want 80", len(seen))
	}
}

func TestLease(t *testing.T) {
	b, ctx := bustest.New(t), t.Context()
	l, err := store.OpenLeases(ctx, b.Core, 1)
	if err != nil {
		t.Fatal(err)
	}
	one, err := l.Acquire(ctx, "stack/1", "c1", 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	held, err := l.Acquire(ctx, "stack/1", "c2", time.Second)
	if schema.CodeOf(err) != schema.Conflict || held != one {
		t.Errorf("a second holder: %+v, %v", held, err)
	}
	for range 2 {
		if err := l.Renew(ctx, "stack/1", one.Fence, 2*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if h, ok, err := l.Holder(ctx, "stack/1"); err != nil || !ok || h != one {
		t.Errorf("renewing changed the lease: %+v %v %v", h, ok, err)
	}
	again, err := l.Acquire(ctx, "stack/1", "c1", 2*time.Second)
	if err != nil || again.Fence <= one.Fence {
		t.Errorf("the same holder again: %+v, %v", again, err)
	}
	if err := l.Renew(ctx, "stack/1", one.Fence, time.Second); schema.CodeOf(err) != schema.Conflict {
		t.Errorf("renew under the old fence: %v", err)
	}
	if err := l.Release(ctx, "stack/1", one.Fence); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := l.Holder(ctx, "stack/1"); !ok {
		t.Error("releasing under the old fence freed the lease")
	}
	if err := l.Release(ctx, "stack/1", again.Fence); err != nil {
		t.Fatal(err)
	}
	two, err := l.Acquire(ctx, "stack/1", "c2", time.Second)
	if err != nil || two.Fence <= again.Fence {
		t.Fatalf("after the release: %+v, %v", two, err)
	}
	bustest.Eventually(t, 20*time.Second, "a lease that is not renewed ends", func() bool {
		h, err := l.Acquire(ctx, "stack/1", "c3", time.Second)
		return err == nil && h.Fence > two.Fence
	})
	if err := l.Renew(ctx, "stack/1", two.Fence, time.Second); schema.CodeOf(err) != schema.Conflict {
		t.Errorf("renew of a lost lease: %v", err)
	}
}

func TestLeaseHasOneWinner(t *testing.T) {
	b, ctx := bustest.New(t), t.Context()
	l, err := store.OpenLeases(ctx, b.Core, 1)
	if err != nil {
		t.Fatal(err)
	}
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if _, err := l.Acquire(ctx, "k", fmt.Sprint("c", i), time.Minute); err == nil {
				won.Add(1)
			} else if schema.CodeOf(err) != schema.Conflict {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d winners", won.Load())
	}
}

func TestSealer(t *testing.T) {
	dir := t.TempDir()
	s, err := store.OpenSealer(dir)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := s.Seal([]byte("hunter2"))
	if err != nil || strings.Contains(sealed, "hunter2") {
		t.Fatalf("sealed %q, %v", sealed, err)
	}
	again, err := store.OpenSealer(dir)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := again.Unseal(sealed); err != nil || string(plain) != "hunter2" {
		t.Errorf("unsealed %q, %v", plain, err)
	}
	other, err := store.OpenSealer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{sealed, "%%%", "aGVsbG8="} {
		if _, err := other.Unseal(text); schema.CodeOf(err) != schema.Invalid {
			t.Errorf("unseal %q: %v", text, err)
		}
	}
	path := filepath.Join(dir, "age.key")
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenSealer(dir); schema.CodeOf(err) != schema.Denied {
		t.Errorf("a key that others may read: %v", err)
	}
}

const server = "cccccccccccccccccccccccc"

func TestPrincipals(t *testing.T) {
	b, ctx := bustest.New(t), t.Context()
	p, err := store.OpenPrincipals(ctx, b.Core, store.Options{Log: bustest.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	token := func() bus.JoinToken {
		tok := bus.NewJoinToken(server, b.Hub.PublicKey(), nil)
		if err := p.NewToken(ctx, tok, "lxc-113", "admin"); err != nil {
			t.Fatal(err)
		}
		return tok
	}
	key := func() string { return bustest.Public(t, bustest.Seed(t)) }
	tok, first := token(), key()
	if pr, err := p.Redeem(ctx, tok.Hash(), first); err != nil || pr.ID != server {
		t.Fatalf("redeem: %+v, %v", pr, err)
	}
	if _, err := p.Redeem(ctx, tok.Hash(), key()); schema.CodeOf(err) != schema.Denied {
		t.Errorf("a used token: %v", err)
	}
	if _, err := p.Redeem(ctx, "unknown", key()); schema.CodeOf(err) != schema.Denied {
		t.Errorf("an unknown token: %v", err)
	}
	kicked := make(chan string, 10)
	stop := p.OnRevoked(func(nkey string) { kicked <- nkey })
	defer stop()
	second := key()
	if _, err := p.Redeem(ctx, token().Hash(), second); err != nil {
		t.Fatal(err)
	}
	if got := <-kicked; got != first {
		t.Errorf("kicked %s, want the server's old key", got)
	}
	if _, err := p.Redeem(ctx, token().Hash(), first); schema.CodeOf(err) != schema.Denied {
		t.Errorf("a revoked key with a fresh token: %v", err)
	}
	if err := p.RevokeID(ctx, hub.KindAgent, server, "deleted"); err != nil {
		t.Fatal(err)
	}
	if pr, ok := p.Lookup(second); !ok || !pr.Revoked {
		t.Errorf("%+v %v", pr, ok)
	}
}

func TestOneTokenLetsOneKeyIn(t *testing.T) {
	b, ctx := bustest.New(t), t.Context()
	tok := bus.NewJoinToken(server, b.Hub.PublicKey(), nil)
	var cores []*store.Principals
	for range 2 { // two cores, whose mirrors may be behind
		p, err := store.OpenPrincipals(ctx, b.Core, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		cores = append(cores, p)
	}
	if err := cores[0].NewToken(ctx, tok, "s", ""); err != nil {
		t.Fatal(err)
	}
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		nkey := bustest.Public(t, bustest.Seed(t))
		wg.Go(func() {
			if _, err := cores[i%2].Redeem(ctx, tok.Hash(), nkey); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d keys got in", won.Load())
	}
}

func TestExpiredToken(t *testing.T) {
	b, ctx := bustest.New(t), t.Context()
	p, err := store.OpenPrincipals(ctx, b.Core, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tok := bus.NewJoinToken(server, b.Hub.PublicKey(), nil)
	if err := p.NewToken(ctx, tok, "s", ""); err != nil {
		t.Fatal(err)
	}
	later := p.At(func() time.Time { return time.Now().Add(store.TokenLife) })
	if _, err := later.Redeem(ctx, tok.Hash(), bustest.Public(t, bustest.Seed(t))); schema.CodeOf(err) != schema.Denied {
		t.Errorf("an expired token: %v", err)
	}
}

var _ interface {
	Lookup(string) (hub.Principal, bool)
	Redeem(context.Context, string, string) (hub.Principal, error)
} = (*store.Principals)(nil)
