package core

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"berth/schema"
)

func config(t *testing.T, dir string) Config {
	t.Helper()
	return Config{Data: dir, Listen: "127.0.0.1:0", Sync: time.Minute, Log: slog.New(slog.DiscardHandler)}
}

// serve runs core until the test says stop, which returns how it ended.
func serve(t *testing.T, cfg Config) (info Info, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan Info, 1), make(chan error, 1)
	cfg.Ready = func(i Info) { ready <- i }
	go func() { done <- Run(ctx, cfg) }()
	select {
	case info = <-ready:
	case err := <-done:
		t.Fatal(err)
	case <-time.After(30 * time.Second):
		t.Fatal("core does not serve")
	}
	var once bool
	stop = func() error {
		if once {
			return nil
		}
		once = true
		cancel()
		return <-done
	}
	t.Cleanup(func() { _ = stop() })
	return info, stop
}

func TestOneCorePerDataFolderAndPort(t *testing.T) {
	dir := t.TempDir()
	info, stop := serve(t, config(t, dir))
	if info.Setup == "" {
		t.Error("no setup link on the first start")
	}
	err := Run(t.Context(), config(t, dir))
	if schema.CodeOf(err) != schema.Conflict || !strings.Contains(schema.SafeText(err), "used by another core") {
		t.Errorf("a second core on the folder: %v", err)
	}
	other := config(t, t.TempDir())
	other.Listen = info.Addr
	err = Run(t.Context(), other)
	if schema.CodeOf(err) != schema.Conflict || !strings.Contains(schema.SafeText(err), "another program has this port") {
		t.Errorf("a second core on the port: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("end: %v", err)
	}
	again := config(t, dir)
	again.AdminUsername, again.AdminPassword = "mira", "correct horse battery"
	if info, _ := serve(t, again); info.Setup != "" {
		t.Error("a setup link although there is an administrator")
	}
}

func TestCoreNeedsItsPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for listen, word := range map[string]string{"nonsense": "want HOST:PORT", l.Addr().String(): "--listen"} {
		cfg := config(t, t.TempDir())
		cfg.Listen = listen
		if err := Run(t.Context(), cfg); err == nil || !strings.Contains(schema.SafeText(err), word) {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

func TestAgentsGetOnlyTheAccountsTheirCommandNames(t *testing.T) {
	have := []Account{{Provider: "git.example", Username: "ada", Token: "one"}, {Provider: "git.example", Username: "root", Token: "two"}}
	args, err := json.Marshal(schema.StackUpReq{Config: schema.StackConfig{RegistryProvider: "git.example", RegistryAccount: "root"}, Source: &schema.GitSource{Provider: "git.example", Account: "ada"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []schema.AccountRef{{Provider: "git.example", Account: "ada"}, {Provider: "git.example", Account: "root"}}
	git := tokens(have, want, args, "git_provider", "git_account", "provider", "account")
	registry := tokens(have, want, args, "registry_provider", "registry_account")
	if len(git) != 1 || git[0].Token != "one" || len(registry) != 1 || registry[0].Token != "two" {
		t.Errorf("git %v, registry %v", git, registry)
	}
}

// TestStartSaysOneAddress looks for what people are to open: the log names it as the
// setup link does.
func TestStartSaysOneAddress(t *testing.T) {
	var log bytes.Buffer
	cfg := config(t, t.TempDir())
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	info, stop := serve(t, cfg)
	if err := stop(); err != nil { // nothing is logged any more
		t.Fatal(err)
	}
	page, _, _ := strings.Cut(info.Setup, "/setup?")
	if page != "http://"+info.Addr || !strings.Contains(log.String(), `msg="core serves" listen=`+info.Addr+" url="+page+" ") {
		t.Errorf("setup %s, log:\n%s", info.Setup, log.String())
	}
}
