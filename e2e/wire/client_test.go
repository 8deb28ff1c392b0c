package wire_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"berth/e2e/wire"
)

// TestClient holds the wire: forms, credentials, errors, and following an update.
func TestClient(t *testing.T) {
	asked := 0
	mux := http.NewServeMux()
	answer := func(pattern, text string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
	}
	answer("GET /version", "2.3.2")
	answer("POST /auth/login/LoginLocalUser", `{"type":"Jwt","data":{"jwt":"j"}}`)
	answer("POST /auth/manage/CreateApiKey", `{"key":"K_1","secret":"S_1"}`)
	answer("POST /execute/DeployStack", `{"_id":{"$oid":"0123456789abcdef01234567"},"status":"InProgress"}`)
	mux.HandleFunc("POST /read/GetUpdate", func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("x-api-key") != "K_1" || r.Header.Get("x-api-secret") != "S_1" {
			t.Errorf("credentials %v", r.Header)
		}
		status := "InProgress"
		if asked == 2 {
			status = "Complete"
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "success": true})
	})
	mux.HandleFunc("POST /read", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"error":"unknown request","trace":["GetNonsense"]}`))
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	c, err := wire.Login(t.Context(), server.URL, "admin", "pw")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	u, err := c.Execute(t.Context(), "DeployStack", wire.Params{"stack": "web"})
	if err != nil || !u.Success || asked != 2 {
		t.Errorf("update %+v after %d questions, error %v", u, asked, err)
	}
	var p *wire.AnswerError
	if err := c.CallBody(t.Context(), "read", "GetNonsense", nil, nil); !errors.As(err, &p) || p.Status != 422 || p.Text != "unknown request" {
		t.Errorf("error %v", err)
	}
}
