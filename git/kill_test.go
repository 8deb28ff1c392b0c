package git_test

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"berth/git"
)

// TestKilledChild is the process that TestKilledAnywhere kills: it syncs between
// the commits it is given, for ever.
func TestKilledChild(t *testing.T) {
	args := flag.Args()
	if len(args) < 3 {
		return // not the child
	}
	c := git.New(slog.New(slog.DiscardHandler))
	for i := 0; ; i++ {
		_, err := c.Sync(t.Context(), args[0], git.Source{URL: args[1], Branch: "main", Commit: args[2+i%(len(args)-2)]}, git.Options{LockWait: time.Second})
		if err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "CHILD:", err)
			os.Exit(3)
		}
	}
}

// An agent may be killed at any moment; the next one goes on without help, loses
// nothing and takes nothing of ours for the user's.
func TestKilledAnywhere(t *testing.T) {
	s := newSite(t)
	var commits []string
	for i := range 3 {
		files := map[string]string{"always": fmt.Sprint(i)}
		for n := range 40 {
			files[fmt.Sprintf("f%d/%d", n%5, n)] = strings.Repeat("x", i+n)
		}
		commits = append(commits, s.repo.ForcePush(files, fmt.Sprint(i)))
	}
	s.write("f1/data/db", "rows")
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		var said strings.Builder
		cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"-test.run=^TestKilledChild$", "--", s.dir, s.repo.URL()}, commits...)...)
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		after := time.NewTimer(time.Duration(20+rand.IntN(200)) * time.Millisecond)
		<-after.C
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if strings.Contains(said.String(), "CHILD:") {
			t.Fatal(said.String())
		}
		src := s.source()
		src.Commit = commits[rand.IntN(len(commits))]
		got := s.syncFrom(src, git.Options{LockWait: time.Millisecond})
		if len(got.Drift) != 0 || len(got.Warnings) != 0 {
			t.Fatalf("%+v", got)
		}
		if s.read("f1/data/db") != "rows" {
			t.Fatal("data is gone")
		}
		s.clean("f1/data/")
	}
}
