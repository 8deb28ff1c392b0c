package forge_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"berth/e2e/forge"
)

const commit = "5f0c7a3d2b1e4c6f8a9b0d1e2f3a4b5c6d7e8f90"

// TestDeliver holds what a receiver relies on: a body that is JSON, its signature
// over the bytes sent, the delivery id, and the ref.
func TestDeliver(t *testing.T) {
	ids := map[forge.Forge]string{forge.GitHub: "X-GitHub-Delivery", forge.GitLab: "X-Gitlab-Event-UUID", forge.Gitea: "X-Gitea-Delivery", forge.Forgejo: "X-Forgejo-Delivery"}
	for _, f := range forge.All() {
		for _, after := range []string{commit, forge.Zero} {
			d, err := f.Push(forge.Push{After: after, Message: "raise \"quoted\"\nlines", Modified: []string{"web/compose.yaml"}})
			if err != nil {
				t.Fatal(err)
			}
			var got http.Header
			var body []byte
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = r.Header
				body, _ = io.ReadAll(r.Body)
			}))
			defer server.Close()
			answer, err := forge.Deliver(t.Context(), server.URL, "s3cret", d)
			if err != nil || answer.Status != http.StatusOK {
				t.Fatalf("%s: answer %d, error %v", f, answer.Status, err)
			}
			if got.Get(ids[f]) != d.ID {
				t.Errorf("%s: %s is %q, want %q", f, ids[f], got.Get(ids[f]), d.ID)
			}
			mac := hmac.New(sha256.New, []byte("s3cret"))
			mac.Write(body)
			switch signed := strings.TrimPrefix(got.Get("X-Hub-Signature-256"), "sha256="); {
			case f == forge.GitLab && (got.Get("X-Gitlab-Token") != "s3cret" || signed != ""):
				t.Errorf("gitlab: token %q, signature %q", got.Get("X-Gitlab-Token"), signed)
			case f != forge.GitLab && signed != hex.EncodeToString(mac.Sum(nil)):
				t.Errorf("%s: signature %q does not fit the body", f, signed)
			}
			var read struct {
				Ref   string `json:"ref"`
				After string `json:"after"`
			}
			if err := json.Unmarshal(body, &read); err != nil || read.Ref != "refs/heads/main" || read.After != after {
				t.Errorf("%s: read %+v, error %v", f, read, err)
			}
		}
	}
}
