package journal

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

func openAt(t testing.TB, dir string) *Journal {
	t.Helper()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func ids(list []Entry) (out []string) {
	for _, e := range list {
		out = append(out, e.ID)
	}
	return out
}

func wantCode(t *testing.T, err error, code schema.Code) {
	t.Helper()
	if schema.CodeOf(err) != code {
		t.Errorf("%v, want code %s", err, code)
	}
}

func TestLifeOfACommand(t *testing.T) {
	dir := t.TempDir()
	j := openAt(t, dir)
	if j.Seen("a") {
		t.Error("seen before it came")
	}
	meta := json.RawMessage(`{"verb":"stack.up"}`)
	must(t, j.Start("a", 7, meta), j.Start("b", 8, nil), j.Start("c", 9, nil))
	wantCode(t, j.Start("a", 10, nil), schema.Conflict)
	wantCode(t, j.Start("bad", 1, json.RawMessage("{")), schema.Internal)
	wantCode(t, j.Done("x", nil), schema.NotFound)
	wantCode(t, j.Reported("x"), schema.NotFound)
	wantCode(t, j.Reported("a"), schema.Conflict)
	must(t, j.Done("b", []byte("result\x00b")), j.Done("c", nil))
	wantCode(t, j.Done("b", nil), schema.Conflict)
	must(t, j.Reported("c"), j.Reported("c"))

	check := func() {
		t.Helper()
		open := j.Unfinished()
		if len(open) != 1 || open[0].ID != "a" || open[0].Fence != 7 || string(open[0].Meta) != string(meta) || open[0].Started.IsZero() {
			t.Errorf("unfinished: %+v", open)
		}
		told := j.Unreported()
		if len(told) != 1 || told[0].ID != "b" || string(told[0].Result) != "result\x00b" {
			t.Errorf("unreported: %+v", told)
		}
		if !j.Seen("a") || !j.Seen("b") || !j.Seen("c") {
			t.Error("forgotten")
		}
	}
	for range 3 {
		check()
		must(t, j.Close())
		j = openAt(t, dir)
	}
	must(t, j.Done("a", []byte("late")), j.Reported("a"), j.Reported("b"))
	if n := len(j.Unfinished()) + len(j.Unreported()); n != 0 {
		t.Error(n)
	}
	must(t, j.Close())
	wantCode(t, j.Start("z", 1, nil), schema.Unavailable)
}

func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	j := openAt(t, dir)
	_, err := Open(dir)
	wantCode(t, err, schema.Conflict)
	must(t, j.Close())
	must(t, openAt(t, dir).Close())
	_, err = Open(filepath.Join(dir, "none"))
	wantCode(t, err, schema.Failed)
}

// The file of three commands, cut within its last record at every byte: what was
// confirmed before it is there, the journal goes on, and the cut leaves no trace.
func TestTornEnd(t *testing.T) {
	dir := t.TempDir()
	j := openAt(t, dir)
	must(t, j.Start("a", 1, nil), j.Done("a", []byte("ra")), j.Start("b", 2, nil))
	before := j.size
	must(t, j.Start("c", 3, json.RawMessage(`"meta of c"`)))
	must(t, j.Close())
	data, err := os.ReadFile(filepath.Join(dir, fileName))
	must(t, err)
	for cut := before; cut < int64(len(data)); cut++ {
		for _, fill := range []string{"", "zeros", "zero line"} {
			torn := append([]byte{}, data[:cut]...)
			if fill != "" {
				torn = append(torn, make([]byte, int64(len(data))-cut)...)
			}
			if fill == "zero line" {
				torn[len(torn)-1] = '\n'
			}
			dir := t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, fileName), torn, 0o600))
			whole := cut == int64(len(data))-1 && fill == "zero line"
			j := openAt(t, dir)
			if !j.Seen("a") || !j.Seen("b") || j.Seen("c") != whole {
				t.Fatalf("cut at %d %s", cut, fill)
			}
			if !whole {
				must(t, j.Start("c", 4, nil))
			}
			must(t, j.Close())
			j = openAt(t, dir)
			if diff := cmp.Diff([]string{"b", "c"}, ids(j.Unfinished())); diff != "" {
				t.Fatal(diff)
			}
			must(t, j.Close())
		}
	}
}

// Any changed byte before the last record is refused, and the file kept.
func TestDamagedMiddle(t *testing.T) {
	dir := t.TempDir()
	j := openAt(t, dir)
	must(t, j.Start("a", 1, nil), j.Done("a", []byte("ra")))
	before := j.size
	must(t, j.Start("b", 2, nil), j.Close())
	data, err := os.ReadFile(filepath.Join(dir, fileName))
	must(t, err)
	for at := range before {
		bad := append([]byte{}, data...)
		bad[at] ^= 0x21
		name := filepath.Join(t.TempDir(), fileName)
		must(t, os.WriteFile(name, bad, 0o600))
		for range 2 {
			_, err := Open(filepath.Dir(name))
			wantCode(t, err, schema.Invalid)
			if text := schema.SafeText(err); !strings.Contains(text, name) || !strings.Contains(text, "line ") || !strings.Contains(text, "remove") {
				t.Fatal(text)
			}
		}
		aside, err := filepath.Glob(name + ".damaged-*")
		must(t, err)
		kept, err := os.ReadFile(name)
		must(t, err)
		if len(aside) != 1 || string(kept) != string(bad) {
			t.Fatal(aside)
		}
	}
	// Whole lines in an order that cannot be.
	lines := strings.SplitAfter(string(data), "\n")
	must(t, os.WriteFile(filepath.Join(dir, fileName), []byte(lines[1]+lines[0]+lines[2]), 0o600))
	_, err = Open(dir)
	wantCode(t, err, schema.Invalid)
}

func TestCompact(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	clock := func() time.Time { return now }
	j, err := open(dir, clock, 2000)
	must(t, err)
	big := []byte(strings.Repeat("x", 500))
	must(t, j.Start("open", 1, nil), j.Start("untold", 2, nil), j.Done("untold", big))
	largest := int64(0)
	for i := range 100 {
		id := fmt.Sprint("c", i)
		must(t, j.Start(id, 3, nil), j.Done(id, big), j.Reported(id))
		largest = max(largest, j.size)
		now = now.Add(24 * time.Hour)
	}
	if largest > 8000 {
		t.Errorf("the file grew to %d bytes", largest)
	}
	check := func() {
		t.Helper()
		if j.Seen("c50") || !j.Seen("c95") || !j.Seen("open") || !j.Seen("untold") {
			t.Error("wrong ones are remembered")
		}
		if diff := cmp.Diff([]string{"open"}, ids(j.Unfinished())); diff != "" {
			t.Error(diff)
		}
		if told := j.Unreported(); len(told) != 1 || string(told[0].Result) != string(big) {
			t.Error(told)
		}
	}
	check()
	must(t, j.Close())
	j, err = open(dir, clock, 2000)
	must(t, err)
	check()
	must(t, j.Close())
	now = now.Add(8 * 24 * time.Hour)
	j, err = open(dir, clock, 2000)
	must(t, err)
	if j.Seen("c99") || !j.Seen("open") {
		t.Error("wrong ones are remembered after a week")
	}
	must(t, j.Close())
}

// Many at once share writes; each id starts once.
func TestConcurrent(t *testing.T) {
	dir := t.TempDir()
	j, err := open(dir, time.Now, 4000)
	must(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := map[string]int{}
	for g := range 16 {
		wg.Go(func() {
			for i := range 30 {
				id := fmt.Sprint(i)
				if err := j.Start(id, uint64(g), nil); err == nil {
					mu.Lock()
					won[id]++
					mu.Unlock()
					if err := j.Done(id, []byte(id)); err != nil {
						t.Error(err)
					}
					if err := j.Reported(id); i%2 == 0 && err != nil {
						t.Error(err)
					}
				} else if schema.CodeOf(err) != schema.Conflict {
					t.Error(err)
				}
				j.Seen(id)
				j.Unreported()
				own := fmt.Sprintf("%d/%d", g, i)
				if err := j.Start(own, 1, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(won) != 30 {
		t.Error(won)
	}
	for id, n := range won {
		if n != 1 {
			t.Errorf("%s started %d times", id, n)
		}
	}
	open := ids(j.Unfinished())
	must(t, j.Close())
	j = openAt(t, dir)
	if diff := cmp.Diff(open, ids(j.Unfinished())); diff != "" || len(open) != 16*30 {
		t.Error(len(open), diff)
	}
	must(t, j.Close())
}

func FuzzOpen(f *testing.F) {
	line, err := encode([]record{{Type: typeStart, ID: "a", At: 1}, {Type: typeDone, ID: "a", Result: []byte("r")}})
	must(f, err)
	f.Add(line)
	f.Add([]byte("00000000 []\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, fileName), data, 0o600))
		j, err := Open(dir)
		if err != nil {
			wantCode(t, err, schema.Invalid)
			return
		}
		if !j.Seen("new") {
			must(t, j.Start("new", 1, nil))
		}
		open, told := j.Unfinished(), j.Unreported()
		must(t, j.Close())
		j = openAt(t, dir)
		if diff := cmp.Diff(ids(open), ids(j.Unfinished())); diff != "" || !j.Seen("new") || len(told) != len(j.Unreported()) {
			t.Error(diff)
		}
		must(t, j.Close())
	})
}

// Random commands against a model, with reopens between.
func FuzzModel(f *testing.F) {
	f.Add([]byte{0, 1, 4, 8, 200, 0, 5, 9})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 60 {
			return
		}
		dir := t.TempDir()
		j, err := open(dir, time.Now, 300)
		must(t, err)
		state := map[string]int{}
		for _, op := range ops {
			id := fmt.Sprint(op >> 2 & 3)
			switch was := state[id]; op & 3 {
			case 0:
				if ok := j.Start(id, uint64(op), nil) == nil; ok != (was == 0) {
					t.Fatal("start", was)
				}
				state[id] = max(was, 1)
			case 1:
				if ok := j.Done(id, []byte{op}) == nil; ok != (was == 1) {
					t.Fatal("done", was)
				} else if ok {
					state[id] = 2
				}
			case 2:
				if ok := j.Reported(id) == nil; ok != (was >= 2) {
					t.Fatal("reported", was)
				} else if ok {
					state[id] = 3
				}
			case 3:
				must(t, j.Close())
				j, err = open(dir, time.Now, 300)
				must(t, err)
			}
			count := map[int]int{}
			for id, s := range state {
				count[s]++
				if j.Seen(id) != (s > 0) {
					t.Fatal("seen", id, s)
				}
			}
			if len(j.Unfinished()) != count[1] || len(j.Unreported()) != count[2] {
				t.Fatal(state)
			}
		}
		must(t, j.Close())
	})
}

func BenchmarkStart(b *testing.B) {
	j := openAt(b, b.TempDir())
	n := 0
	for b.Loop() {
		n++
		must(b, j.Start(fmt.Sprint(n), 1, nil))
	}
	must(b, j.Close())
}

func BenchmarkStartParallel(b *testing.B) {
	j := openAt(b, b.TempDir())
	var mu sync.Mutex
	n := 0
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			n++
			id := fmt.Sprint(n)
			mu.Unlock()
			must(b, j.Start(id, 1, nil))
		}
	})
	must(b, j.Close())
}
