package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/template"
	"time"

	"berth/e2e/forge"
	"berth/e2e/wire"
	"berth/git/gittest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

//go:embed scene
var scene embed.FS

// stacks are the folders of the scene's repository.
func stacks() []string { return []string{"blog", "shop"} }

// stage is the demo as it has been built up so far. Its methods are called one
// after the other by one goroutine.
type stage struct {
	out            io.Writer
	binary, listen string

	docker   *rig.Engine
	dir      string // all that is written, removed by close
	repo     *gittest.Repo
	gitHost  string
	berth    *exec.Cmd
	ended    chan error
	password string
	secret   string
	api      *wire.Client
	runID    string
	runURL   string
	undo     []func() error // in the order in which it was done
}

func (s *stage) title(text string) { fmt.Fprintf(s.out, "\n\033[1m── %s\033[0m\n", text) }

func (s *stage) say(format string, args ...any) { fmt.Fprintf(s.out, "   "+format+"\n", args...) }

func (s *stage) url() string { return "http://" + s.listen }

func (s *stage) engine(ctx context.Context) (err error) {
	if s.docker, err = rig.Machine(ctx); err != nil {
		return err
	}
	s.undo = append(s.undo, s.docker.Close)
	info := s.docker.Info(ctx)
	s.say("engine %s", info.Version)
	s.dir, err = os.MkdirTemp("", "berth-demo-")
	s.undo = append(s.undo, func() error { return os.RemoveAll(s.dir) })
	s.password, s.secret = rand.Text(), rand.Text()
	return err
}

func (s *stage) images(ctx context.Context) error {
	app, err := rig.Compile(ctx)
	if err != nil {
		return err
	}
	for _, image := range []string{"blog", "shop", "worker"} {
		name := "berth-demo/" + image
		if err := app.BuildImage(ctx, s.docker.Client, name, "1", rig.Behaviour{Health: true}); err != nil {
			return err
		}
		s.say("%s:1", name)
	}
	return nil
}

func (s *stage) git(ctx context.Context) error {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	server, wait, err := gittest.Serve(ctx, gittest.Config{Dir: filepath.Join(s.dir, "git"), SSHAddr: "-"})
	if err != nil {
		stop()
		return err
	}
	s.undo = append(s.undo, func() error { stop(); return wait() })
	if s.repo, err = server.Repo(ctx, "harbour/homelab"); err != nil {
		return err
	}
	s.gitHost = strings.TrimPrefix(server.URL(), "http://")
	s.say("%s", s.repo.URL())
	return nil
}

func (s *stage) up(ctx context.Context) error {
	log, err := os.Create(filepath.Join(s.dir, "berth.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.berth = exec.CommandContext(context.WithoutCancel(ctx), s.binary, "up", "--data", filepath.Join(s.dir, "data"), "--listen", s.listen)
	s.berth.Env = append(os.Environ(), "KOMODO_INIT_ADMIN_USERNAME=demo", "KOMODO_INIT_ADMIN_PASSWORD="+s.password)
	s.berth.Stdout, s.berth.Stderr = log, log
	s.berth.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us to hand on
	if err := s.berth.Start(); err != nil {
		return fmt.Errorf("start berth up: %w", err)
	}
	s.ended = make(chan error, 1)
	gone := make(chan struct{})
	go func() { s.ended <- s.berth.Wait(); close(gone) }()
	s.undo = append(s.undo, func() error { return s.down(gone) })

	ready, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := (&wire.Client{URL: s.url()}).Ready(ready); err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("berth up does not answer at %s: %w; its log:\n%s", s.url(), err, text)
	}
	if s.api, err = wire.Login(ctx, s.url(), "demo", s.password); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	s.say("%s   user demo, password %s", s.url(), s.password)
	return nil
}

func (s *stage) down(gone <-chan struct{}) error {
	_ = s.berth.Process.Signal(syscall.SIGTERM)
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		_ = s.berth.Process.Kill()
		<-gone
		return errors.New("berth up did not end within 20 s and was killed")
	}
	return nil
}

// cli runs a client verb of berth's with the demo's key.
func (s *stage) cli(ctx context.Context, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Env = append(os.Environ(), s.keys()...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("berth %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

func (s *stage) keys() []string {
	return []string{"KOMODO_ADDRESS=" + s.url(), "KOMODO_API_KEY=" + s.api.Key, "KOMODO_API_SECRET=" + s.api.Secret}
}

func (s *stage) apply(ctx context.Context) error {
	var servers []struct{ Name string }
	if err := s.api.Call(ctx, "read", "ListServers", nil, &servers); err != nil {
		return err
	}
	if len(servers) == 0 {
		return errors.New("berth up has no server: the local agent has not joined")
	}
	t, err := template.ParseFS(scene, "scene/berth.toml.tmpl")
	if err != nil {
		return err
	}
	var text bytes.Buffer
	err = t.Execute(&text, map[string]any{"Server": servers[0].Name, "GitHost": s.gitHost, "Stacks": stacks(), "Secret": s.secret})
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, "berth.toml")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		return err
	}
	return s.cli(ctx, s.out, "apply", "--yes", path)
}

func (s *stage) push(ctx context.Context) error {
	files := map[string]string{}
	for _, name := range stacks() {
		text, err := scene.ReadFile("scene/" + name + "/compose.yaml")
		if err != nil {
			return err
		}
		files[name+"/compose.yaml"] = string(text)
	}
	commit, err := s.repo.Commit(ctx, gittest.Change{Files: files, Message: "Open the blog and the shop"})
	if err != nil {
		return err
	}
	s.say("pushed %s to main", commit[:10])
	d, err := forge.Forgejo.Push(forge.Push{Owner: "harbour", Repo: "homelab", URL: "http://" + s.gitHost, After: commit, Message: "Open the blog and the shop"})
	if err != nil {
		return err
	}
	answer, err := forge.Deliver(ctx, s.url()+"/listener/github/procedure/on-push/main", s.secret, d)
	if err != nil {
		return err
	}
	var verdict struct {
		Verdict string `json:"verdict"`
		Reason  string `json:"reason"`
		Run     string `json:"run"`
		URL     string `json:"url"`
	}
	if err := json.Unmarshal(answer.Body, &verdict); err != nil || answer.Status != http.StatusOK || verdict.Run == "" {
		return fmt.Errorf("the webhook was answered %d: %s", answer.Status, answer.Body)
	}
	s.runID, s.runURL = verdict.Run, verdict.URL
	if strings.HasPrefix(s.runURL, "/") || s.runURL == "" {
		s.runURL = s.url() + "/runs/" + s.runID
	}
	s.say("webhook %s: %s", verdict.Verdict, verdict.Reason)
	return nil
}

func (s *stage) follow(ctx context.Context) error {
	if err := s.cli(ctx, s.out, "runs", "logs", "-f", s.runID); err != nil {
		return err
	}
	for _, name := range stacks() {
		list, err := s.docker.Containers(ctx, name)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return fmt.Errorf("stack %s has no container: the run did not deploy it; see %s", name, s.runURL)
		}
		for _, c := range list {
			s.say("%-14s %s%s", c.Name, c.Status, published(c.Ports))
		}
	}
	return nil
}

// curtain says what there is to play with.
func (s *stage) curtain(once bool) {
	s.title("Both stacks are deployed")
	s.say("the run      %s", s.runURL)
	if once {
		return
	}
	s.say("sign in      demo / %s", s.password)
	s.say("push again   git clone %s, change %s, push, then", s.repo.URL(), strings.Join(stacks(), " or "))
	s.say("             %s execute run-procedure on-push", s.binary)
	s.say("with         export %s", strings.Join(s.keys(), " "))
	s.say("Ctrl-C ends it and takes everything away.")
}

// close takes away what was built up, last things first.
func (s *stage) close(ctx context.Context) error {
	var errs []error
	if s.api != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		for _, name := range stacks() {
			_, err := s.api.Execute(ctx, "DestroyStack", wire.Params{"stack": name})
			errs = append(errs, err)
		}
	}
	for _, undo := range slices.Backward(s.undo) {
		errs = append(errs, undo())
	}
	return errors.Join(errs...)
}

// published tells where a container answers, " at http://127.0.0.1:32768".
func published(ports []schema.Port) string {
	var text strings.Builder
	for _, p := range ports {
		if p.Public != 0 && p.IP != "" {
			fmt.Fprintf(&text, " at http://%s:%d", p.IP, p.Public)
		}
	}
	return text.String()
}
