package host

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"

	"berth/schema"
)

func TestSample(t *testing.T) {
	s := NewSampler(15 * time.Second)
	if s.Last() != nil {
		t.Error("there was no sample yet")
	}
	first := s.Sample(t.Context())
	if first.CPU != 0 || first.NetIn != 0 {
		t.Errorf("the first has nothing to compare with: %+v", first)
	}
	for until := time.Now().Add(50 * time.Millisecond); time.Now().Before(until); { // the processor has something to do
		_ = math.Sqrt(float64(time.Now().UnixNano()))
	}
	got := s.Sample(t.Context())
	switch {
	case got.CPU <= 0 || got.CPU > 100, got.MemTotal <= 0 || got.MemUsed <= 0 || got.MemUsed > got.MemTotal, got.MemFree <= 0:
		t.Errorf("%+v", got)
	case len(got.Disks) == 0 || got.Disks[0].Total <= 0 || got.Disks[0].Used > got.Disks[0].Total:
		t.Errorf("%+v", got.Disks)
	case got.Rate != "15-sec" || time.Since(time.UnixMilli(got.At)) > time.Minute || s.Last() == nil || s.Last().At != got.At:
		t.Errorf("%+v", got)
	}
}

func TestInfo(t *testing.T) {
	i := Info(t.Context())
	if i.Kernel == nil || i.Hostname == nil || i.Logical == nil || *i.Logical < 1 || i.Arch == "" || i.Name == nil {
		t.Errorf("%+v", i)
	}
}

func TestProcesses(t *testing.T) {
	s := NewSampler(time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // this process is the busiest, or nearly
		for ctx.Err() == nil {
			_ = math.Sqrt(2)
		}
	}()
	list, err := s.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var own *schema.HostProcess
	for i := range list {
		if list[i].PID == os.Getpid() {
			own = &list[i]
		}
	}
	if own == nil || own.CPU < 5 || own.Mem <= 0 || len(own.Cmd) == 0 || own.Exe == "" || time.Since(time.Unix(int64(own.Started), 0)) > time.Hour {
		t.Errorf("%+v", own)
	}
}

func TestBusy(t *testing.T) {
	a, b := cpu.TimesStat{User: 10, Idle: 90}, cpu.TimesStat{User: 13, System: 2, Idle: 100, Iowait: 5}
	if got := busy(a, b); got != 25 {
		t.Errorf("%v, want 25: waiting for disks is no work", got)
	}
	if got := busy(b, b); got != 0 {
		t.Errorf("%v in no time", got)
	}
}

func TestARC(t *testing.T) {
	path := filepath.Join(t.TempDir(), "arcstats")
	if err := os.WriteFile(path, []byte("13 1 0x01\nname type data\nhits 4 11\nsize 4 2147483648\nc_max 4 9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := zfsARC(path); got != 2<<30 {
		t.Error(got)
	}
	if got := zfsARC(path + "none"); got != 0 {
		t.Error(got)
	}
}

func TestInner(t *testing.T) {
	for name, want := range map[string]bool{"lo": true, "docker0": true, "veth12ab": true, "br-0123": true, "eth0": false, "enp3s0": false, "lowpan0": false, "wg0": false} {
		if inner(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func BenchmarkSample(b *testing.B) {
	s := NewSampler(time.Second)
	for b.Loop() {
		s.Sample(b.Context())
	}
}
