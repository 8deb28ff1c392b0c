package journal

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain lets the test binary stand for an agent that journals until it is
// killed, and says on standard output what was confirmed to it.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BERTH_TEST_JOURNAL"); dir != "" {
		journalForever(dir, os.Getenv("BERTH_TEST_ROUND"))
	}
	os.Exit(m.Run())
}

func journalForever(dir, round string) {
	j, err := open(dir, time.Now, 20_000)
	if err != nil {
		fmt.Fprintln(os.Stdout, "open", err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d-%d", round, g, i)
				for _, step := range []struct {
					name string
					do   func() error
				}{
					{"S", func() error { return j.Start(id, uint64(i), []byte(`"`+strings.Repeat("m", i%300)+`"`)) }},
					{"D", func() error { return j.Done(id, []byte(id+strings.Repeat("r", i%5000))) }},
					{"R", func() error { return j.Reported(id) }},
				} {
					if err := step.do(); err != nil {
						fmt.Fprintln(os.Stdout, "error", err)
						os.Exit(1)
					}
					if _, err := os.Stdout.WriteString(step.name + " " + id + "\n"); err != nil {
						os.Exit(1)
					}
				}
			}
		})
	}
	wg.Wait()
}

// kill -9 at random moments: what was confirmed is there, and nothing is in two
// states.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	must(t, err)
	confirmed := map[string]string{}
	// A slow machine gets fewer commands done before it is killed, and more rounds.
	for round := 0; round < 25 || len(confirmed) < 100 && round < 500; round++ {
		child := exec.Command(self)
		child.Env = append(os.Environ(), "BERTH_TEST_JOURNAL="+dir, fmt.Sprint("BERTH_TEST_ROUND=", round))
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		kill := time.AfterFunc(time.Duration(5+rand.IntN(60))*time.Millisecond, func() { _ = child.Process.Kill() })
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			state, id, _ := strings.Cut(lines.Text(), " ")
			if state == "open" || state == "error" {
				t.Fatal(lines.Text())
			}
			confirmed[id] = state
		}
		kill.Stop()
		_ = child.Wait()
		check(t, dir, confirmed)
	}
	if len(confirmed) < 100 {
		t.Errorf("only %d commands were journaled", len(confirmed))
	}
	t.Logf("%d commands", len(confirmed))
}

func check(t *testing.T, dir string, confirmed map[string]string) {
	t.Helper()
	j := openAt(t, dir)
	open, told := map[string]bool{}, map[string]bool{}
	for _, e := range j.Unfinished() {
		open[e.ID] = true
	}
	for _, e := range j.Unreported() {
		told[e.ID] = true
		if !strings.HasPrefix(string(e.Result), e.ID) {
			t.Errorf("%s has another one's result", e.ID)
		}
	}
	for id, state := range confirmed {
		if !j.Seen(id) {
			t.Fatalf("%s was confirmed and is forgotten", id)
		}
		if state != "S" && open[id] {
			t.Fatalf("%s was done and is open again", id)
		}
		if state == "R" && told[id] {
			t.Fatalf("%s was reported and is to be reported again, without a power cut", id)
		}
	}
	must(t, j.Close())
}
