package core

import (
	"bufio"
	"net/http"
	"os"
	"strings"
	"testing"
)

// Every request of Komodo has a row, under its old name too.
func TestEveryRequestOfKomodoIsServed(t *testing.T) {
	cfg := config(t, t.TempDir())
	cfg.AllowPlaintext = true
	info, _ := serve(t, cfg)
	f, err := os.Open("testdata/requests.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	total := map[string]int{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if words[0] == "#" {
			continue
		}
		group := words[0]
		total[group]++
		for _, name := range words[1:] {
			// Without a content type, what is known is refused before anybody is asked for.
			status := knock(t, info.Addr, "/"+group+"/"+name)
			if status != http.StatusUnsupportedMediaType {
				t.Errorf("%s %s has no row: it answers %d", group, name, status)
			}
		}
	}
	if total["read"] != 140 || total["write"] != 114 || total["execute"] != 79 {
		t.Errorf("the list has %v", total)
	}
}

func knock(t *testing.T, addr, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	var client http.Client
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}
