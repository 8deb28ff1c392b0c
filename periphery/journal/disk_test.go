package journal

import (
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

// A disk that is full for a while fails what came then and nothing else.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	j := openAt(t, dir)
	must(t, j.Start("a", 1, nil))
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(j.size) + 9, Max: old.Max}))
	err := j.Start("b", 2, nil)
	derr := j.Done("a", []byte("x"))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old))
	wantCode(t, err, schema.Failed)
	wantCode(t, derr, schema.Failed)
	if j.Seen("b") || len(j.Unreported()) != 0 {
		t.Error("it counts although it is not on disk")
	}
	must(t, j.Start("b", 3, nil), j.Done("a", []byte("x")), j.Close())
	j = openAt(t, dir)
	if diff := cmp.Diff([]string{"b"}, ids(j.Unfinished())); diff != "" {
		t.Error(diff)
	}
	must(t, j.Close())
}

// A disk that fails for good makes the journal refuse everything.
func TestDiskBroken(t *testing.T) {
	j := openAt(t, t.TempDir())
	must(t, j.Start("a", 1, nil))
	file := j.file
	closed, err := os.Open(file.Name())
	must(t, err)
	must(t, closed.Close())
	j.file = closed
	for range 2 {
		wantCode(t, j.Start("b", 1, nil), schema.Failed)
		wantCode(t, j.Done("a", nil), schema.Failed)
	}
	if j.Seen("b") || !j.Seen("a") {
		t.Error("entries changed")
	}
	j.file = file
	must(t, j.Close())
}
