package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"berth/e2e/program"
	"berth/e2e/world"
)

// TestSeed003 follows the guide to two servers with outbound agents: its lines of
// configuration as they are, apart from host and keys.
func TestSeed003(t *testing.T) {
	w := world.New(t, world.Options{
		Servers: []string{world.Nexus},
		Env:     []string{"KOMODO_FIRST_SERVER=https://periphery:8120", "COMPOSE_KOMODO_IMAGE_TAG=2"},
	})
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	// docker logs <core-container> 2>&1 | grep "Public Key"
	public := regexp.MustCompile(`"?Public Key"? key=(U[A-Z0-9]{55})`).FindStringSubmatch(w.Core.Output())
	if public == nil {
		t.Fatalf("core does not say its public key:\n%s", w.Core.Output())
	}
	// First start with the variable of version 1: no error, a word on why nothing came of it.
	if out := w.Core.Output(); !strings.Contains(out, "join-token") {
		t.Errorf("core says nothing of KOMODO_FIRST_SERVER:\n%s", out)
	}
	out, err := w.CLI("create", "onboarding-key", "rack", "--tag", "rack")
	if err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile(`O_\w+_O`).FindString(out)
	if key == "" {
		t.Fatalf("no onboarding key: %s", out)
	}
	engine := w.Servers[world.Nexus].Engine
	root := t.TempDir()
	start := func(name, config string) *program.Process {
		file := filepath.Join(t.TempDir(), "periphery.config.toml")
		writeFile(t, file, config)
		return program.Start(t, program.Options{
			Name: name, Args: []string{"periphery", "--config-path", file, "--allow-plaintext"}, Env: []string{"DOCKER_HOST=" + engine.Host()},
		})
	}

	t.Run("an agent that connects outwards", func(t *testing.T) {
		w.Use(t)
		start("outbound", `
## Address of Komodo Core (must be reachable from this host)
core_address = "`+w.URL+`"
## The server name this Periphery should connect as
## For systemd: connect_as = "$(hostname)" uses the system hostname
connect_as = "$(hostname)"
## Onboarding key from Settings (not needed if reconnecting as an existing server)
onboarding_key = "`+key+`"
root_directory = "`+root+`"
core_public_keys = ["`+public[1]+`"]
allowed_ips = ["10.0.0.0/8"]
passkeys = []
`)
		w.AwaitServer(hostname, "Ok")
	})

	refused := func(name, line string, words ...string) {
		t.Run(name, func(t *testing.T) {
			p := start(name, "core_address = \""+w.URL+"\"\n"+line)
			select {
			case <-p.Ended():
			case <-time.After(20 * time.Second):
				t.Fatalf("it starts:\n%s", p.Output())
			}
			if code := p.Stop(t); code == 0 {
				t.Errorf("it ends as if all was well")
			}
			for _, word := range append(words, "periphery.config.toml:") {
				if !strings.Contains(p.Output(), word) {
					t.Errorf("%q is not in:\n%s", word, p.Output())
				}
			}
		})
	}
	refused("duplicate keys do not fail silently", "root_directory = \"/path/one\"\nroot_directory = \"/path/two\"\n", "3", "root_directory")
	refused("an address range that is none", "allowed_ips = [\"10.x.x.0/24\"]\n", "allowed_ips", "10.x.x.0/24")
	refused("a key that is none", "connect_ass = \"here\"\n", "connect_ass", "connect_as")
	refused("a shell", "connect_as = \"$(cat /etc/shadow)\"\n", "connect_as", "shell")
}
