package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"berth/bus/hub"
	"berth/e2e/forge"
	"berth/e2e/wire"
	"berth/e2e/world"
)

// searchFiles looks into every file of core's, the agent's and temporary folders.
func (h *canaryWorld) searchFiles(t *testing.T) {
	t.Helper()
	for name, dir := range map[string]string{"core's data": h.Data, "the agent's data": h.Servers[world.Nexus].Data, "temporary files": h.tmp} {
		files := 0
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			rel, _ := filepath.Rel(dir, path)
			h.search(t, name+": "+rel, append(data, rel...))
			return nil
		})
		if err != nil || files == 0 && name != "temporary files" {
			t.Errorf("%s: read %d files (%v)", name, files, err)
		}
	}
}

// writings are the forms in which a secret is looked for.
func writings(v string) map[string]string {
	out := map[string]string{"plain": v, "hex": hex.EncodeToString([]byte(v)), "query": url.QueryEscape(v), "path": url.PathEscape(v)}
	quoted := must(json.Marshal(v))
	out["JSON"] = string(quoted[1 : len(quoted)-1])
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), v...))
		out[fmt.Sprintf("base64+%d", shift)] = text[(shift*8+5)/6 : (shift+len(v))*8/6]
	}
	return out
}

// search fails when a secret is in data in any form.
func (h *canaryWorld) search(t *testing.T, where string, data []byte) {
	t.Helper()
	for name, v := range h.secret {
		for form, text := range writings(v) {
			if at := bytes.Index(data, []byte(text)); at >= 0 {
				t.Errorf("%s: the %s is there (%s): …%q…", where, name, form, data[max(0, at-80):min(len(data), at+len(text)+20)])
				break
			}
		}
	}
}

// canaryShown looks at all that people and clients are shown, and at the logs.
func canaryShown(t *testing.T, h *canaryWorld) {
	d := must(forge.GitHub.Push(forge.Push{Owner: "ada", Repo: "homeops", After: h.private.Git("rev-parse", "main")}))
	v := h.Deliver("github/stack/my-service/deploy", h.secret["webhook secret"], d)
	h.Ended(t, v.Run, minute)
	token := must(forge.GitLab.Push(forge.Push{Owner: "ada", Repo: "homeops", After: h.private.Git("rev-parse", "main")}))
	h.Deliver("gitlab/stack/my-service/deploy", h.secret["webhook secret"], token)
	h.Deliver("gitlab/stack/my-service/deploy", h.secret["variable"], token) // a wrong one
	h.unseal(t)
	seen := &bytes.Buffer{}
	look := func(where string, data []byte) {
		h.search(t, where, data)
		seen.Write(data)
	}
	h.answers(t, look)
	h.shownPages(t, look)
	look("core's log", []byte(h.Core.Output()))
	look("the agent's log", []byte(h.Servers[world.Nexus].Agent.Output()))
	for _, want := range []string{mark, "my-service", "exit status 3"} {
		if !strings.Contains(seen.String(), want) {
			t.Errorf("what was searched does not hold %q: the search is no good", want)
		}
	}
}

// unseal tries to have a secret shown by calling it none.
func (h *canaryWorld) unseal(t *testing.T) {
	t.Helper()
	for request, p := range map[string]wire.Params{
		"UpdateVariableIsSecret":    {"name": "CANARY", "is_secret": false},
		"UpdateVariableDescription": {"name": "CANARY", "description": "mine"},
	} {
		var raw json.RawMessage
		if err := h.API.Call(t.Context(), "write", request, p, &raw); err != nil {
			raw = []byte(err.Error())
		}
		h.search(t, request, raw)
		if err := h.API.Call(t.Context(), "read", "GetVariable", wire.Params{"name": "CANARY"}, &raw); err != nil {
			t.Error(err)
		}
		h.search(t, "GetVariable after "+request, raw)
	}
}

// answers asks core for everything that can be read.
func (h *canaryWorld) answers(t *testing.T, look func(string, []byte)) {
	t.Helper()
	var rows []struct {
		Group, Name string
		Params      []struct {
			Name     string
			Required bool
		}
	}
	if err := h.API.Call(t.Context(), "read", "ListRequests", nil, &rows); err != nil {
		t.Fatal(err)
	}
	ask := func(name string, p wire.Params) bool {
		var raw json.RawMessage
		err := h.API.Call(t.Context(), "read", name, p, &raw)
		look(fmt.Sprintf("%s %v", name, p), raw)
		if err != nil {
			look(name+"'s error", []byte(err.Error()))
		}
		return err == nil
	}
	var deliveries []struct{ ID string }
	if err := h.API.Call(t.Context(), "read", "ListDeliveries", nil, &deliveries); err != nil {
		t.Fatal(err)
	}
	of := map[string][]string{
		"id": h.runs, "stack": {"my-service", "vars", "fails"}, "repo": {"homeops"}, "server": {world.Nexus}, "name": {"CANARY"}, "variable": {"CANARY"},
	}
	for _, d := range deliveries {
		of["id"] = append(of["id"], d.ID)
	}
	asked := 0
	for _, r := range rows {
		if r.Group != "read" || r.Name == "GetStackLog" || r.Name == "SearchStackLog" {
			continue // a container's own output is its owner's affair
		}
		needs := slices.DeleteFunc(slices.Clone(r.Params), func(p struct {
			Name     string
			Required bool
		},
		) bool {
			return !p.Required
		})
		switch {
		case len(needs) == 0:
			ask(r.Name, nil)
			asked++
		case len(needs) == 1:
			for _, value := range of[needs[0].Name] {
				if ask(r.Name, wire.Params{needs[0].Name: value}) {
					asked++
				}
			}
		}
	}
	if asked < 40 {
		t.Errorf("only %d questions were answered", asked)
	}
}

// shownPages reads every page.
func (h *canaryWorld) shownPages(t *testing.T, look func(string, []byte)) {
	t.Helper()
	jar := must(cookiejar.New(nil))
	web := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	get := func(path string, form url.Values) {
		t.Helper()
		method, body := http.MethodGet, io.Reader(nil)
		if form != nil {
			method, body = http.MethodPost, strings.NewReader(form.Encode())
		}
		req := must(http.NewRequestWithContext(t.Context(), method, h.URL+path, body))
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data := must(io.ReadAll(resp.Body))
		if resp.StatusCode != http.StatusOK {
			t.Errorf("page %s: %s", path, resp.Status)
		}
		look("page "+path, data)
	}
	get("/login", url.Values{"username": {world.Admin}, "password": {world.Password}})
	paths := []string{"/", "/runs", "/stacks", "/repos", "/servers", "/procedures", "/variables", "/webhooks", "/apply", "/servers/" + world.Nexus, "/repos/homeops"}
	for _, s := range []string{"my-service", "vars", "fails", "dies", "only-env"} {
		paths = append(paths, "/stacks/"+s)
	}
	for _, id := range h.runs {
		paths = append(paths, "/runs/"+id, "/runs/"+id+"/output", "/runs/"+id+"/output.txt")
	}
	for _, path := range paths {
		get(path, nil)
	}
}

// canaryKept stops everything and reads what is left: the files as they are, and
// every message of every stream and bucket, because blocks are compressed.
func canaryKept(t *testing.T, h *canaryWorld) {
	if code := h.Servers[world.Nexus].Agent.Stop(t); code != 0 {
		t.Errorf("the agent ended with %d", code)
	}
	if code := h.Core.Stop(t); code != 0 {
		t.Errorf("core ended with %d", code)
	}
	h.searchFiles(t)
	ctx, cancel := context.WithTimeout(t.Context(), minute)
	defer cancel()
	dir := filepath.Join(t.TempDir(), "bus")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(h.Data, "core", "bus"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "identity.nk"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := hub.Start(ctx, hub.Options{Dir: dir, LameDuck: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	held, marked := map[string]int{}, false
	streams := b.Conn().JetStream().ListStreams(ctx)
	for info := range streams.Info() {
		s, err := b.Conn().JetStream().Stream(ctx, info.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		for seq := max(1, info.State.FirstSeq); seq <= info.State.LastSeq; seq++ { // 0 when it is empty
			m, err := s.GetMsg(ctx, seq)
			if err != nil {
				if strings.Contains(err.Error(), jetstream.ErrMsgNotFound.Error()) || strings.Contains(err.Error(), "not found") {
					continue
				}
				t.Fatal(err)
			}
			held[info.Config.Name]++
			marked = marked || bytes.Contains(m.Data, []byte(mark))
			h.search(t, fmt.Sprintf("stream %s, %s, #%d", info.Config.Name, m.Subject, seq), append(m.Data, fmt.Sprint(m.Subject, m.Header)...))
		}
	}
	if err := streams.Err(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"RUNS", "OUT", "RES", "DELIVERIES", "KV_RESOURCES", "KV_RUNS_STATE", "KV_DEPLOYED", "KV_USERS"} {
		if held[name] == 0 {
			t.Errorf("nothing was read of %s; read %v", name, held)
		}
	}
	if !marked {
		t.Error("the mark printed beside the secrets is in no stream: the search is no good")
	}
}
