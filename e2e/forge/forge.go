// Package forge sends the webhooks that git hosts send: the headers, signatures
// and body shapes of GitHub, GitLab, Gitea and Forgejo, after their public
// documentation, with values of our own.
//
// Everything is a value; Deliver may be called from any number of goroutines.
package forge

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"text/template"
	"time"
)

// Forge is a kind of git host.
type Forge string

// The git hosts.
const (
	GitHub  Forge = "github"
	GitLab  Forge = "gitlab"
	Gitea   Forge = "gitea"
	Forgejo Forge = "forgejo"
)

// All returns every git host, for tables.
func All() []Forge { return []Forge{GitHub, GitLab, Gitea, Forgejo} }

// Provider returns the segment of the webhook URL for the host: Gitea and Forgejo
// sign as GitHub does.
func (f Forge) Provider() string {
	if f == GitLab {
		return "gitlab"
	}
	return "github"
}

// Zero is the commit that forges name where there is none: before the first push
// of a branch, and after its deletion.
const Zero = "0000000000000000000000000000000000000000"

// Push is what happened to a branch. Before and After default to Zero.
type Push struct {
	Owner, Repo string
	URL         string // base of the host's web pages: https://git.example
	Branch      string // or Ref
	Ref         string // refs/heads/<Branch> unless set
	Before      string
	After       string
	Message     string
	Login       string // who pushed
	Modified    []string
	Forced      bool
	When        time.Time
}

// Deleted reports whether the push removed the branch.
func (p Push) Deleted() bool { return p.After == Zero }

// Created reports whether the push made the branch.
func (p Push) Created() bool { return p.Before == Zero }

// Web is the address of the repository's page.
func (p Push) Web() string { return p.URL + "/" + p.Owner + "/" + p.Repo }

// Host is the host of the git addresses.
func (p Push) Host() string {
	_, host, _ := strings.Cut(p.URL, "://")
	host, _, _ = strings.Cut(host, "/")
	return host
}

// Stamp is the time of the push in ISO form.
func (p Push) Stamp() string { return p.When.UTC().Format(time.RFC3339) }

// Unix is the time of the push in seconds.
func (p Push) Unix() int64 { return p.When.Unix() }

func (p Push) withDefaults() Push {
	set := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	set(&p.Owner, "harbour")
	set(&p.Repo, "homelab")
	set(&p.URL, "https://git.example")
	set(&p.Branch, "main")
	set(&p.Ref, "refs/heads/"+p.Branch)
	set(&p.Before, Zero)
	set(&p.After, Zero)
	set(&p.Message, "say what changed")
	set(&p.Login, "ada")
	if p.Modified == nil {
		p.Modified = []string{}
	}
	if p.When.IsZero() {
		p.When = time.Now()
	}
	return p
}

//go:embed payload
var payloads embed.FS

// Delivery is one webhook, ready to be sent any number of times under one id.
type Delivery struct {
	Forge Forge
	ID    string // the same when a delivery is sent again
	Event string // push, ping
	Body  []byte
}

// Push returns the delivery for a push, with a fresh id.
func (f Forge) Push(p Push) (Delivery, error) {
	funcs := template.FuncMap{"js": func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	}}
	name := string(f) + ".json"
	t, err := template.New(name).Funcs(funcs).ParseFS(payloads, "payload/"+name)
	if err != nil {
		return Delivery{}, err
	}
	var body bytes.Buffer
	if err := t.Execute(&body, p.withDefaults()); err != nil {
		return Delivery{}, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, body.Bytes()); err != nil {
		return Delivery{}, fmt.Errorf("payload of %s is no JSON: %w", f, err)
	}
	return Delivery{Forge: f, ID: uuid(), Event: "push", Body: compact.Bytes()}, nil
}

// Ping returns the delivery with which a webhook is tried out.
func (f Forge) Ping() Delivery {
	return Delivery{Forge: f, ID: uuid(), Event: "ping", Body: []byte(`{"zen":"Keep it simple.","hook_id":7,"hook":{"type":"Repository","id":7,"active":true,"events":["push"]}}`)}
}

// uuid returns a random id in the form that forges use.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Headers returns what the forge sends beside the body, with its signature or
// token; an empty secret leaves that out, as a webhook without a secret does.
func (d Delivery) Headers(secret string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}}
	set := func(kv ...string) {
		for i := 0; i < len(kv); i += 2 {
			h.Set(kv[i], kv[i+1])
		}
	}
	switch d.Forge {
	case GitLab:
		set("User-Agent", "GitLab/18.1.0", "X-Gitlab-Event", "Push Hook", "X-Gitlab-Event-UUID", d.ID,
			"X-Gitlab-Webhook-UUID", "0f5a2c1e-77a1-4b4e-9d0a-5f3b0c2d9e11", "X-Gitlab-Instance", "https://git.example", "Idempotency-Key", d.ID)
		if secret != "" {
			set("X-Gitlab-Token", secret)
		}
		return h
	case Forgejo:
		set("X-Forgejo-Delivery", d.ID, "X-Forgejo-Event", d.Event, "X-Forgejo-Event-Type", d.Event)
		fallthrough
	case Gitea:
		set("User-Agent", "Go-http-client/1.1", "X-Gitea-Delivery", d.ID, "X-Gitea-Event", d.Event, "X-Gitea-Event-Type", d.Event,
			"X-Gogs-Delivery", d.ID, "X-Gogs-Event", d.Event, "X-Gogs-Event-Type", d.Event, "X-GitHub-Event-Type", d.Event)
		fallthrough
	case GitHub:
		set("X-GitHub-Delivery", d.ID, "X-GitHub-Event", d.Event)
	}
	if d.Forge == GitHub {
		set("User-Agent", "GitHub-Hookshot/5a2f1c0", "X-GitHub-Hook-ID", "7", "X-GitHub-Hook-Installation-Target-Type", "repository")
	}
	if secret != "" {
		d.sign(secret, set)
	}
	return h
}

func (d Delivery) sign(secret string, set func(...string)) {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(d.Body)
	sum := hex.EncodeToString(mac.Sum(nil))
	set("X-Hub-Signature-256", "sha256="+sum)
	if d.Forge == Gitea || d.Forge == Forgejo {
		set("X-Gitea-Signature", sum, "X-Gogs-Signature", sum)
	}
	if d.Forge == Forgejo {
		set("X-Forgejo-Signature", sum)
	}
}

// Answer is what the receiver said.
type Answer struct {
	Status int
	Body   []byte
	Took   time.Duration
}

// Deliver sends a delivery to a webhook URL, signed with the secret. Any status is
// an answer; an error means that there was none.
func Deliver(ctx context.Context, url, secret string, d Delivery) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(d.Body))
	if err != nil {
		return Answer{}, err
	}
	maps.Copy(req.Header, d.Headers(secret))
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("deliver webhook: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return Answer{Status: resp.StatusCode, Body: body, Took: time.Since(start)}, err
}
