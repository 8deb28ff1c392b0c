package ui_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"berth/schema"
	"berth/ui/uitest"
)

// stream reads the events of an address into a channel of "id event" words.
func stream(t *testing.T, url, last string) <-chan string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(stop)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "berth_session", Value: uitest.Session})
	r.Header.Set("Last-Event-ID", last)
	resp, err := http.DefaultTransport.RoundTrip(r) //nolint:bodyclose // the reader below closes it
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan string, 4096)
	go func() {
		defer close(out)
		defer func() { _ = resp.Body.Close() }()
		id, event := "", ""
		sc := bufio.NewScanner(resp.Body)
		sc.Buffer(nil, 8<<20)
		for sc.Scan() {
			key, value, _ := strings.Cut(sc.Text(), ": ")
			switch {
			case key == "id":
				id = value
			case key == "event":
				event = value
			case key == "" && event != "":
				out <- strings.TrimSpace(id + " " + event)
				id, event = "", ""
			}
		}
	}()
	return out
}

func next(t *testing.T, c <-chan string) string {
	t.Helper()
	select {
	case s, ok := <-c:
		if !ok {
			return "closed"
		}
		return s
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came for 10 s")
	}
	return ""
}

func TestOutputStream(t *testing.T) {
	w := uitest.Homelab()
	url := live(t, w)
	run := &w.RunList[4]
	seqs := stored(t, w, run.ID)
	all := stream(t, url+"/runs/1195/output", "")
	for i := range seqs {
		if got := next(t, all); !strings.HasSuffix(got, " log") {
			t.Fatalf("stored chunk %d: %q", i, got)
		}
	}
	resumed := stream(t, url+"/runs/1195/output?after=1", fmt.Sprint(seqs[len(seqs)-2]))
	if got := next(t, resumed); got != fmt.Sprint(seqs[len(seqs)-1])+" log" {
		t.Errorf("resumed with %q", got)
	}
	w.Emit(run.ID, "up", schema.Entry{Kind: schema.EntryLine, Text: "more"})
	w.Emit("another run", "up", schema.Entry{Kind: schema.EntryLine, Text: "elsewhere"})
	w.Emit(run.ID, "up", schema.Entry{Kind: schema.EntryLine, Text: "last"})
	n := len(w.Chunks)
	for _, c := range []<-chan string{all, resumed} {
		for _, want := range []string{fmt.Sprint(n-2) + " log", fmt.Sprint(n) + " log"} {
			if got := next(t, c); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
	w.Change("run", run.ID, func() { run.State, run.Ended = schema.StateSucceeded, time.Now().UnixMilli() })
	for _, c := range []<-chan string{all, resumed} {
		if got := next(t, c); got != "end" {
			t.Errorf("at the end: %q", got)
		}
		if got := next(t, c); got != "closed" {
			t.Errorf("after the end: %q", got)
		}
	}
	ended := stream(t, url+"/runs/1195/output", fmt.Sprint(n))
	if got := next(t, ended); got != "end" {
		t.Errorf("of a run that has ended: %q", got)
	}
}

// The last lines may come after the run's end: they are counted in its record.
func TestOutputWaitsForTheLastLines(t *testing.T) {
	w := uitest.Homelab()
	url := live(t, w)
	run := &w.RunList[4]
	seqs := stored(t, w, run.ID)
	c := stream(t, url+"/runs/1195/output", fmt.Sprint(seqs[len(seqs)-2]))
	next(t, c)
	w.Change("run", run.ID, func() { run.State, run.Steps[0].Lines = schema.StateSucceeded, 1000 })
	w.Emit(run.ID, "up", schema.Entry{Kind: schema.EntryLine, Text: "late"})
	if got := next(t, c); !strings.HasSuffix(got, " log") {
		t.Errorf("the late line did not come: %q", got)
	}
	if got := next(t, c); got != "end" {
		t.Errorf("at the end: %q", got)
	}
}

func TestPageStreamSendsSectionsThatChanged(t *testing.T) {
	w := uitest.Homelab()
	url := live(t, w)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/events?topic=/runs%3Fstate%3Dfailed", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "berth_session", Value: uitest.Session})
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	sc := bufio.NewScanner(resp.Body)
	sc.Buffer(nil, 8<<20)
	for sc.Scan() && !strings.Contains(sc.Text(), "event: hello") {
	}
	w.Change("run", "", func() {
		w.RunList[10].State, w.RunList[10].Problem = schema.StateFailed, &schema.Problem{Text: "<freshly> broken"}
	})
	text := ""
	for !strings.Contains(text, `hx-target="#runs"`) || !strings.Contains(text, "&lt;freshly&gt; broken") {
		if !sc.Scan() {
			t.Fatalf("the stream ended: %v", sc.Err())
		}
		text += sc.Text()
	}
	if strings.Contains(text, `href="/runs/1189"`) {
		t.Error("the section does not keep the page's filter")
	}
}

// stored returns the numbers of the stored chunks of a run.
func stored(t *testing.T, w *uitest.World, run string) (seqs []uint64) {
	t.Helper()
	for c, err := range w.Output(t.Context(), run, 0) {
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, c.Seq)
	}
	return seqs
}

// live serves the pages of a world that are kept current, and returns their URL.
func live(t *testing.T, w *uitest.World) string {
	t.Helper()
	h := bundled(t, w)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	srv := httptest.NewServer(h)
	t.Cleanup(func() { stop(); <-done; srv.Close() })
	waitListeners(t, w)
	return srv.URL
}

func waitListeners(t *testing.T, w *uitest.World) {
	t.Helper()
	deadline, tick := time.After(5*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for {
		if a, b := w.Listeners(); a > 0 && b > 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatal("the feed is not watched")
		case <-tick.C:
		}
	}
}
