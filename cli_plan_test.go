package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"berth/git/gittest"
)

// TestSyncFromTheCommandLine is a whole core: a sync is declared, planned, run, and
// run by a webhook.
func TestSyncFromTheCommandLine(t *testing.T) {
	s := newStation(t)
	forge := gittest.New(t)
	repo := forge.Repo("me/infra")
	repo.Commit(map[string]string{"berth/r.toml": "[[server]]\nname = \"one\"\n"}, "one")
	s.ok("login", s.url, "--username", "ada", "--password-file", write(t, "pw", "correct horse\n"))
	s.ok("apply", "--yes", write(t, "sync.toml", fmt.Sprintf(`
[[resource_sync]]
name = "infra"
[resource_sync.config]
git_provider = %q
git_https = false
repo = "me/infra"
resource_path = ["berth"]
delete = true
webhook_secret = "s3cret of the hook"
`, forge.URL())))
	if out := s.ok("plan", "sync", "infra"); !strings.Contains(out, "+ server one") || !strings.Contains(out, "! resource_sync infra: not declared, and kept") {
		t.Error(out)
	}
	if out := s.ok("execute", "run-sync", "infra", "--yes"); !strings.Contains(out, "RunSync infra") {
		t.Error(out)
	}
	if out := s.ok("list", "servers", "-a"); !strings.Contains(out, "one") {
		t.Error(out)
	}
	if out := s.ok("plan", "sync", "infra"); !strings.Contains(out, "nothing to do") {
		t.Error(out)
	}
	commit := repo.Commit(map[string]string{"berth/s.toml": "[[server]]\nname = \"two\"\n"}, "a push")
	body := fmt.Appendf(nil, `{"ref":"refs/heads/main","after":%q,"repository":{"full_name":"me/infra"},"head_commit":{"id":%q,"message":"a push"}}`, commit, commit)
	mac := hmac.New(sha256.New, []byte("s3cret of the hook"))
	mac.Write(body)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/listener/github/sync/infra/sync", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Github-Event", "push")
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // the core of this test
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(50 * time.Millisecond) {
		if out := s.ok("list", "servers", "-a"); strings.Contains(out, "two") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the push did not sync: %d\n%s", resp.StatusCode, s.ok("runs"))
		}
	}
	repo.Commit(map[string]string{"berth/s.toml": "[[server]\n"}, "a mistake")
	code, out, _ := s.do("plan", "sync", "infra", "--json")
	var plan struct{ Problem struct{ Text string } }
	if err := json.Unmarshal([]byte(out), &plan); code != 2 || err != nil || !strings.Contains(plan.Problem.Text, "berth/s.toml:1") {
		t.Errorf("%d %v %s", code, err, out)
	}
}
