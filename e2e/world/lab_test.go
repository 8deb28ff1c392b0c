package world_test

import (
	"bufio"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"berth/e2e/nat"
	"berth/git/gittest"
)

// TestGitFromBehindNAT proves that the git server is reached from inside the home,
// over HTTP and over SSH.
func TestGitFromBehindNAT(t *testing.T) {
	home := nat.New(t)
	git := gittest.New(t, gittest.Config{HTTPAddr: home.Outside + ":0", SSHAddr: home.Outside + ":0"})
	repo := git.Repo("harbour/homelab")
	commit := repo.Commit(map[string]string{"web/compose.yaml": "services: {}\n"}, "begin")

	clone := filepath.Join(t.TempDir(), "clone")
	if out, err := home.Command(t.Context(), "git", "clone", "-q", repo.URL(), clone).CombinedOutput(); err != nil {
		t.Fatalf("clone from behind NAT: %v\n%s", err, out)
	}
	head, err := exec.CommandContext(t.Context(), "git", "-C", clone, "rev-parse", "HEAD").Output()
	if err != nil || strings.TrimSpace(string(head)) != commit {
		t.Errorf("HEAD is %s, want %s (%v)", head, commit, err)
	}

	err = nat.In(home.Netns, func() error {
		var d net.Dialer
		c, err := d.DialContext(t.Context(), "tcp", git.SSHAddr())
		if err != nil {
			return err
		}
		defer c.Close()
		if line, err := bufio.NewReader(c).ReadString('\n'); !strings.HasPrefix(line, "SSH-2.0") {
			t.Errorf("the SSH server greets with %q (%v)", line, err)
		}
		return nil
	})
	if err != nil {
		t.Errorf("SSH from behind NAT: %v", err)
	}
}
