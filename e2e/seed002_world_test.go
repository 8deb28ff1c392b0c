package e2e

import (
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/moby/moby/client"

	"berth/e2e/forge"
	"berth/e2e/homelab"
	"berth/e2e/program"
	"berth/e2e/wire"
	"berth/e2e/world"
	"berth/git/gittest"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
)

// theSync is the resource sync that declares everything, itself too.
const theSync = "mohitsharma44/homeops"

// declared are the folders of testdata/seed002.
const declared = "docker/komodo-resources/"

// gitOps is the tree of testdata/seed002 with its six servers, which share two
// engines, and its owner at the command line.
type gitOps struct {
	*homelab.Homelab
	repo  *gittest.FixtureRepo
	files map[string]string // the tree as it is in the repository
	head  string
	home  string // of the owner: km's configuration is in it
}

// hosts are the servers of the seed.
func hosts() []string { return []string{"komodo", "nvr", "kasm", "omni", "server04", "seaweedfs"} }

func newGitOps(t *testing.T) *gitOps {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	keys, config := filepath.Join(t.TempDir(), "keys.txt"), filepath.Join(t.TempDir(), "core.toml")
	writeFile(t, keys, key.String()+"\n")
	w := world.New(t, world.Options{
		Servers: hosts(), Engines: 2, Agent: []string{"--age-key-file", keys},
		Core: func(w *world.World) []string {
			writeFile(t, config, fmt.Sprintf("[[image_registry]]\ndomain = %q\nhttps = false\naccounts = [{ username = %q, token = %q }]\n",
				w.Registry.Host(w.Servers["server04"].Engine.Gateway), w.Registry.User, w.Registry.Password))
			return []string{"--config", config, "--backup-passphrase", "a passphrase of backups"}
		},
	})
	g := &gitOps{Homelab: &homelab.Homelab{World: w}, repo: w.Git.Repo(theSync), home: t.TempDir()}
	for _, host := range hosts()[:2] { // one on each engine
		dockertest.BuildImage(t, w.Servers[host].Engine, "berth-e2e/app", "1", rig.Behaviour{})
	}
	g.files = g.tree(t, key.Recipient())
	g.head = g.repo.Commit(g.files, "Everything")
	writeFile(t, filepath.Join(g.home, ".config", "komodo", "komodo.cli.toml"),
		fmt.Sprintf("host = %q\ncli_key = %q\ncli_secret = %q\n", g.URL, g.API.Key, g.API.Secret))
	if err := os.Symlink(program.Binary(t), filepath.Join(g.home, "km")); err != nil {
		t.Fatal(err)
	}
	return g
}

// tree reads the files of testdata/seed002, for this world and sealed to a key.
func (g *gitOps) tree(t *testing.T, to *age.X25519Recipient) map[string]string {
	t.Helper()
	root, err := os.OpenRoot(filepath.Join("testdata", "seed002"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	fill := strings.NewReplacer("@GIT@", g.GitHost(), "@SECRET@", homelab.Secret, "@ACCOUNT@", g.Registry.User,
		"@REGISTRY@", g.Registry.Host(g.Servers["server04"].Engine.Gateway))
	out := map[string]string{}
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := root.ReadFile(name)
		out[name] = fill.Replace(string(text))
		if strings.Contains(path.Base(name), ".sops.") {
			out[name] = string(seal(t, name, out[name], to))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// km runs a command line as it stands in the handbook, and answers yes.
func (g *gitOps) km(t *testing.T, line string) string {
	t.Helper()
	p := program.Start(t, program.Options{
		Name: line, Path: "/bin/sh", Dir: g.home, Args: []string{"-c", line},
		Env: []string{"PATH=" + g.home + string(os.PathListSeparator) + os.Getenv("PATH"), "KEY=" + g.API.Key, "SECRET=" + g.API.Secret},
	})
	select {
	case <-p.Ended():
	case <-time.After(2 * minute):
		t.Fatalf("%s: it does not end", line)
	}
	if code := p.Stop(t); code != 0 {
		t.Fatalf("%s: exit code %d\n%s", line, code, p.Output())
	}
	return p.Output()
}

// newest is the newest run of an action.
func (g *gitOps) newest(t *testing.T, action string) wire.Run {
	t.Helper()
	list, err := g.API.Runs(t.Context(), wire.Params{"action": action, "limit": 1})
	if err != nil || len(list) != 1 {
		t.Fatalf("runs of %s: %v, %v", action, list, err)
	}
	r, err := g.API.Run(t.Context(), list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sync runs the sync by the handbook's command and returns its run.
func (g *gitOps) sync(t *testing.T) wire.Run {
	t.Helper()
	g.km(t, "km execute sync 'mohitsharma44/homeops' --yes")
	return g.newest(t, "RunSync")
}

// ofCore are the procedures that a fresh core makes itself; a sync keeps them.
func ofCore() []string {
	return []string{"Backup Core Database", "Global Auto Update", "Rotate Server Keys"}
}

// names are those of all resources of a kind, but for what core made itself.
func (g *gitOps) names(t *testing.T, request string) []string {
	t.Helper()
	var list []struct{ Name string }
	if err := g.API.Call(t.Context(), "read", request, nil, &list); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range list {
		if !slices.Contains(ofCore(), i.Name) {
			out = append(out, i.Name)
		}
	}
	slices.Sort(out)
	return out
}

// ids are the ids of all containers, by name.
func (g *gitOps) ids(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, host := range hosts()[:2] {
		maps.Copy(out, g.Containers(host, ""))
	}
	return out
}

// stacksThere are the stacks and the server of each.
func stacksThere() map[string]string {
	out := map[string]string{
		"komodo-core": "komodo", "frigate": "nvr", "newt": "kasm", "omni": "omni", "traefik": "server04", "vaultwarden": "server04", "seaweedfs": "seaweedfs",
	}
	for _, host := range hosts() {
		out[host+"-alloy"] = host
	}
	return out
}

// container is the id of a stack's service.
func (g *gitOps) container(t *testing.T, host, stack, service string) string {
	t.Helper()
	list, err := g.Servers[host].Engine.Containers(t.Context(), stack)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.Service == service {
			return c.ID
		}
	}
	t.Fatalf("no container of %s/%s on %s", stack, service, host)
	return ""
}

// environment is what a stack's service was given.
func (g *gitOps) environment(t *testing.T, host, stack, service string) map[string]string {
	t.Helper()
	c, err := g.Servers[host].Engine.API().ContainerInspect(t.Context(), g.container(t, host, stack, service), client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, kv := range c.Container.Config.Env {
		name, value, _ := strings.Cut(kv, "=")
		out[name] = value
	}
	return out
}

// printed checks that a service, which prints its decrypted file, has read it.
func (g *gitOps) printed(t *testing.T, host, stack, service, want string) {
	t.Helper()
	lines, err := g.Servers[host].Engine.Tail(t.Context(), g.container(t, host, stack, service), 10)
	if err != nil || !strings.Contains(strings.Join(lines, "\n"), want) {
		t.Errorf("%s/%s printed %q (%v), want %q", stack, service, lines, err, want)
	}
}

// push commits and sends the webhook of the sync.
func (g *gitOps) push(t *testing.T, c gittest.Change) wire.Run {
	t.Helper()
	before := g.head
	g.head = g.repo.Change(c)
	maps.Copy(g.files, c.Files)
	d, err := forge.GitHub.Push(forge.Push{
		Owner: "mohitsharma44", Repo: "homeops", URL: g.Git.URL(), Before: before, After: g.head, Message: c.Message, Login: "mohitsharma44",
	})
	if err != nil {
		t.Fatal(err)
	}
	v := g.Deliver("github/sync/"+url.PathEscape(theSync)+"/sync", homelab.Secret, d)
	if v.Status != 200 || v.Verdict != "accepted" || v.Run == "" {
		t.Fatalf("the webhook was answered %+v", v)
	}
	return g.Ended(t, v.Run, 2*minute)
}
