package hub

import (
	"io/fs"
	"log/slog"
	"strings"
	"syscall"
	"testing"
)

func TestFullDiskIsTold(t *testing.T) {
	l := &serverLog{log: slog.New(slog.DiscardHandler), lost: make(chan error, 1)}
	l.Errorf("Filestore [RUNS] Slow: %v", "nothing")
	if len(l.lost) != 0 {
		t.Fatal("any error ends the store")
	}
	for range 3 {
		l.Errorf("JetStream stream 'FLEET > RUNS' critical write error: %v", &fs.PathError{Op: "write", Path: "/secret/place", Err: syscall.ENOSPC})
	}
	if err := <-l.lost; !strings.Contains(err.Error(), "no space left on device") || strings.Contains(err.Error(), "/secret") {
		t.Fatal(err)
	}
}
