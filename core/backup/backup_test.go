package backup_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"berth/bus"
	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/core/backup"
	"berth/schema"
)

func TestNoStreamOrBucketIsForgotten(t *testing.T) {
	var want []string
	want = append(want, allNames(t, "Stream")...)
	for _, b := range allNames(t, "Bucket") {
		want = append(want, "KV_"+b)
	}
	have := backup.Named()
	for _, name := range want {
		if !slices.Contains(have, name) {
			t.Errorf("%s is in bus/names.go and not in the table of core/backup: say there whether a backup holds it", name)
		}
	}
	for _, name := range have {
		if !slices.Contains(want, name) {
			t.Errorf("%s is in the table of core/backup and not in bus/names.go", name)
		}
	}
}

// Several writers write one number after another, each round robin over all
// buckets. What a backup holds is of one moment only if each writer's numbers in it
// are the newest ones up to some number, without a gap.
func TestABackupDuringLoadIsOfOneMoment(t *testing.T) {
	w := newWorld(t)
	buckets := included(t)
	var kvs []jetstream.KeyValue
	for _, name := range buckets {
		kvs = append(kvs, w.bucket(t, name))
	}
	for i := range 500 { // something to read
		if _, err := kvs[i%len(kvs)].Put(t.Context(), fmt.Sprintf("ballast.%d", i), bytes.Repeat([]byte(canary), 400)); err != nil {
			t.Fatal(err)
		}
	}
	const writers = 4
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var rounds [writers]int
	warm := make(chan struct{}, writers)
	for n := range writers {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := kvs[i%len(kvs)].Put(context.WithoutCancel(ctx), fmt.Sprintf("writer.%d", n), []byte(strconv.Itoa(i))); err != nil {
					t.Errorf("writer %d: %v", n, err)
					return
				}
				if rounds[n] = i; i == 3*len(kvs) {
					warm <- struct{}{}
				}
				if i%7 == 0 { // and the log of runs grows
					_, err := w.bus.Core.JetStream().Publish(context.WithoutCancel(ctx), fmt.Sprintf("run.%d-%d", n, i), []byte("{}"))
					if err != nil {
						t.Errorf("append: %v", err)
					}
				}
			}
		})
	}
	for range writers {
		<-warm
	}
	id := identity(t)
	path, m := w.write(t, id.Recipient())
	cancel()
	wg.Wait()
	t.Logf("%d bytes of %d parts; the writers reached %v", m.Bytes(), len(m.Parts), rounds)

	data := filepath.Join(t.TempDir(), "data")
	if _, err := backup.Restore(t.Context(), path, data, []age.Identity{id}, bustest.Log(t)); err != nil {
		t.Fatal(err)
	}
	restored := bustest.Open(t, hub.Options{Dir: filepath.Join(data, "core", "bus"), Sync: time.Minute})
	for n := range writers {
		var got []int
		for _, name := range buckets {
			kv, err := restored.Core.JetStream().KeyValue(t.Context(), name)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			e, err := kv.Get(t.Context(), fmt.Sprintf("writer.%d", n))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			i, _ := strconv.Atoi(string(e.Value()))
			got = append(got, i)
		}
		slices.Sort(got)
		for i := range got {
			if got[i] != got[0]+i {
				t.Fatalf("writer %d: the buckets are of different moments: %v", n, got)
			}
		}
		// The log ends where the buckets do.
		last := got[len(got)-1]
		for i := last - 20; i <= rounds[n]; i++ {
			if i < 0 || i%7 != 0 {
				continue
			}
			s, err := restored.Core.JetStream().Stream(t.Context(), bus.StreamRuns)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.GetLastMsgForSubject(t.Context(), fmt.Sprintf("run.%d-%d", n, i))
			if there := err == nil; there != (i < last) && i != last {
				t.Errorf("writer %d: its log entry %d is there: %v; its newest number in the buckets is %d", n, i, there, last)
			}
		}
	}
}

func TestARestoredStoreIsTheSame(t *testing.T) {
	w := newWorld(t)
	for _, name := range included(t) {
		kv := w.bucket(t, name)
		for i := range 40 {
			if _, err := kv.Put(t.Context(), fmt.Sprintf("key.%d", i%10), []byte(fmt.Sprint(canary, i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := kv.Purge(t.Context(), "key.3"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		if _, err := w.bus.Core.JetStream().Publish(t.Context(), fmt.Sprintf("run.%d", i%3), []byte(canary)); err != nil {
			t.Fatal(err)
		}
	}
	id := identity(t)
	path, m := w.write(t, id.Recipient())
	sealed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte(canary)) || bytes.Contains(sealed, []byte(bus.BucketUsers)) {
		t.Error("the file holds something in clear")
	}
	want := contents(t, w.bus)
	key := w.bus.Hub.PublicKey()

	data := t.TempDir()
	got, err := backup.Restore(t.Context(), path, data, []age.Identity{id}, bustest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got, cmp.Comparer(bytes.Equal)); diff != "" {
		t.Errorf("the manifests differ: %s", diff)
	}
	restored := bustest.Open(t, hub.Options{Dir: filepath.Join(data, "core", "bus"), Sync: time.Minute})
	if diff := cmp.Diff(want, contents(t, restored)); diff != "" {
		t.Errorf("the stores differ (-want +got): %s", diff)
	}
	if restored.Hub.PublicKey() != key {
		t.Error("core has another identity")
	}
	for name, text := range map[string]string{"core/age.key": canary + " age", "core/sub/other": canary, backup.SettingsFile: "title = \"" + canary + "\"\n"} {
		b, err := os.ReadFile(filepath.Join(data, name))
		if err != nil || string(b) != text {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		if st, err := os.Stat(filepath.Join(data, name)); err == nil && st.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", name, st.Mode())
		}
	}
	for _, name := range []string{"core/lock", "core/repos", ".restoring"} {
		if _, err := os.Stat(filepath.Join(data, name)); err == nil {
			t.Errorf("%s was restored", name)
		}
	}
	st, err := restored.Core.JetStream().Stream(t.Context(), bus.StreamRuns)
	if err != nil || !st.CachedInfo().Config.DenyDelete {
		t.Errorf("the log of runs is not closed against deletion again: %v", err)
	}
}

func TestWhatIsNotWholeIsRefusedAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	kv := w.bucket(t, bus.BucketUsers)
	for i := range 300 {
		noise := make([]byte, 1000)
		_, _ = rand.Read(noise) // never fails
		if _, err := kv.Put(t.Context(), fmt.Sprintf("key.%d", i), noise); err != nil {
			t.Fatal(err)
		}
	}
	id := identity(t)
	path, _ := w.write(t, id.Recipient())
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := func(at int) []byte {
		c := bytes.Clone(whole)
		c[at] ^= 1
		return c
	}
	const damaged, cannot, none = "cut off or damaged", "does not open this backup", "no backup"
	for _, tc := range []struct {
		name string
		data []byte
		id   *age.X25519Identity
		word string
	}{
		{"cut in the middle", whole[:len(whole)/2], id, damaged},
		{"cut at a chunk's end", whole[:len(whole)-len(whole)%65552], id, damaged},
		{"the last byte is missing", whole[:len(whole)-1], id, damaged},
		{"a bit in the middle", flipped(len(whole) / 2), id, damaged},
		{"a bit at the end", flipped(len(whole) - 20), id, damaged},
		{"a bit in the header", flipped(60), id, none},
		{"wrong key", whole, identity(t), cannot},
		{"not a backup", []byte("hello"), id, none},
		{"empty", nil, id, none},
		{"something behind it", append(bytes.Clone(whole), 'x'), id, damaged},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "backup")
			if err := os.WriteFile(file, tc.data, 0o600); err != nil {
				t.Fatal(err)
			}
			data := t.TempDir()
			_, err := backup.Restore(t.Context(), file, data, []age.Identity{tc.id}, bustest.Log(t))
			if schema.CodeOf(err) != schema.Invalid || !strings.Contains(schema.SafeText(err), tc.word) && tc.name != "a bit in the header" {
				t.Errorf("code %s: %v", schema.CodeOf(err), schema.SafeText(err))
			}
			if got := tree(t, data); len(got) != 0 {
				t.Errorf("the folder was changed: %v", got)
			}
		})
	}
	t.Run("a folder that is not empty", func(t *testing.T) {
		data := t.TempDir()
		if err := os.WriteFile(filepath.Join(data, "mine"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := backup.Restore(t.Context(), path, data, []age.Identity{id}, bustest.Log(t))
		if schema.CodeOf(err) != schema.Conflict || !strings.Contains(schema.SafeText(err), "not empty (it holds mine)") {
			t.Errorf("%v", err)
		}
		if got := tree(t, data); !slices.Equal(got, []string{"mine"}) {
			t.Errorf("the folder was changed: %v", got)
		}
	})
}

func TestAPassphraseIsPutOnByWhoTakesTheBackup(t *testing.T) {
	w := newWorld(t)
	id := identity(t)
	path, m := w.write(t, id.Recipient())
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scrypt, err := age.NewScryptRecipient("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	scrypt.SetWorkFactor(10)
	var sealed bytes.Buffer
	got, err := backup.Reseal(&sealed, f, []age.Identity{id}, []age.Recipient{scrypt})
	if err != nil || got.Created != m.Created {
		t.Fatal(err)
	}
	for pass, code := range map[string]schema.Code{"correct horse": "", "wrong": schema.Invalid} {
		ids, err := backup.Identities(nil, pass)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := backup.Verify(bytes.NewReader(sealed.Bytes()), ids); schema.CodeOf(err) != code {
			t.Errorf("%q: %v", pass, err)
		}
	}
}

func TestWhoMayOpenABackup(t *testing.T) {
	id := identity(t)
	for _, tc := range []struct {
		to   []string
		pass string
		word string
	}{
		{nil, "", "nobody could open"},
		{[]string{id.Recipient().String()}, "x", "not by both"},
		{[]string{id.String()}, "", "private key"},
		{[]string{"age1nonsense"}, "", "must be an age recipient"},
	} {
		_, err := backup.Recipients(tc.to, tc.pass)
		if schema.CodeOf(err) != schema.Invalid || !strings.Contains(schema.SafeText(err), tc.word) {
			t.Errorf("%v: %v", tc.word, err)
		}
		if err != nil && strings.Contains(err.Error(), id.String()) {
			t.Error("the error holds the private key")
		}
	}
}

// What lies beside core's own folder and belongs to a backup comes back to its place.
func TestFilesBeside(t *testing.T) {
	w := newWorld(t)
	key := filepath.Join(t.TempDir(), "digest.key")
	if err := os.WriteFile(key, []byte(canary+" digest"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.source.Beside = map[string]string{"periphery/digest.key": key, "periphery/none": key + ".none"}
	id := identity(t)
	file, _ := w.write(t, id.Recipient())
	data := filepath.Join(t.TempDir(), "data")
	if _, err := backup.Restore(t.Context(), file, data, []age.Identity{id}, bustest.Log(t)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(data, "periphery", "digest.key")); err != nil || string(got) != canary+" digest" {
		t.Errorf("%q, %v", got, err)
	}
	if got := tree(t, filepath.Join(data, "periphery")); len(got) != 1 {
		t.Errorf("%v", got)
	}
}
