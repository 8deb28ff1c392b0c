package store_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/core/store"
	"berth/schema"
)

// BenchmarkSyncedWrite is the floor: one small write and fsync on this disk.
func BenchmarkSyncedWrite(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, 512)
	for b.Loop() {
		if _, err := f.Write(data); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// synced is a hub as core runs it.
func synced(b *testing.B) *bustest.Bus {
	return bustest.Open(b, hub.Options{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
}

// BenchmarkPublish is one synced publish with ack, without anything of ours.
func BenchmarkPublish(b *testing.B) {
	bus := synced(b)
	js := bus.Core.JetStream()
	data := make([]byte, 512)
	for b.Loop() {
		if _, err := js.Publish(b.Context(), "run.r", data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	bus := synced(b)
	var last uint64
	ev := schema.Event{V: 1, N: 1, Type: schema.RunNoted, Note: string(make([]byte, 100))}
	for b.Loop() {
		var err error
		if last, err = bus.Core.Append(b.Context(), "r", last, ev); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBucketPut(b *testing.B) {
	k := open[doc](b, synced(b), "THINGS", store.Options{})
	for b.Loop() {
		if _, err := k.Put(b.Context(), "a", doc{Name: "web"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBucketGet(b *testing.B) {
	k := open[doc](b, synced(b), "THINGS", store.Options{})
	if _, err := k.Put(b.Context(), "a", doc{Name: "web"}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := k.Get("a"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLeaseRenew(b *testing.B) {
	bus := synced(b)
	l, err := store.OpenLeases(b.Context(), bus.Core, 1)
	if err != nil {
		b.Fatal(err)
	}
	h, err := l.Acquire(b.Context(), "k", "c", 1e10)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := l.Renew(b.Context(), "k", h.Fence, 1e10); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStart is a hub on an empty folder, with its streams.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		synced(b).Hub.Close()
	}
}
