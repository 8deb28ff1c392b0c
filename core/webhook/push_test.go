package webhook

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

// recorded reads a delivery: headers, an empty line, the body.
func recorded(t *testing.T, name string) (http.Header, []byte) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".http"))
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(bytes.NewReader(data))
	h, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return http.Header(h), bytes.TrimSuffix(body, []byte("\n"))
}

func sign(secret string, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write(body)
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

func TestRead(t *testing.T) {
	for name, want := range map[string]push{
		"github-push": {
			Forge: "GitHub", Event: "push", Unique: "72d3162e-cc78-11e3-81ab-4c9367dc0958", Ref: "refs/heads/main",
			Repo: "ada/homelab", Commit: "1481a2de7b2a7d02428ad93446ab166be7793fbb", Message: "web: raise the memory limit", By: "ada",
		},
		"gitea-push": {
			Forge: "Gitea", Event: "push", Unique: "f6266f16-1bf3-46a5-9ea4-602e06ead473", Ref: "refs/heads/develop",
			Repo: "ada/homelab", Commit: "bffeb74224043ba2feb48d137756c8a9331c449a", Message: "Pin the image", By: "ada",
		},
		"forgejo-push": {
			Forge: "Forgejo", Event: "push", Unique: "b3c1f5a2-7a43-4c4e-9a2e-9d6c1a0b1f11", Ref: "refs/heads/main",
			Repo: "matt/homelab-docker", Commit: "bffeb74224043ba2feb48d137756c8a9331c449a",
			Message: "Merge pull request 'Update dashy' (#42) from renovate/dashy into main", By: "matt",
		},
		"gitlab-push": {
			Forge: "GitLab", Event: "push", Unique: "13792a34-cac6-4fda-95a8-c58e00a3954e *", Ref: "refs/heads/main",
			Repo: "home/homelab", Commit: "da1560886d4f094c3e6c9ef40349f7d38b5d27d7", Message: "fixed readme", By: "ada",
		},
		"github-ping": {
			Forge: "GitHub", Event: "ping", Unique: "0b989ba4-242f-11e5-81e1-c7b6966d2516", Repo: "ada/homelab", By: "ada",
		},
		"github-deleted": {
			Forge: "GitHub", Event: "push", Unique: "11d3162e-cc78-11e3-81ab-4c9367dc0958", Ref: "refs/heads/main",
			Deleted: true, Repo: "ada/homelab", By: "ada",
		},
		"gitlab-tag": {
			Forge: "GitLab", Event: "tag", Unique: "23792a34-cac6-4fda-95a8-c58e00a3954e *", Ref: "refs/tags/v1.0.0",
			Repo: "home/homelab", Commit: "82b3d5ae55f7080f1e6022629cdb57bfae7cccc7", By: "ada",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, body := recorded(t, name)
			got, err := read(h, body)
			if err != nil {
				t.Fatal(err)
			}
			if id, star := strings.CutSuffix(want.Unique, " *"); star && strings.HasPrefix(got.Unique, id+" ") {
				want.Unique = got.Unique
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReadForm(t *testing.T) {
	h, body := recorded(t, "github-push")
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	got, err := read(h, []byte(url.Values{"payload": {string(body)}}.Encode()))
	if err != nil || got.Ref != "refs/heads/main" {
		t.Fatalf("a payload in a form: %+v, %v", got, err)
	}
}

func TestReadOthers(t *testing.T) {
	for name, c := range map[string]struct {
		body  string
		event string
		ok    bool
	}{
		"a script's push":  {`{"ref":"refs/heads/main"}`, "push", true},
		"an empty object":  {`{}`, "", true},
		"not JSON":         {`hello`, "", false},
		"a list":           {`[1]`, "", false},
		"nothing":          {``, "", false},
		"wrong types":      {`{"ref":{"a":1}}`, "", false},
		"two values":       {`{} {}`, "", false},
		"unknown members":  {`{"ref":"refs/heads/main","x":[{"y":null}]}`, "push", true},
		"null head commit": {`{"ref":"refs/heads/main","head_commit":null}`, "push", true},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := read(http.Header{}, []byte(c.body))
			if (err == nil) != c.ok || p.Event != c.event {
				t.Errorf("event %q, err %v", p.Event, err)
			}
			if err != nil && schema.CodeOf(err) != schema.Invalid {
				t.Errorf("code %s", schema.CodeOf(err))
			}
			if !strings.HasPrefix(p.Unique, "sha256:") {
				t.Errorf("unique %q: without a delivery id it is the body's digest", p.Unique)
			}
		})
	}
}

func TestVerify(t *testing.T) {
	body := []byte(`{"ref":"refs/heads/main"}`)
	sum := sign("hunter2", body)
	for name, c := range map[string]struct {
		provider, secret, header, value string
		want                            schema.Code
	}{
		"github":              {"github", "hunter2", "X-Hub-Signature-256", sum, ""},
		"without the prefix":  {"github", "hunter2", "X-Hub-Signature-256", sum[7:], ""},
		"capital letters":     {"github", "hunter2", "X-Hub-Signature-256", "sha256=" + strings.ToUpper(sum[7:]), ""},
		"Gitea's own":         {"github", "hunter2", "X-Gitea-Signature", sum[7:], ""},
		"Forgejo's own":       {"github", "hunter2", "X-Forgejo-Signature", sum[7:], ""},
		"another secret":      {"github", "other", "X-Hub-Signature-256", sum, schema.Unauthenticated},
		"shortened":           {"github", "hunter2", "X-Hub-Signature-256", sum[:60], schema.Unauthenticated},
		"not hex":             {"github", "hunter2", "X-Hub-Signature-256", "sha256=zz", schema.Unauthenticated},
		"missing":             {"github", "hunter2", "X-Other", sum, schema.Unauthenticated},
		"SHA-1 only":          {"github", "hunter2", "X-Hub-Signature", "sha1=00", schema.Unauthenticated},
		"empty secret":        {"github", "", "X-Hub-Signature-256", sign("", body), schema.Denied},
		"gitlab":              {"gitlab", "hunter2", "X-Gitlab-Token", "hunter2", ""},
		"gitlab, wrong":       {"gitlab", "hunter2", "X-Gitlab-Token", "hunteR2", schema.Unauthenticated},
		"gitlab, missing":     {"gitlab", "hunter2", "X-Other", "secret", schema.Unauthenticated},
		"gitlab, empty":       {"gitlab", "", "X-Gitlab-Token", "", schema.Denied},
		"github's at gitlab":  {"gitlab", "hunter2", "X-Hub-Signature-256", sum, schema.Unauthenticated},
		"gitlab's at github":  {"github", "hunter2", "X-Gitlab-Token", "hunter2", schema.Unauthenticated},
		"gitlab, prefix only": {"gitlab", "hunter2", "X-Gitlab-Token", "hunter", schema.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			h.Set(c.header, c.value)
			err := verify(c.provider, c.secret, h, body)
			if got := schema.CodeOf(err); got != c.want {
				t.Errorf("%v", err)
			}
			if err != nil && c.secret != "" && strings.Contains(err.Error(), c.secret) {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"ref":"refs/heads/main","after":"00","commits":[{"id":"a"}]}`))
	f.Add([]byte(`payload=%7B%7D`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := read(http.Header{}, body)
		if err == nil && strings.ContainsAny(p.Message, "\n") {
			t.Errorf("message of several lines: %q", p.Message)
		}
	})
}
