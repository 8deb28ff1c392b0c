package program_test

import (
	"net"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"berth/e2e/nat"
	"berth/e2e/program"
)

// TestMain lets the test binary stand for a program: it says that it is ready and
// which addresses it sees, and stays until it is ended.
func TestMain(m *testing.M) {
	if os.Getenv("STAND_IN") == "" {
		os.Exit(m.Run())
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		_, _ = os.Stdout.WriteString("address " + a.String() + "\n")
	}
	_, _ = os.Stdout.WriteString("ready in " + os.Getenv("STAND_IN") + "\n")
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR1)
	<-never
}

func standIn(t *testing.T, netns string) *program.Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program.Start(t, program.Options{Name: "stand-in", Path: self, Args: []string{"-test.run=^$"}, Env: []string{"STAND_IN=here"}, Netns: netns})
}

func TestKillAndRestart(t *testing.T) {
	p := standIn(t, "")
	if m := p.Await(t, `ready in (\w+)`, 10*time.Second); m[1] != "here" {
		t.Errorf("said %q, want here", m[1])
	}
	p.Kill()
	if p = p.Restart(t); p.Await(t, `ready`, 10*time.Second) == nil {
		t.Error("not restarted")
	}
	if code := p.Stop(t); code != -1 {
		t.Errorf("exit code %d, want -1: ended by a signal", code)
	}
}

func TestInsideNamespace(t *testing.T) {
	home := nat.New(t)
	p := standIn(t, home.Netns)
	p.Await(t, `address `+home.Inside, 10*time.Second)
}
