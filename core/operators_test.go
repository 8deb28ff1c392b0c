package core

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"berth/bus"
	"berth/bus/bustest"
	"berth/core/api"
)

// client talks to a running core as its first administrator, over TLS that is not
// checked.
type client struct {
	t   *testing.T
	url string
	jwt string
	*http.Client
	keys map[string]string // public nkeys of operators, by name
}

func signIn(t *testing.T, addr string) *client {
	t.Helper()
	c := &client{t: t, keys: map[string]string{}, url: "https://" + addr, Client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
	var login struct {
		Data struct {
			JWT string `json:"jwt"`
		} `json:"data"`
	}
	c.post("/auth/login/LoginLocalUser", map[string]string{"username": "mira", "password": "correct horse battery"}, &login)
	c.jwt = login.Data.JWT
	return c
}

func (c *client) post(path string, params, into any) {
	c.t.Helper()
	body, err := json.Marshal(params)
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.jwt != "" {
		req.Header.Set("Authorization", c.jwt)
	}
	res, err := c.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || json.Unmarshal(text, into) != nil {
		c.t.Fatalf("POST %s: %d %s %v", path, res.StatusCode, text, err)
	}
}

// operator lets an operator in and connects him as the stock client would, through
// the NATS door or through core's HTTP port.
func (c *client) operator(name, role, door string) (*nats.Conn, func(subject string) bool) {
	c.t.Helper()
	seed := bustest.Seed(c.t)
	var o api.Operator
	c.keys[name] = bustest.Public(c.t, seed)
	c.post("/write/CreateOperator", api.OperatorParams{Name: name, Role: role, NKey: c.keys[name]}, &o)
	if door == "" {
		door = o.URL
	}
	sign, err := nats.NkeyOptionFromSeed(file(c.t, seed))
	if err != nil {
		c.t.Fatal(err)
	}
	var mu sync.Mutex
	var refused []string
	opts := []nats.Option{sign, nats.CustomInboxPrefix(o.InboxPrefix), nats.Secure(&tls.Config{InsecureSkipVerify: true}), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		mu.Lock()
		defer mu.Unlock()
		refused = append(refused, err.Error())
	})}
	if strings.HasPrefix(door, "wss:") {
		opts = append(opts, nats.ProxyPath(bus.WSPath))
	}
	nc, err := nats.Connect(door, opts...)
	if err != nil {
		c.t.Fatalf("%s connects to %s: %v", name, door, err)
	}
	c.t.Cleanup(nc.Close)
	return nc, func(subject string) bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(strings.Join(refused, "\n"), `"`+subject+`"`)
	}
}

// TestTheTableIsServedOnTheBus asks as an operator with the stock client, through
// both doors.
func TestTheTableIsServedOnTheBus(t *testing.T) {
	cfg := config(t, t.TempDir())
	cfg.Log = bustest.Log(t)
	cfg.NATSListen, cfg.AdminUsername, cfg.AdminPassword, cfg.Version = "127.0.0.1:0", "mira", "correct horse battery", "0.9.0"
	info, _ := serve(t, cfg)
	c := signIn(t, info.Addr)
	c.post("/write/CreateStack", map[string]any{"name": "web", "config": map[string]any{"file_contents": "services: {}"}}, &struct{}{})
	c.post("/write/CreateProcedure", map[string]any{"name": "nothing"}, &struct{}{})
	for name, door := range map[string]string{"nats": "", "websocket": "wss://" + info.Addr} {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			c.operatorsAsk(name, door)
		})
	}
}

func (c *client) operatorsAsk(suffix, door string) {
	t := c.t
	read, refused := c.operator("ada-"+suffix, "read", door)
	exec, _ := c.operator("bob-"+suffix, "exec", door)
	var stacks []struct {
		Name string `json:"name"`
	}
	if m := ask(t, read, "berth.api.read.ListStacks", "{}"); json.Unmarshal(m.Data, &stacks) != nil || len(stacks) != 1 || stacks[0].Name != "web" {
		t.Errorf("list: %s", m.Data)
	}
	if m := ask(t, read, "berth.api.read.GetVersion", ""); string(m.Data) != `{"version":"0.9.0"}` {
		t.Errorf("no parameters: %s", m.Data)
	}
	for subject, want := range map[string]string{
		"berth.api.read.GetStack":      "not_found",
		"berth.api.read.Nonsense":      "not_found",
		"berth.api.read.PlanResources": "denied", // an administrator's
	} {
		m := ask(t, read, subject, `{"stack":"wbe","files":[]}`)
		var p struct {
			Error string   `json:"error"`
			Trace []string `json:"trace"`
		}
		if m.Header.Get(micro.ErrorCodeHeader) != want || m.Header.Get(micro.ErrorHeader) == "" || json.Unmarshal(m.Data, &p) != nil || p.Error == "" || p.Trace == nil {
			t.Errorf("%s: %v %s", subject, m.Header, m.Data)
		}
	}
	var update struct {
		Operation string `json:"operation"`
		Operator  string `json:"operator"`
	}
	if m := ask(t, exec, "berth.api.execute.RunProcedure", `{"procedure":"nothing"}`); json.Unmarshal(m.Data, &update) != nil || update.Operation != "RunProcedure" || update.Operator != "op-bob-"+suffix {
		t.Errorf("execute: %v %s", m.Header, m.Data)
	}
	for _, s := range []string{"berth.api.execute.RunProcedure", "berth.api.write.DeleteStack", "core.api.read.GetVersion"} {
		if err := read.PublishRequest(s, read.NewInbox(), []byte("{}")); err != nil {
			t.Fatal(err)
		}
		bustest.Eventually(t, 20*time.Second, "the server refuses "+s, func() bool { return refused(s) })
	}
	c.answersGoNowhereElse(read, exec, "bob-"+suffix)
	if m := ask(t, read, "$SRV.INFO.core", ""); !strings.Contains(string(m.Data), `"core.api.read.*"`) {
		t.Errorf("`nats micro info core`: %s", m.Data)
	}
}

// answersGoNowhereElse tries to have core's answer delivered where the asker may
// not publish: the message that comes there is what was published after it.
func (c *client) answersGoNowhereElse(from, victim *nats.Conn, name string) {
	c.t.Helper()
	inbox := bus.Inbox("op-"+name) + ".x"
	sub, err := victim.SubscribeSync(inbox)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := victim.Flush(); err != nil {
		c.t.Fatal(err)
	}
	m := nats.NewMsg("berth.api.read.GetVersion")
	m.Reply, m.Data = inbox, []byte("{}")
	m.Header.Set("Nats-Request-Info", `{"acc":"FLEET","user":"`+c.keys[name]+`"}`) // the server writes its own over it
	if err := from.PublishMsg(m); err != nil {
		c.t.Fatal(err)
	}
	ask(c.t, from, "berth.api.read.GetVersion", "{}") // handled after it: requests come in in order
	if err := victim.Flush(); err != nil {
		c.t.Fatal(err)
	}
	if n, _, err := sub.Pending(); err != nil || n != 0 {
		c.t.Errorf("an operator chose where core's answer goes: %d messages, %v", n, err)
	}
}

func ask(t *testing.T, nc *nats.Conn, subject, params string) *nats.Msg {
	t.Helper()
	m, err := nc.Request(subject, []byte(params), 10*time.Second)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return m
}

// file writes a seed where the stock client reads it.
func file(t *testing.T, seed []byte) string {
	t.Helper()
	name := t.TempDir() + "/operator.nk"
	if err := bus.WritePrivate(name, seed); err != nil {
		t.Fatal(err)
	}
	return name
}
