package webhook

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"

	"berth/schema"
)

// verify checks that the sender knows the secret: an HMAC over the raw body for
// "github" (GitHub, Gitea, Forgejo), the secret itself for "gitlab". Comparisons
// take the same time whatever differs. An empty secret is refused, never computed
// with: anybody could do that.
func verify(provider, secret string, h http.Header, body []byte) error {
	if secret == "" {
		return schema.Errorf(schema.Denied, "no webhook secret is set: set `webhook_secret` of the resource, or start core with --webhook-secret, and give the git host the same")
	}
	if provider == "gitlab" {
		return verifyToken(secret, h.Get("X-Gitlab-Token"))
	}
	return verifySum(secret, h, body)
}

func verifyToken(secret, got string) error {
	if got == "" {
		return schema.Errorf(schema.Unauthenticated, "signature missing: no header X-Gitlab-Token: set the webhook's secret token in GitLab")
	}
	want, have := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(got))
	if subtle.ConstantTimeCompare(want[:], have[:]) != 1 {
		return schema.Errorf(schema.Unauthenticated, "signature wrong: X-Gitlab-Token is not the secret set here")
	}
	return nil
}

func verifySum(secret string, h http.Header, body []byte) error {
	got := h.Get("X-Hub-Signature-256")
	if got == "" {
		// Forgejo and Gitea can be told to send their own header only.
		got = cmp.Or(h.Get("X-Forgejo-Signature"), h.Get("X-Gitea-Signature"))
	}
	if got == "" {
		return schema.Errorf(schema.Unauthenticated, "signature missing: no header X-Hub-Signature-256: set the webhook's secret at the git host")
	}
	sum, err := hex.DecodeString(strings.TrimPrefix(strings.ToLower(got), "sha256="))
	if err != nil || len(sum) != sha256.Size {
		return schema.Errorf(schema.Unauthenticated, "signature wrong: X-Hub-Signature-256 is not a SHA-256 in hex")
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	if !hmac.Equal(sum, mac.Sum(nil)) {
		return schema.Errorf(schema.Unauthenticated, "signature wrong: the secret at the git host is not the one set here")
	}
	return nil
}
