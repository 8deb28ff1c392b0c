package webhook

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"berth/schema"
)

// push is what a forge said, in one form for all forges.
type push struct {
	Forge   string // GitHub, Gitea, Forgejo, GitLab; "" when no header tells
	Event   string // push, tag, ping, or the forge's own word for anything else
	Unique  string // names this delivery: one that comes again has the same
	Ref     string // as sent: refs/heads/main
	Deleted bool   // the ref is gone
	Repo    string // namespace/name
	Commit  string
	Message string // first line
	By      string
}

// Branch returns the branch of the push, or "" when it is not of a branch.
func (p push) Branch() string {
	b, ok := strings.CutPrefix(p.Ref, "refs/heads/")
	if !ok {
		return ""
	}
	return b
}

// Cause returns the push as the cause of a run.
func (p push) Cause(delivery string) schema.Cause {
	ref := p.Branch()
	if ref == "" {
		ref = p.Ref
	}
	return schema.Cause{
		Kind: "webhook", Delivery: delivery, Ref: ref, Repo: p.Repo,
		Commit: p.Commit, Message: p.Message, By: p.By,
	}
}

// payload holds the members of all forges' bodies that matter here; names that
// one forge uses are absent in the others'.
type payload struct {
	Ref        string   `json:"ref"`
	After      string   `json:"after"`
	Deleted    bool     `json:"deleted"`
	ObjectKind string   `json:"object_kind"`  // GitLab
	CheckedOut string   `json:"checkout_sha"` // GitLab; null when the ref is gone
	UserName   string   `json:"user_name"`    // GitLab
	UserLogin  string   `json:"user_username"`
	Zen        string   `json:"zen"` // a GitHub ping
	Head       *commit  `json:"head_commit"`
	Commits    []commit `json:"commits"`
	Pusher     person   `json:"pusher"`
	Sender     person   `json:"sender"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
	Project struct {
		Path string `json:"path_with_namespace"`
	} `json:"project"`
}

type commit struct {
	ID      string `json:"id"`
	Message string `json:"message"`
}

type person struct {
	Name     string `json:"name"`
	Login    string `json:"login"`
	Username string `json:"username"`
}

// zeroCommit is what forges send as the new commit of a ref that is gone.
const zeroCommit = "0000000000000000000000000000000000000000"

// read understands a delivery by its headers and body. It never fails on headers;
// a body that is not a JSON object is Invalid.
func read(h http.Header, body []byte) (push, error) {
	p := headers(h, body)
	text, err := jsonOf(h, body)
	if err != nil {
		return p, err
	}
	var in payload
	if err := json.Unmarshal(text, &in); err != nil {
		return p, schema.Errorf(schema.Invalid, "the body is not a JSON object: %v", err)
	}
	p.Ref, p.Commit = in.Ref, cmp.Or(in.After, in.CheckedOut)
	p.Deleted = in.Deleted || strings.Trim(in.After, "0") == "" && len(in.After) >= len(zeroCommit)
	if p.Deleted {
		p.Commit = ""
	}
	p.Repo = cmp.Or(in.Repository.FullName, in.Project.Path)
	p.By = cmp.Or(in.Pusher.Login, in.Pusher.Username, in.Pusher.Name, in.UserLogin, in.UserName, in.Sender.Login, in.Sender.Username)
	p.Message = in.message(p.Commit)
	if p.Event == "" {
		p.Event = in.event()
	}
	return p, nil
}

// event guesses what a sender without an event header means: a script that posts
// a ref means a push.
func (in payload) event() string {
	switch {
	case in.ObjectKind != "":
		return in.ObjectKind
	case in.Zen != "":
		return "ping"
	case in.Ref != "":
		return "push"
	}
	return ""
}

// message returns the first line of the message of commit id.
func (in payload) message(id string) string {
	text := ""
	if in.Head != nil && (in.Head.ID == id || id == "") {
		text = in.Head.Message
	}
	for _, c := range in.Commits {
		if c.ID == id {
			text = c.Message
		}
	}
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	const long = 200
	if r := []rune(line); len(r) > long {
		line = string(r[:long]) + "…"
	}
	return strings.TrimSpace(line)
}

// headers reads what the headers say. Forgejo sends Gitea's and GitHub's headers
// too, Gitea sends GitHub's: the most specific wins.
func headers(h http.Header, body []byte) push {
	var p push
	for _, f := range []struct{ forge, event, unique string }{
		{"Forgejo", "X-Forgejo-Event", "X-Forgejo-Delivery"},
		{"Gitea", "X-Gitea-Event", "X-Gitea-Delivery"},
		{"GitLab", "X-Gitlab-Event", "X-Gitlab-Event-Uuid"},
		{"GitHub", "X-Github-Event", "X-Github-Delivery"},
	} {
		if h.Get(f.event) == "" && h.Get(f.unique) == "" {
			continue
		}
		p = push{Forge: f.forge, Event: eventName(h.Get(f.event)), Unique: h.Get(f.unique)}
		break
	}
	sum := sha256.Sum256(body)
	switch {
	case p.Unique == "":
		p.Unique = "sha256:" + hex.EncodeToString(sum[:])
	case p.Forge == "GitLab":
		// Webhooks that one event sets off one after another share the id: only the
		// same body is the same delivery.
		p.Unique += " " + hex.EncodeToString(sum[:8])
	}
	if len(p.Unique) > 200 {
		p.Unique = "sha256:" + hex.EncodeToString(sum[:])
	}
	return p
}

// eventName brings GitLab's words ("Push Hook") into the form of the others.
func eventName(s string) string {
	s = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(s)), " hook")
	s = strings.ReplaceAll(s, " ", "_")
	if s == "tag_push" {
		return "tag"
	}
	if len(s) > 60 {
		s = s[:60]
	}
	return s
}

// Payload returns the JSON of the body of a delivery that was taken in.
func Payload(body []byte) (json.RawMessage, error) { return jsonOf(http.Header{}, body) }

// jsonOf returns the JSON of a body, which GitHub and Gitea may also send as the
// form field "payload".
func jsonOf(h http.Header, body []byte) ([]byte, error) {
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	isForm := kind == "application/x-www-form-urlencoded" || bytes.HasPrefix(body, []byte("payload="))
	if !isForm || bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return body, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("payload") == "" {
		return nil, schema.Errorf(schema.Invalid, `the body is a form without a field "payload"`)
	}
	return []byte(form.Get("payload")), nil
}
