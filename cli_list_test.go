package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEmptyLists: people are told that there is nothing, and what to do; programs
// get nothing.
func TestEmptyLists(t *testing.T) {
	for _, c := range []struct {
		kind string
		f    listFlags
		want string
	}{
		{"stacks", listFlags{templates: "exclude"}, "There are no stacks that you may see: declare some in a file and `berth apply`"},
		{"servers", listFlags{}, "`berth create onboarding-key`"},
		{"stacks", listFlags{tags: []string{"prod"}}, "No stacks are as the flags ask"},
		{"stacks", listFlags{down: true}, "No stacks are as the flags ask"},
		{"servers", listFlags{templates: "only"}, "No servers are as the flags ask"},
	} {
		if got := c.f.none(c.kind); !strings.Contains(got, c.want) {
			t.Errorf("%s %+v: %s", c.kind, c.f, got)
		}
	}
	s := newStation(t)
	s.ok("login", s.url, "--username", "ada", "--password-file", write(t, "pw", "correct horse\n"))
	for _, name := range []string{"berth", "km"} {
		s.name = name
		if code, out, errs := s.do("list", "stacks"); code != 0 || out != "" || errs != "" {
			t.Errorf("%s, no terminal: %d %q %q", name, code, out, errs)
		}
	}
	if out := strings.TrimSpace(s.ok("list", "stacks", "-f", "json")); out != "[]" {
		t.Errorf("as JSON: %s", out)
	}
	s.name = ""
	slave, read := pty(t)
	for name, want := range map[string]bool{"berth": true, "km": false} {
		env, environ := envOf("HOME=" + s.home)
		if code := run(t.Context(), []string{"list", "stacks"}, world{name: name, in: strings.NewReader(""), out: io.Discard, err: slave, env: env, environ: environ}); code != 0 {
			t.Fatalf("%s: %d", name, code)
		}
		fmt.Fprintln(slave, "end")
		if text := read("end"); strings.Contains(text, "There are no stacks") != want {
			t.Errorf("%s at a terminal says %q", name, text)
		}
	}
}

// pty is a terminal, and reads what is written to it up to a word.
func pty(t *testing.T) (slave *os.File, read func(end string) string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	n := 0
	if c, err := master.SyscallConn(); err != nil {
		t.Fatal(err)
	} else if err := c.Control(func(fd uintptr) {
		_ = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		n, _ = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
	}); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	lines := bufio.NewReader(master)
	return slave, func(end string) string {
		var b strings.Builder
		for {
			line, err := lines.ReadString('\n')
			if b.WriteString(line); err != nil || strings.TrimSpace(line) == end {
				return b.String()
			}
		}
	}
}
