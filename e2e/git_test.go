package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"

	"berth/e2e/homelab"
	"berth/e2e/wire"
	"berth/e2e/world"
	"berth/git/gittest"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
)

// gitWorld is a server behind NAT and the git servers it knows: one that asks
// nobody who he is, and one that asks for a token, over HTTP and HTTPS.
type gitWorld struct {
	*homelab.Homelab
	private *gittest.Fixture
	https   string // host:port of the private server's HTTPS
	strange string // the same with a certificate that nobody vouches for
}

const gitToken = "a-git-token"

// TestGit holds what comes of a repository in the ways in which repositories are
// in the world: it works, or the run names the cause.
func TestGit(t *testing.T) {
	h := newGitWorld(t)
	// A look-up that nobody answers takes its time: it goes on beside the others.
	h.stack("nowhere", "repo = \"harbour/app\"\ngit_provider = \"git.nowhere.invalid\"\n")
	lost := h.start(t, "DeployStack", wire.Params{"stack": "nowhere"})
	for _, part := range []struct {
		name string
		do   func(*testing.T, *gitWorld)
	}{
		{"a clone of another user's", gitForeign},
		{"submodule", gitSubmodule},
		{"history rewritten", gitForced},
		{"branch deleted", gitDeleted},
		{"token", gitAccounts},
		{"deploy key", gitDeployKey},
		{"addresses that lead nowhere", gitNowhere},
	} {
		t.Run(part.name, func(t *testing.T) { h.Use(t); part.do(t, h) })
	}
	if r := h.Ended(t, lost, minute); r.State != "failed" || !strings.Contains(r.Why(), `look up host "git.nowhere.invalid"`) || !strings.Contains(r.Why(), "DNS") {
		t.Errorf("a host that DNS does not know: %s: %s", r.State, r.Why())
	}
}

func newGitWorld(t *testing.T) *gitWorld {
	t.Helper()
	h := &gitWorld{}
	authorities := filepath.Join(t.TempDir(), "ca.pem")
	config := filepath.Join(t.TempDir(), "core.toml")
	w := world.New(t, world.Options{
		Servers: []string{world.LXC}, Env: []string{"SSL_CERT_FILE=" + authorities},
		Core: func(w *world.World) []string {
			h.private = gittest.New(t, gittest.Config{HTTPAddr: w.Home.Outside + ":0", SSHAddr: "-", Username: "deploy", Password: gitToken})
			var known []byte
			h.https, known = serveTLS(t, w.Home.Outside, h.private.URL())
			h.strange, _ = serveTLS(t, w.Home.Outside, h.private.URL())
			writeFile(t, authorities, string(known))
			text := ""
			for domain, https := range map[string]bool{h.https: true, h.strange: true, host(h.private.URL()): false} {
				text += fmt.Sprintf("[[git_provider]]\ndomain = %q\nhttps = %v\naccounts = [{ username = \"deploy\", token = %q }, { username = \"mallory\", token = \"wrong\" }]\n", domain, https, gitToken)
			}
			writeFile(t, config, text)
			return []string{"--config", config}
		},
	})
	h.Homelab = &homelab.Homelab{World: w}
	dockertest.BuildImage(t, w.Servers[world.LXC].Engine, "berth-e2e/app", "1", rig.Behaviour{})
	return h
}

// serveTLS puts HTTPS in front of a server; known is its certificate.
func serveTLS(t *testing.T, ip, to string) (addr string, known []byte) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(ip)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der := must(x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key))
	l := must(net.Listen("tcp", ip+":0"))
	server := &http.Server{
		Handler:   httputil.NewSingleHostReverseProxy(must(url.Parse(to))),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return l.Addr().String(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// stack declares a stack on the server.
func (h *gitWorld) stack(name, settings string) {
	h.Apply(fmt.Sprintf("[[stack]]\nname = %q\n[stack.config]\nserver = %q\nauto_pull = false\n%s\n", name, world.LXC, settings))
}

// open are the settings of a repository that asks nobody who he is.
func (h *gitWorld) open(repo string) string {
	return fmt.Sprintf("repo = %q\ngit_provider = %q\ngit_https = false\n", repo, h.GitHost())
}

func (h *gitWorld) start(t *testing.T, request string, p wire.Params) string {
	t.Helper()
	var u wire.Update
	if err := h.API.Call(t.Context(), "execute", request, p, &u); err != nil {
		t.Fatal(err)
	}
	return u.ID.OID
}

// deploy deploys a stack; want is empty for success, or a part of the error.
func (h *gitWorld) deploy(t *testing.T, name string, want ...string) wire.Run {
	t.Helper()
	r := h.Ended(t, h.start(t, "DeployStack", wire.Params{"stack": name}), minute)
	h.check(t, r, want)
	return r
}

func (h *gitWorld) check(t *testing.T, r wire.Run, want []string) {
	t.Helper()
	if (r.State == "succeeded") != (len(want) == 0) {
		t.Errorf("the run should have said %q:\n%s", want, h.Tree(t, r, ""))
		return
	}
	for _, part := range want {
		if !strings.Contains(r.Why(), part) {
			t.Errorf("the error lacks %q: %s", part, r.Why())
		}
	}
}

// text is APP_TEXT of the stack's container.
func (h *gitWorld) text(t *testing.T, project string) string {
	t.Helper()
	return environment(t, h.Servers[world.LXC].Engine, project)["APP_TEXT"]
}

func composeOf(text string) map[string]string {
	return map[string]string{"compose.yaml": "services: {app: {image: 'berth-e2e/app:1', environment: {APP_TEXT: " + text + "}}}\n"}
}

// gitForeign pulls into a clone that belongs to its user, with his own git, his
// data beside it, and his mode of keeping it.
func gitForeign(t *testing.T, h *gitWorld) {
	repo := h.Git.Repo("ada/home")
	repo.Commit(composeOf("one"), "one")
	clone := filepath.Join(t.TempDir(), "home", "ada", "home")
	for _, args := range [][]string{{"git", "clone", "-q", repo.URL(), clone}, {"chown", "-R", "1234:1234", clone}} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	h.Apply(fmt.Sprintf("[[repo]]\nname = \"home\"\n[repo.config]\nserver = %q\npath = %q\n%s\n", world.LXC, clone, h.open("ada/home")))
	h.stack("home", "linked_repo = \"home\"\n")
	commit := repo.Commit(composeOf("two"), "two")
	r := h.Ended(t, h.start(t, "PullRepo", wire.Params{"repo": "home"}), minute)
	h.check(t, r, nil)
	if r.Commit != commit {
		t.Errorf("pulled %s, want %s", r.Commit, commit)
	}
	h.deploy(t, "home")
	if got := h.text(t, "home"); got != "two" {
		t.Errorf("deployed %q", got)
	}
	err := filepath.Walk(clone, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != 1234 {
			t.Errorf("%s does not belong to its owner any more", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	// Its owner goes on with his own git.
	repo.Commit(composeOf("three"), "three")
	pull := exec.CommandContext(t.Context(), "git", "-C", clone, "pull", "-q")
	pull.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1234, Gid: 1234}}
	pull.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + clone, "GIT_CONFIG_GLOBAL=/dev/null"}
	for dir := filepath.Dir(clone); strings.Contains(dir, "TestGit"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := pull.CombinedOutput(); err != nil {
		t.Errorf("git pull by the owner: %v\n%s", err, out)
	}
	h.deploy(t, "home")
	if got := h.text(t, "home"); got != "three" {
		t.Errorf("deployed %q", got)
	}
}

// gitSubmodule deploys with a file of a submodule's, and follows it.
func gitSubmodule(t *testing.T, h *gitWorld) {
	lib, app := h.Git.Repo("harbour/lib"), h.Git.Repo("harbour/main")
	first := lib.Commit(map[string]string{"app.env": "APP_TEXT=of the submodule\n"}, "begin")
	files := map[string]string{
		"compose.yaml": "services: {app: {image: 'berth-e2e/app:1', env_file: lib/app.env}}\n",
		".gitmodules":  "[submodule \"lib\"]\n\tpath = lib\n\turl = ../lib.git\n",
	}
	app.Change(gittest.Change{Files: files, Modules: map[string]string{"lib": first}})
	h.stack("sub", h.open("harbour/main"))
	h.deploy(t, "sub")
	if got := h.text(t, "sub"); got != "of the submodule" {
		t.Errorf("deployed %q", got)
	}
	second := lib.Commit(map[string]string{"app.env": "APP_TEXT=newer\n"}, "go on")
	h.deploy(t, "sub") // the submodule's branch went on: what the commit names has not
	if got := h.text(t, "sub"); got != "of the submodule" {
		t.Errorf("deployed %q", got)
	}
	app.Change(gittest.Change{Modules: map[string]string{"lib": second}, Message: "newer lib"})
	h.deploy(t, "sub")
	if got := h.text(t, "sub"); got != "newer" {
		t.Errorf("deployed %q", got)
	}
}

// gitForced deploys what a force push put in place of what was deployed.
func gitForced(t *testing.T, h *gitWorld) {
	repo := h.Git.Repo("harbour/forced")
	repo.Commit(composeOf("first"), "first")
	repo.Commit(map[string]string{"gone.txt": "soon"}, "second")
	h.stack("forced", h.open("harbour/forced"))
	h.deploy(t, "forced")
	commit := repo.ForcePush(composeOf("rewritten"), "a new beginning")
	if r := h.deploy(t, "forced"); r.Commit != commit {
		t.Errorf("deployed %s, want %s", r.Commit, commit)
	}
	if got := h.text(t, "forced"); got != "rewritten" {
		t.Errorf("deployed %q", got)
	}
	if _, err := os.Stat(filepath.Join(h.Servers[world.LXC].Data, "periphery", "stacks", "forced", "gone.txt")); !os.IsNotExist(err) {
		t.Errorf("a file of the history that is gone is still there (%v)", err)
	}
}

func gitDeleted(t *testing.T, h *gitWorld) {
	repo := h.Git.Repo("harbour/deleted")
	repo.Commit(composeOf("main"), "main")
	repo.Change(gittest.Change{Branch: "next", Files: composeOf("next")})
	h.stack("deleted", h.open("harbour/deleted")+"branch = \"next\"\n")
	h.deploy(t, "deleted")
	before := h.Containers(world.LXC, "deleted")
	repo.DeleteBranch("next")
	h.deploy(t, "deleted", `branch "next"`, "harbour/deleted", "deleted or renamed", "main")
	for name, id := range h.Containers(world.LXC, "deleted") {
		if before[name] != id {
			t.Errorf("%s was touched by a deploy of nothing", name)
		}
	}
	repo.Change(gittest.Change{Branch: "next", Files: composeOf("again")})
	h.deploy(t, "deleted")
	if got := h.text(t, "deleted"); got != "again" {
		t.Errorf("deployed %q", got)
	}
}

// gitAccounts deploys with a token, over HTTPS and HTTP.
func gitAccounts(t *testing.T, h *gitWorld) {
	h.private.Repo("harbour/secret").Commit(composeOf("private"), "private")
	of := func(provider, rest string) string {
		return fmt.Sprintf("repo = \"harbour/secret\"\ngit_provider = %q\n%s", provider, rest)
	}
	h.stack("https", of(h.https, "git_account = \"deploy\"\n"))
	h.deploy(t, "https")
	h.stack("http", of(host(h.private.URL()), "git_account = \"deploy\"\ngit_https = false\n"))
	h.deploy(t, "http")
	h.stack("wrong-token", of(h.https, "git_account = \"mallory\"\n"))
	h.deploy(t, "wrong-token", "harbour/secret", `token of account "mallory"`, "401")
	h.stack("no-token", of(h.https, ""))
	h.deploy(t, "no-token", "harbour/secret", "asks for credentials")
	h.stack("no-account", of(h.https, "git_account = \"nobody\"\n"))
	h.deploy(t, "no-account", `account "nobody"`, h.https)
	h.stack("no-authority", of(h.strange, "git_account = \"deploy\"\n"))
	h.deploy(t, "no-authority", "TLS", "certificate", "authority")
	h.stack("not-tls", fmt.Sprintf("repo = \"harbour/secret\"\ngit_provider = %q\n", host(h.private.URL())))
	h.deploy(t, "not-tls", "does not speak TLS")
	config, err := filepath.Glob(filepath.Join(h.Servers[world.LXC].Data, "periphery", "stacks", "http*", ".git", "config"))
	if err != nil || len(config) != 2 {
		t.Fatalf("clones are %v (%v)", config, err)
	}
	for _, path := range config {
		if text := string(must(os.ReadFile(path))); strings.Contains(text, gitToken) || strings.Contains(text, "deploy") {
			t.Errorf("%s holds credentials:\n%s", path, text)
		}
	}
}

// gitDeployKey clones over SSH with a key in a variable and the host's key pinned.
func gitDeployKey(t *testing.T, h *gitWorld) {
	h.Git.Repo("harbour/ssh").Commit(composeOf("over ssh"), "ssh")
	other := gittest.New(t, gittest.Config{})
	for name, value := range map[string]string{
		"DEPLOY_KEY": string(h.Git.ClientKey()), "KNOWN_HOSTS": string(h.Git.HostKeys()), "OTHER_KEY": string(other.ClientKey()),
	} {
		h.Apply(fmt.Sprintf("[[variable]]\nname = %q\nis_secret = %v\nvalue = '''\n%s'''\n", name, strings.HasSuffix(name, "_KEY"), value))
	}
	address := func(g *gittest.Fixture) string { return knownhosts.Normalize(g.SSHAddr()) }
	wrong := strings.Replace(string(other.HostKeys()), address(other), address(h.Git), 1)
	of := func(name, rest string) {
		h.stack(name, fmt.Sprintf("repo = \"harbour/ssh\"\ngit_provider = %q\n%s", h.Git.SSHAddr(), rest))
	}
	of("ssh", "git_ssh_key = \"DEPLOY_KEY\"\ngit_known_hosts = \"[[KNOWN_HOSTS]]\"\n")
	h.deploy(t, "ssh")
	if got := h.text(t, "ssh"); got != "over ssh" {
		t.Errorf("deployed %q", got)
	}
	of("ssh-other-host", fmt.Sprintf("git_ssh_key = \"DEPLOY_KEY\"\ngit_known_hosts = '''%s'''\n", wrong))
	h.deploy(t, "ssh-other-host", h.Home.Outside, "shows the key", "but pinned is")
	of("ssh-unknown-host", "git_ssh_key = \"DEPLOY_KEY\"\ngit_known_hosts = \"git.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKPVQvzlx5Dd7p0kMo4MQ7+c4eyN1HrO1J1ZYfaJDlpG\"\n")
	h.deploy(t, "ssh-unknown-host", h.Home.Outside, "none is pinned")
	of("ssh-other-key", "git_ssh_key = \"OTHER_KEY\"\ngit_known_hosts = \"[[KNOWN_HOSTS]]\"\n")
	h.deploy(t, "ssh-other-key", "key", h.Home.Outside)
	of("ssh-no-key", "git_ssh_key = \"NO_KEY\"\ngit_known_hosts = \"[[KNOWN_HOSTS]]\"\n")
	h.deploy(t, "ssh-no-key", `variable "NO_KEY"`, "does not exist")
	h.stack("ssh-no-repo", fmt.Sprintf("repo = \"harbour/none\"\ngit_provider = %q\ngit_ssh_key = \"DEPLOY_KEY\"\ngit_known_hosts = \"[[KNOWN_HOSTS]]\"\n", h.Git.SSHAddr()))
	h.deploy(t, "ssh-no-repo", "harbour/none", "not found")
}

// gitNowhere deploys from addresses at which there is nothing.
func gitNowhere(t *testing.T, h *gitWorld) {
	h.stack("no-repo", h.open("harbour/nothing"))
	h.deploy(t, "no-repo", "harbour/nothing", "not found")
	h.Git.Repo("harbour/empty")
	h.stack("empty", h.open("harbour/empty"))
	h.deploy(t, "empty", "harbour/empty", "empty")
	h.stack("no-server", fmt.Sprintf("repo = \"harbour/app\"\ngit_provider = \"%s:1\"\ngit_https = false\n", h.Home.Outside))
	h.deploy(t, "no-server", "connect to "+h.Home.Outside+":1", "connection refused")
	// What is not there when it is saved is refused then; what goes later is not.
	repo := h.Git.Repo("harbour/bare")
	repo.Commit(map[string]string{"compose.yaml": "services: {}\n", "nothing/here/compose.yaml": "services: {}\n"}, "begin")
	h.stack("no-file", h.open("harbour/bare"))
	h.stack("no-folder", h.open("harbour/bare")+"run_directory = \"nothing/here\"\n")
	commit := repo.ForcePush(map[string]string{"README.md": "no compose file"}, "begin anew")
	h.deploy(t, "no-file", "compose.yaml")
	h.deploy(t, "no-folder", "nothing/here", "does not exist")
	h.stack("no-commit", h.open("harbour/bare")+"commit = \"0123456789012345678901234567890123456789\"\n")
	h.deploy(t, "no-commit", "0123456789", "harbour/bare")
	h.stack("pinned", h.open("harbour/bare")+fmt.Sprintf("commit = %q\nrun_directory = \".\"\npre_deploy = { command = \"true\" }\n", commit))
	if r := h.deploy(t, "pinned", "compose.yaml"); r.Commit != commit {
		t.Errorf("the run is of %q, want the pinned %s", r.Commit, commit)
	}
}
