package alert

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"berth/schema"
)

func TestAnswerThatRepeatsTheAddressDoesNotTellIt(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "Cannot POST "+r.URL.RequestURI()+" token "+r.URL.Query().Get("token")+" at "+r.URL.Path)
	}))
	t.Cleanup(srv.Close)
	w := newWorld(t)
	err := w.post(t.Context(), custom(srv.URL+"/hook/[[HOOK]]?token=to+ken%2Fvalue"), schema.Alert{})
	if err == nil || !strings.Contains(err.Error(), "Cannot POST …") {
		t.Fatalf("have %v", err)
	}
	for _, word := range []string{"s3cret", "ken/value", "ken%2Fvalue"} {
		if strings.Contains(err.Error(), word) {
			t.Errorf("%q is in %q", word, err)
		}
	}
}
