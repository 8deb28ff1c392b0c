package secrets

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// seal encrypts a plain file as the sops tool would, for one key group per
// list of recipients.
func seal(t testing.TB, path string, plain string, groups ...[]string) []byte {
	t.Helper()
	branches, err := storeFor(path).LoadPlainFile([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{
		UnencryptedSuffix: sops.DefaultUnencryptedSuffix, Version: "3.13.3", LastModified: time.Now().UTC(), ShamirThreshold: len(groups),
	}}
	for _, recipients := range groups {
		var group sops.KeyGroup
		for _, r := range recipients {
			key, err := sopsage.MasterKeyFromRecipient(r)
			if err != nil {
				t.Fatal(err)
			}
			group = append(group, key)
		}
		tree.Metadata.KeyGroups = append(tree.Metadata.KeyGroups, group)
	}
	key, errs := tree.GenerateDataKeyWithKeyServices([]keyservice.KeyServiceClient{keyservice.NewLocalClient()})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	cipher := aes.NewCipher()
	mac, err := tree.Encrypt(key, cipher)
	if err != nil {
		t.Fatal(err)
	}
	tree.Metadata.MessageAuthenticationCode, err = cipher.Encrypt(mac, key, tree.Metadata.LastModified.Format(time.RFC3339))
	if err != nil {
		t.Fatal(err)
	}
	out, err := storeFor(path).EmitEncryptedFile(tree)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDecryptFixtures(t *testing.T) {
	keys := openKeys(t, "age-key.txt")
	env := "# db settings\nDB_USER=app\nDB_PASS=p@ss word$with\"quotes'and=eq\nEMPTY=\nMULTI=line1\\nline2\nPLAIN_unencrypted=visible\n"
	for name, want := range map[string]string{
		".sops.env":     env,
		"app.sops.env":  env,
		".sops.json":    "{\n\t\"db\": {\n\t\t\"user\": \"app\",\n\t\t\"pass\": \"s3cret\",\n\t\t\"port\": 5432,\n\t\t\"ok\": true,\n\t\t\"list\": [\n\t\t\t\"a\",\n\t\t\t1,\n\t\t\tnull\n\t\t]\n\t}\n}\n",
		".sops.yaml":    "# comment\ndb:\n    # trailing\n    user: app\n    pass: s3cret\n    port: 5432\n    multi: |\n        a\n        b\nlist:\n    - x\n    - \"y\": 1\n",
		"app.sops.yaml": "# comment\ndb:\n    # trailing\n    user: app\n    pass: s3cret\n    port: 5432\n    multi: |\n        a\n        b\nlist:\n    - x\n    - \"y\": 1\n",
		"blob.sops.bin": "\x00\x01binary\xff\n",
	} {
		plain, err := keys.Decrypt(name, read(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, string(plain)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestRevealValues(t *testing.T) {
	keys := openKeys(t, "age-key.txt")
	c, err := keys.Reveal(".sops.env", read(t, ".sops.env"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range c.Values {
		if strings.Contains(v.Name, "unencrypted") || v.Value == "" {
			t.Errorf("%s stood in the clear or is empty", v.Name)
		}
	}
	names := map[string]bool{}
	for _, v := range c.Values {
		names[v.Name] = true
	}
	if diff := cmp.Diff(map[string]bool{"DB_USER": true, "DB_PASS": true, "MULTI": true}, names); diff != "" {
		t.Error(diff)
	}
	c, err = keys.Reveal("x.yaml", seal(t, "x.yaml", "a:\n  b: canary-one\n  n: 5432\n  yes: true\n  gone: null\nl:\n  - canary-two\nopen_unencrypted: hello-there\njson: '{\"k\": \"inner-canary\"}'\n", []string{testRecipient}))
	if err != nil {
		t.Fatal(err)
	}
	want := []Value{{"a.b", "canary-one"}, {"a.n", "5432"}, {"l.0", "canary-two"}, {"json", `{"k": "inner-canary"}`}, {"json", "inner-canary"}}
	if diff := cmp.Diff(want, c.Values); diff != "" {
		t.Error(diff)
	}
}

func TestDecryptErrors(t *testing.T) {
	keys, other := openKeys(t, "age-key.txt"), openKeys(t, "age-other-key.txt")
	otherRecipient := other.Recipients()[0]
	env, yaml, json := read(t, ".sops.env"), read(t, "app.sops.yaml"), read(t, "app.sops.json")
	sub := func(data []byte, expr, repl string) []byte {
		out := regexp.MustCompile(expr).ReplaceAll(data, []byte(repl))
		if bytes.Equal(out, data) {
			t.Fatalf("%s does not occur", expr)
		}
		return out
	}
	pgp := sub(sub(json, `"recipient": "[^"]*"`, `"fp": "0123456789ABCDEF", "created_at": "2026-01-01T00:00:00Z"`), `"age":`, `"pgp":`)
	for _, tc := range []struct {
		name, file string
		keys       *Keys
		data       []byte
		code       schema.Code
		want       []string
	}{
		{"other host", "s/.sops.env", other, env, schema.Denied, []string{"s/.sops.env", "not encrypted for this host", testRecipient, otherRecipient, "sops updatekeys .sops.env"}},
		{"pgp only", "a.json", keys, pgp, schema.Unsupported, []string{"pgp only", testRecipient, "sops updatekeys a.json"}},
		{"shamir", "a.env", keys, seal(t, "a.env", "A=hunter2\n", []string{testRecipient}, []string{otherRecipient}), schema.Unsupported, []string{"2 of its 2 key groups", testRecipient}},
		{"plain env", "a.sops.env", keys, []byte("A=hunter2\n"), schema.Invalid, []string{"not encrypted", "sops -e -i a.sops.env"}},
		{"plain yaml", "a.sops.yaml", keys, []byte("a: hunter2\n"), schema.Invalid, []string{"not encrypted"}},
		{"plain json", "a.sops.json", keys, []byte(`{"a":"hunter2"}`), schema.Invalid, []string{"not encrypted"}},
		{"not dotenv", "a.sops.env", keys, []byte("hunter2\n"), schema.Invalid, []string{"no sops file", "not valid dotenv"}},
		{"not json", "a.sops.json", keys, []byte(`{"a":hunter2}`), schema.Invalid, []string{"not valid json"}},
		{"not yaml", "a.sops.yaml", keys, []byte("a: 1\nb: [hunter2\n"), schema.Invalid, []string{"not valid yaml"}},
		{"empty", "a.sops.env", keys, nil, schema.Invalid, []string{"not encrypted"}},
		{"tampered value", "a.env", keys, sub(env, `(DB_USER=ENC\[AES256_GCM,data:)....`, "${1}AAAA"), schema.Invalid, []string{"authentication failed"}},
		{"moved value", "a.env", keys, sub(env, `DB_USER=`, "DB_USER2="), schema.Invalid, []string{"authentication failed"}},
		{"removed value", "a.env", keys, sub(env, `DB_USER=.*\n`, ""), schema.Invalid, []string{"MAC mismatch"}},
		{"changed open value", "a.env", keys, sub(env, `=visible`, "=hunter2"), schema.Invalid, []string{"MAC mismatch"}},
		{"no mac", "a.env", keys, sub(env, `sops_mac=.*`, "sops_mac="), schema.Invalid, []string{"MAC"}},
		{"lastmodified", "a.env", keys, sub(env, `sops_lastmodified=.*`, "sops_lastmodified=2020-01-01T00:00:00Z"), schema.Invalid, []string{"lastmodified"}},
		{"bad time", "a.env", keys, sub(env, `sops_lastmodified=.*`, "sops_lastmodified=hunter2"), schema.Invalid, []string{"damaged"}},
		{"edited by hand", "a.env", keys, append([]byte("NEW=hunter2\n"), env...), schema.Invalid, []string{"not encrypted", "sops a.env"}},
		{"yaml edited by hand", "a.yaml", keys, append([]byte("new: 7\n"), yaml...), schema.Invalid, []string{"not encrypted"}},
		{"damaged key", "a.json", keys, sub(json, `YWdlLWVuY3J5cHRpb24`, "YWdlLWVuY3J5cHRpb25"), schema.Invalid, []string{"key stored for it is damaged"}},
		{"too large", "a.json", keys, make([]byte, MaxFile+1), schema.TooLarge, []string{"a.json"}},
		{"wrong format", "a.bin", keys, env, schema.Invalid, []string{"a.bin"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			plain, err := tc.keys.Decrypt(tc.file, tc.data)
			wantError(t, err, tc.code, tc.want...)
			t.Log(err)
			if plain != nil {
				t.Error("plain text beside an error")
			}
		})
	}
}

// Two hosts' keys in one process at once never mix.
func TestDecryptConcurrent(t *testing.T) {
	keys, other := openKeys(t, "age-key.txt"), openKeys(t, "age-other-key.txt")
	mine, theirs := read(t, ".sops.env"), seal(t, "b.env", "B=theirs\n", []string{other.Recipients()[0]})
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for range 32 {
		wg.Go(func() {
			if _, err := keys.Decrypt("a.env", mine); err != nil {
				errs <- err
			}
			if plain, err := other.Decrypt("b.env", theirs); err != nil || string(plain) != "B=theirs\n" {
				errs <- fmt.Errorf("%q %w", plain, err)
			}
			if _, err := keys.Decrypt("b.env", theirs); schema.CodeOf(err) != schema.Denied {
				errs <- fmt.Errorf("opened with the wrong key: %w", err)
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func TestBothRecipients(t *testing.T) {
	keys, other := openKeys(t, "age-key.txt"), openKeys(t, "age-other-key.txt")
	data := seal(t, "a.ini", "[x]\na = b\n", []string{testRecipient, other.Recipients()[0]})
	for _, k := range []*Keys{keys, other} {
		if _, err := k.Decrypt("a.ini", data); err != nil {
			t.Error(err)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	for _, name := range []string{".sops.env", ".sops.json", ".sops.yaml", "blob.sops.bin"} {
		f.Add(name, read(f, name))
	}
	file := filepath.Join(f.TempDir(), "k")
	if err := os.WriteFile(file, read(f, "age-key.txt"), 0o600); err != nil {
		f.Fatal(err)
	}
	keys, err := Open(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		plain, err := keys.Decrypt(name, data)
		if (err != nil) != (plain == nil) {
			t.Errorf("%v with %d bytes", err, len(plain))
		}
	})
}

func TestDiscover(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		".sops.env": "x", "app.sops.env": "x", "x.sops.json": "{}", "y.sops.yml": "", ".sops.yaml": "creation_rules:\n  - age: " + testRecipient + "\n",
		"compose.yaml": "", ".env": "", "sops.env": "", "x.sops.toml": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "dir.sops.env"), 0o755); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	list := func() map[string]string {
		files, err := Discover(dir)
		if err != nil {
			t.Fatal(err)
		}
		clear(got)
		for _, f := range files {
			got[f.Name] = f.Target + " " + f.Format
			if f.Path != filepath.Join(dir, f.Name) {
				t.Error(f.Path)
			}
		}
		return got
	}
	want := map[string]string{".sops.env": ".env dotenv", "app.sops.env": "app.env dotenv", "x.sops.json": "x.json json", "y.sops.yml": "y.yml yaml"}
	if diff := cmp.Diff(want, list()); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(filepath.Join(dir, ".sops.yaml"), read(t, ".sops.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	want[".sops.yaml"] = ".yaml yaml"
	if diff := cmp.Diff(want, list()); diff != "" {
		t.Error(diff)
	}
	if files, err := Discover(filepath.Join(dir, "none")); err != nil || files != nil {
		t.Error(files, err)
	}
}

func TestValues(t *testing.T) {
	for _, tc := range []struct {
		path, text string
		want       []Value
	}{
		{".env", "# c\nA=plain\nexport B=\"quo ted\"\nC='si$ngle' # end\nD=a\\nb\nE=\nF=x # y\nbroken\n", []Value{
			{"A", "plain"}, {"B", `"quo ted"`}, {"B", "quo ted"}, {"C", "'si$ngle' # end"}, {"C", "si$ngle"}, {"D", `a\nb`}, {"D", "a\nb"}, {"E", ""}, {"F", "x # y"}, {"F", "x"},
		}},
		{"a.json", `{"a":{"b":"c"},"n":[1.5,null,true]}`, []Value{{"a.b", "c"}, {"n.0", "1.5"}}},
		{"a.yaml", "a: b # c\n", []Value{{"a", "b"}}},
		{"blob", "xyz", []Value{{"SECRET_FILE", "xyz"}}},
	} {
		got, err := Values(tc.path, []byte(tc.text))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", tc.path, diff)
		}
	}
	_, err := Values("a.json", []byte(`{"a": hunter2}`))
	wantError(t, err, schema.Invalid, "a.json")
}
