package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"berth/bus/bustest"
	"berth/core/access"
	"berth/core/api"
	"berth/core/run"
	"berth/schema"
)

// live opens /ws/update and says what is sent first.
func (w *world) live(first string) (*websocket.Conn, string) {
	w.t.Helper()
	c, _, err := websocket.Dial(w.t.Context(), strings.Replace(w.server.URL, "http", "ws", 1)+"/ws/update", nil) //nolint:bodyclose // the library closes it
	must(w.t, err)
	w.t.Cleanup(func() { _ = c.CloseNow() })
	must(w.t, c.Write(w.t.Context(), websocket.MessageText, []byte(first)))
	return c, w.hear(c)
}

// hear returns the next message.
func (w *world) hear(c *websocket.Conn) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	_, text, err := c.Read(ctx)
	must(w.t, err)
	return string(text)
}

// closed returns the code that the other end closes with.
func (w *world) closed(c *websocket.Conn) websocket.StatusCode {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	_, text, err := c.Read(ctx)
	if err == nil {
		w.t.Fatalf("not closed, but told %s", text)
	}
	return websocket.CloseStatus(err)
}

func (w *world) keyLogin() string {
	return `{"type":"ApiKeys","params":` + jsonText(map[string]string{"key": w.key, "secret": w.secret}) + `}`
}

func TestLiveUpdates(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	c, first := w.live(w.keyLogin())
	if first != "LOGGED_IN" {
		t.Fatalf("answer to the login: %s", first)
	}
	must(t, c.Write(t.Context(), websocket.MessageText, []byte("what a client says is ignored")))
	started := ok[update](w, "/execute/RunProcedure", `{"procedure":"deploy"}`)
	seen := []api.UpdateItem{}
	for len(seen) == 0 || seen[len(seen)-1].Status != "Complete" {
		var u api.UpdateItem
		if text := w.hear(c); json.Unmarshal([]byte(text), &u) != nil || u.ID != started.ID.OID {
			t.Fatalf("not an item of the run: %s", text)
		}
		if seen = append(seen, u); len(seen) == 1 {
			close(w.release)
		}
	}
	last := seen[len(seen)-1]
	if len(seen) < 2 || last.Operation != "RunProcedure" || last.Username == "" || last.Target.Type != "Procedure" || !last.Success {
		t.Errorf("told %+v", seen)
	}
	// A run that ends at once is told twice as well.
	quick := ok[update](w, "/execute/DeployStack", `{"stack":"web"}`)
	for _, want := range []string{"InProgress", "Complete"} {
		for { // Queued and steps may come between
			var u api.UpdateItem
			must(t, json.Unmarshal([]byte(w.hear(c)), &u))
			if u.ID != quick.ID.OID {
				t.Fatalf("told of %+v", u)
			}
			if u.Status == want {
				break
			}
		}
	}
	must(t, c.Close(websocket.StatusNormalClosure, ""))
}

func TestLiveUpdatesByToken(t *testing.T) {
	w := newWorld(t)
	_, text := w.send("/auth/login/LoginLocalUser", `{"username":"ada","password":"correct horse"}`, http.Header{"Content-Type": {"application/json"}})
	var login struct {
		Data json.RawMessage `json:"data"`
	}
	must(t, json.Unmarshal([]byte(text), &login))
	if _, first := w.live(`{"type":"Jwt","params":` + string(login.Data) + `}`); first != "LOGGED_IN" {
		t.Errorf("answer to the login: %s", first)
	}
}

func TestLiveUpdatesKeepStrangersOut(t *testing.T) {
	w := newWorld(t)
	for first, want := range map[string]string{
		`hello`:                                 "[400 Bad Request]: ",
		`{"type":"Cookie","params":{"id":"1"}}`: "[400 Bad Request]: ",
		`{"type":"Jwt","params":{"jwt":"nonsense"}}`:                      "[401 Unauthorized]: ",
		`{"type":"ApiKeys","params":{"key":"` + w.key + `","secret":""}}`: "[401 Unauthorized]: ",
	} {
		c, answer := w.live(first)
		if !strings.HasPrefix(answer, want) {
			t.Errorf("%s: %s", first, answer)
		}
		if code := w.closed(c); code != websocket.StatusPolicyViolation {
			t.Errorf("%s: closed with %d", first, code)
		}
	}
	for range 5 {
		w.live(`{"type":"ApiKeys","params":{"key":"K_no_K","secret":"S_no_S"}}`)
	}
	if _, answer := w.live(`{"type":"ApiKeys","params":{"key":"K_no_K","secret":"S_no_S"}}`); !strings.HasPrefix(answer, "[429 Too Many Requests]: ") {
		t.Errorf("failures are counted: %s", answer)
	}
	if _, answer := w.live(w.keyLogin()); answer != "LOGGED_IN" {
		t.Errorf("valid credentials are never refused: %s", answer)
	}
}

func TestLiveUpdatesEndWithTheKey(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	c, _ := w.live(w.keyLogin())
	u, err := w.deps.Gate.Authenticate(t.Context(), w.auth(), "")
	must(t, err)
	other, secret, err := w.deps.Gate.NewKey(t.Context(), u.UserID, "other", 0)
	must(t, err)
	must(t, w.deps.Gate.DeleteKey(t.Context(), u.UserID, w.key))
	w.key, w.secret = other, secret
	ok[update](w, "/execute/DeployStack", `{"stack":"web"}`)
	if text := w.hear(c); !strings.HasPrefix(text, `{"msg":"`) || !strings.Contains(text, `"type":"INVALID_USER"`) {
		t.Errorf("told %s", text)
	}
	if code := w.closed(c); code != websocket.StatusPolicyViolation {
		t.Errorf("closed with %d", code)
	}
}

// TestLiveUpdatesAreForThoseWhoMayRead takes the rights of the only user away.
func TestLiveUpdatesAreForThoseWhoMayRead(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	c, _ := w.live(w.keyLogin())
	u, err := w.deps.Gate.Authenticate(t.Context(), w.auth(), "")
	must(t, err)
	users := open[access.User](t, w.bus, "USERS")
	_, err = users.Edit(t.Context(), u.UserID, func(v *access.User) error {
		v.Admin, v.Super = false, false
		return nil
	})
	must(t, err)
	bustest.Eventually(t, 20*time.Second, "the rights are known", func() bool {
		c, err := w.deps.Gate.Authenticate(t.Context(), w.auth(), "")
		return err == nil && !c.Admin
	})
	start := func() { // as core does
		r, err := w.engine.Start(t.Context(), run.StartReq{Action: "Sleep", Params: json.RawMessage(`{"duration_ms":1}`), Target: schema.Target{Kind: "system", ID: "system", Name: "system"}})
		must(t, err)
		bustest.Eventually(t, 20*time.Second, "the run ends", func() bool {
			now, err := w.engine.Get(t.Context(), r.ID)
			return err == nil && now.State.Terminal()
		})
	}
	start()
	must(t, w.deps.Gate.DeleteKey(t.Context(), u.UserID, w.key))
	start()
	if text := w.hear(c); !strings.Contains(text, `"type":"INVALID_USER"`) {
		t.Errorf("told of what he may not read: %s", text)
	}
}
