package history

import (
	"context"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/schema"
)

const server = "0123456789abcdef01234567"

// lab is a history with a clock of its own.
type lab struct {
	t   *testing.T
	bus *bustest.Bus
	h   *History
	now time.Time
	n   int
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, bus: bustest.New(t), now: time.Now().Add(-72 * time.Hour).Truncate(time.Hour)}
	if err := bus.Migrate(t.Context(), l.bus.Core, bus.MigrateOptions{}); err != nil {
		t.Fatal(err)
	}
	l.restart()
	return l
}

// restart forgets all that is in memory.
func (l *lab) restart() {
	l.h = New(l.bus.Core, func() time.Time { return l.now }, bustest.Log(l.t))
}

// run takes a sample every 15 seconds; the n-th has n%20 percent, so that every five
// minutes have a mean of 9.5.
func (l *lab) run(d time.Duration) {
	l.t.Helper()
	for end := l.now.Add(d); l.now.Before(end); l.now = l.now.Add(15 * time.Second) {
		st := schema.HostStats{HostUse: schema.HostUse{CPU: float64(l.n % 20), MemTotal: 8, MemUsed: 2, NetIn: 1000}, At: l.now.UnixMilli(), Disks: []schema.HostDisk{
			{Mount: "/", Type: "ext4", Used: 10.12345, Total: 100}, {Mount: "/data", Type: "zfs", Used: 20, Total: 200},
		}}
		l.n++
		for range 2 { // an agent says its last sample again with every status
			l.h.Take(server, &st)
		}
		for len(l.h.in) > 0 {
			if err := l.h.keep(l.t.Context(), <-l.h.in); err != nil {
				l.t.Fatal(err)
			}
		}
	}
}

func (l *lab) page(length string, page int) ([]schema.HostRecord, bool) {
	l.t.Helper()
	d, err := schema.ParseTimelength(length)
	if err != nil {
		l.t.Fatal(err)
	}
	list, more, err := l.h.Page(l.t.Context(), server, d, page)
	if err != nil {
		l.t.Fatal(err)
	}
	for i := 1; i < len(list); i++ {
		if list[i].At >= list[i-1].At {
			l.t.Fatalf("page %d of %s is not newest first: %d after %d", page, length, list[i].At, list[i-1].At)
		}
	}
	return list, more
}

func TestWhatCameAndWhatItMeans(t *testing.T) {
	l := newLab(t)
	l.run(2 * time.Hour)
	fine, more := l.page("15-sec", 0)
	if len(fine) != 199 || !more || fine[0].CPU != 19 || fine[1].CPU != 18 || fine[0].Server != server || fine[0].DiskUsed != 30.123 || fine[0].DiskTotal != 300 || len(fine[0].Disks) != 2 || fine[0].Max != nil {
		t.Errorf("%d records, more %v: %+v", len(fine), more, fine[0])
	}
	older, more := l.page("1-sec", 1) // shorter than what was taken is what was taken
	if len(older) != 200 || !more || older[0].At != fine[198].At-15_000 {
		t.Errorf("%d records, more %v, from %d; the page before ends at %d", len(older), more, older[0].At, fine[198].At)
	}
	if last, more := l.page("15-sec", 2); len(last) != 81 || more {
		t.Errorf("%d records, more %v", len(last), more)
	}
	mid, more := l.page("5-min", 0)
	if len(mid) != 24 || more {
		t.Fatalf("%d records, more %v", len(mid), more)
	}
	for _, r := range mid {
		if r.CPU != 9.5 || r.Min.CPU != 0 || r.Max.CPU != 19 || r.Samples != 20 || r.MemUsed != 2 || r.MemTotal != 8 || r.NetIn != 1000 || r.DiskUsed != 30.123 || r.At%300_000 != 0 {
			t.Errorf("%+v", r)
		}
	}
	for length, want := range map[string]int{"1-min": 120, "10-min": 12, "1-hr": 2, "1-day": 1} {
		list, _ := l.page(length, 0)
		if len(list) != want && (length != "1-day" || len(list) != 2) {
			t.Errorf("%s: %d records, want %d", length, len(list), want)
		}
		for _, r := range list {
			if length != "1-min" && (r.CPU != 9.5 || r.Max.CPU != 19) {
				t.Errorf("%s: %+v", length, r)
			}
		}
	}
}

// Core ends at any time: what it was adding up is found again, and what was over while
// it was away is stored.
func TestRestart(t *testing.T) {
	l := newLab(t)
	l.run(62 * time.Minute)
	l.restart()
	l.run(20 * time.Second) // within a stretch
	l.restart()
	l.now = l.now.Add(30 * time.Minute) // nothing is heard
	l.n += 120
	l.run(31 * time.Minute)
	seen := map[int64]int{}
	mid, _ := l.page("5-min", 0)
	for _, r := range mid {
		seen[r.At]++
	}
	// Of 62.5 minutes 13 stretches, the last begun only; of 31, which begin within one, 7.
	if len(mid) != 20 || len(seen) != len(mid) {
		t.Errorf("%d records of %d stretches", len(mid), len(seen))
	}
	part := mid[len(mid)-13]
	if part.Samples != 10 || part.Max.CPU != 9 {
		t.Errorf("the stretch in which core was restarted twice: %+v", part)
	}
	hours, _ := l.page("1-hr", 0)
	if len(hours) != 3 || hours[2].Samples != 240 || hours[1].Samples != 10+110 && hours[1].Samples+hours[0].Samples != 10+124 {
		t.Errorf("%+v", hours)
	}
}

// A day is kept as it came; before that, what is coarser answers for it.
func TestOlderThanADay(t *testing.T) {
	l := newLab(t)
	l.run(30 * time.Hour)
	old, more := l.page("1-min", 8) // 26h40m to 30h before now, but for a minute
	if len(old) < 39 || len(old) > 40 || !more {
		t.Fatalf("%d records, more %v", len(old), more)
	}
	if _, more := l.page("1-min", 9); more {
		t.Error("there is nothing older")
	}
	for _, r := range old {
		if r.Samples != 20 || r.CPU != 9.5 {
			t.Errorf("%+v", r)
		}
	}
	for _, r := range bus.Rings() {
		s, err := l.bus.Core.JetStream().Stream(t.Context(), r.Stream)
		if err != nil {
			t.Fatal(err)
		}
		st := s.CachedInfo().State
		t.Logf("%s: %d records, %d bytes each", r.Stream, st.Msgs, st.Bytes/max(st.Msgs, 1))
		if each := st.Bytes / max(st.Msgs, 1); each > 1200 {
			t.Errorf("a record takes %d bytes: a year of 100 servers would not fit", each)
		}
	}
	if err := l.h.Forget(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	if list, more := l.page("1-hr", 0); len(list) != 0 || more {
		t.Errorf("%d records, more %v of a server that is forgotten", len(list), more)
	}
}

func TestRun(t *testing.T) {
	l := newLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.h.Run(ctx) }()
	l.h.Take(server, nil) // an agent that does not say it
	l.h.Take(server, &schema.HostStats{HostUse: schema.HostUse{CPU: 7}, At: 1})
	bustest.Eventually(t, 5*time.Second, "the sample is kept", func() bool {
		list, _ := l.page("15-sec", 0)
		return len(list) == 1 && list[0].CPU == 7
	})
	if list, more, err := l.h.Page(t.Context(), server, time.Hour, 1_000_000); err != nil || len(list) != 0 || more {
		t.Errorf("before all time: %v %v %v", list, more, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
