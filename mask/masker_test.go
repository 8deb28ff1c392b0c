package mask

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const canary = `c4n/ry+"$x' &<\é~` + "`%s=?"

func TestMaskForms(t *testing.T) {
	m := NewMasker()
	if !m.Add("KEY", canary) {
		t.Fatal("not added")
	}
	js, err := json.Marshal(map[string]string{"k": canary})
	if err != nil {
		t.Fatal(err)
	}
	twice, err := json.Marshal(string(js))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{
		"plain": canary, "json": string(js), "json in json": string(twice), "quote": strconv.Quote(canary), "ascii": strconv.QuoteToASCII(canary),
		"query": url.QueryEscape(canary), "path": url.PathEscape(canary), "userinfo": url.UserPassword("u", canary).String(),
		"lower query": strings.ReplaceAll(strings.ToLower(url.QueryEscape(canary)), "c4n", "c4n"),
		"hex":         hex.EncodeToString([]byte(canary)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(canary))), "html": html.EscapeString(canary),
		"std": base64.StdEncoding.EncodeToString([]byte(canary)), "url": base64.URLEncoding.EncodeToString([]byte(canary)),
		"yaml": strings.ReplaceAll(canary, "'", "''"), "compose": strings.ReplaceAll(canary, "$", "$$"),
	}
	for i := range 4 {
		pad := strings.Repeat("u", i)
		texts["shift "+strconv.Itoa(i)] = base64.StdEncoding.EncodeToString([]byte(pad + ":" + canary + "tail"))
		texts["urlshift "+strconv.Itoa(i)] = base64.RawURLEncoding.EncodeToString([]byte(pad + ":" + canary + "tail"))
	}
	for _, script := range []string{`set -x; : "$0"`, `printf %q "$0"`, `printf '%s' "$0" | base64 -w0`, `echo "$0" | base64 -w0`, `printf '%s' "$0" | od -An -tx1 -v | tr -d ' \n'`} {
		out, err := exec.Command("bash", "-c", script, canary).CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		texts[script] = string(out)
	}
	for name, text := range texts {
		got := m.Mask("before " + text + " after")
		if !strings.Contains(got, "<KEY>") || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
			t.Errorf("%s: %q became %q", name, text, got)
		}
		if strings.Contains(got, "c4n") || strings.Contains(got, "ry+") {
			t.Errorf("%s: leak in %q", name, got)
		}
	}
}

func TestMaskLines(t *testing.T) {
	key := "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\nab\n-----END KEY-----\n"
	m := NewMasker()
	m.Add("PEM", key)
	for _, tc := range [][2]string{
		{key, "<PEM>"},
		{"x MIIEvQIBADANBgkq y", "x <PEM> y"},
		{"  hkiG9w0BAQEFAASC\n", "  <PEM>\n"},
		{"-----BEGIN KEY-----\nother", "-----BEGIN KEY-----\nother"},
		{strings.ReplaceAll(strings.TrimSpace(key), "\n", `\n`), "<PEM>"},
	} {
		if got := m.Mask(tc[0]); got != tc[1] {
			t.Errorf("%q became %q", tc[0], got)
		}
	}
	long := strings.Repeat("0123456789abcdef", 12)
	m.Add("LONG", long)
	out, err := exec.Command("bash", "-c", `printf %s "$0" | base64; printf %s "$0" | base64 -w 64`, long).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(m.Mask(string(out))) {
		if strings.TrimSpace(line) != "<LONG>" && len(strings.ReplaceAll(strings.TrimSpace(line), "<LONG>", "")) > 8 {
			t.Errorf("leaks %q", line)
		}
	}
}

func TestMaskRules(t *testing.T) {
	m := NewMasker()
	for _, v := range []string{"", "a", "abc", "äöü", "true", "False", "  \n", "localhost"} {
		if m.Add("X", v) {
			t.Errorf("%q was added", v)
		}
	}
	if got := m.Mask("abc true"); got != "abc true" {
		t.Error(got)
	}
	m.Add("A", "abcdef")
	m.Add("B", "defghi")
	m.Add("C", "abcdef")
	m.Add("L", "cdefghijkl")
	for in, want := range map[string]string{
		"abcdef": "<A>", "xabcdefghiy": "x<A>y", "abcdefabcdef": "<A><A>", "abcdedefghi": "abcde<B>", "abcdefghijkl": "<L>", "": "", "abcde": "abcde", "<A>": "<A>",
	} {
		if got := m.Mask(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// A value is found however the writes cut it, and clear text is not held back.
func TestWriterSplits(t *testing.T) {
	m := NewMasker()
	m.Add("A", "secret-one")
	m.Add("B", "one-secret")
	m.Add("M", "first line\nsecond line\n")
	text := "x secret-one-secret y\nfirst line\nsecond line\nsecret-on\nfirst line\nend secret-one"
	want := m.Mask(text)
	for size := 1; size < len(text); size++ {
		var out bytes.Buffer
		w := m.Writer(&out)
		for at := 0; at < len(text); at += size {
			if _, err := w.Write([]byte(text[at:min(at+size, len(text))])); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Fatalf("size %d: %q, want %q", size, out.String(), want)
		}
	}
	var out bytes.Buffer
	w := m.Writer(&out)
	if _, err := w.Write([]byte("hello\n")); err != nil || out.String() != "hello\n" {
		t.Error("clear text was held back", err)
	}
	if _, err := w.Write([]byte("a new-")); err != nil {
		t.Error(err)
	}
	m.Add("N", "later value")
	if _, err := w.Write([]byte("later val")); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte("ue")); err != nil {
		t.Error(err)
	}
	if out.String() != "hello\na new-<N>" {
		t.Errorf("%q", out.String())
	}
}

// naive masks by brute force: every byte of every occurrence.
func naive(m *Masker, text string) string {
	covered := make([]int32, len(text)+1)
	joined := make([]bool, len(text)+1) // byte i and i-1 belong to one occurrence
	for form := range m.patterns {
		for at := 0; at+len(form) <= len(text); at++ {
			if text[at:at+len(form)] == form {
				for i := range len(form) {
					covered[at+i] = 1
					joined[at+i] = joined[at+i] || i > 0
				}
			}
		}
	}
	var b strings.Builder
	for i := range len(text) {
		switch {
		case covered[i] == 0:
			b.WriteByte(text[i])
		case !joined[i]:
			b.WriteString("#")
		}
	}
	return b.String()
}

func FuzzMask(f *testing.F) {
	f.Add("abab", "babab", "bbbb", "xababababbbbbx", uint64(3))
	f.Add("aaaa", "aaaaa", "aaab", "aaaaaaaaabaaaa", uint64(1))
	f.Fuzz(func(t *testing.T, a, b, c, text string, seed uint64) {
		if len(a)+len(b)+len(c) > 200 || len(text) > 500 {
			return
		}
		m := NewMasker()
		for _, v := range []string{a, b, c} {
			m.Add("\x00", v)
		}
		if strings.Contains(text, "#") || strings.Contains(text, "<\x00>") {
			return
		}
		want := naive(m, text)
		if got := strings.ReplaceAll(m.Mask(text), "<\x00>", "#"); got != want {
			t.Fatalf("%q: %q, want %q", text, got, want)
		}
		var out bytes.Buffer
		w := m.Writer(&out)
		r := rand.New(rand.NewPCG(seed, 0))
		for rest := text; rest != ""; {
			n := 1 + r.IntN(len(rest))
			if _, err := w.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(out.String(), "<\x00>", "#"); got != want {
			t.Fatalf("streamed %q: %q, want %q", text, got, want)
		}
	})
}

func TestMaskConcurrent(t *testing.T) {
	m := NewMasker()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				v := fmt.Sprintf("value-%d-%d!", g, i)
				m.Add("V", v)
				if got := m.Mask("x " + v); got != "x <V>" {
					t.Error(got)
				}
			}
		})
	}
	wg.Wait()
}

func benchMasker(n int) *Masker {
	m := NewMasker()
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		b := make([]byte, 24)
		for j := range b {
			b[j] = byte(33 + r.IntN(90))
		}
		m.Add("SECRET_"+strconv.Itoa(i), string(b))
	}
	return m
}

func BenchmarkMask(b *testing.B) {
	line := strings.Repeat("2026-11-22T05:16:00Z web-1  | GET /api/v1/items?page=2 200 12ms user=alice ", 2) + "\n"
	for _, n := range []int{1, 20, 200, 1000} {
		m := benchMasker(n)
		m.matcher()
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				m.Mask(line)
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	for b.Loop() {
		benchMasker(200).matcher()
	}
}
