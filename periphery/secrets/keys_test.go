package secrets

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

const testRecipient = "age1rdkjkezj6hl5g6dx0vcrjw86t7maj3j8hgnefu20vz7j36nzr3pq0d420j"

// keyFile copies a key of testdata with mode 0600 (git keeps no such modes).
func keyFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys.txt")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func openKeys(t *testing.T, name string) *Keys {
	t.Helper()
	k, err := Open(keyFile(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// wantError checks code and text of an error, and that it is safe to show.
func wantError(t *testing.T, err error, code schema.Code, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", code)
	}
	if got := schema.CodeOf(err); got != code {
		t.Errorf("code %s, want %s (%v)", got, code, err)
	}
	text := schema.SafeText(err)
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("text %q lacks %q", text, p)
		}
	}
	for _, secret := range []string{"KEY-1LX6", "hunter2", "canary"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error gives away %q: %v", secret, err)
		}
	}
}

func TestOpenKeys(t *testing.T) {
	k := openKeys(t, "age-key.txt")
	if diff := cmp.Diff([]string{testRecipient}, k.Recipients()); diff != "" {
		t.Error(diff)
	}
}

func TestOpenRefuses(t *testing.T) {
	secret := "AGE-SECRET-KEY-1LX6CR7CT7XX3P8YC804X9MTWUTMCKNL4U2GP5K8R3ALPF9UCCAASLCN3PR"
	for _, tc := range []struct {
		name, text string
		mode       os.FileMode
		code       schema.Code
		want       string
	}{
		{"group readable", secret, 0o640, schema.Denied, "mode 0640 lets other users at it: run: chmod 600 "},
		{"world readable", secret, 0o604, schema.Denied, "chmod 600 "},
		{"empty", "# nothing\n", 0o600, schema.Invalid, "no age identity"},
		{"garbled", "\n" + secret[:40] + "canary", 0o600, schema.Invalid, "line 2 is not a valid age identity"},
		{"garbage", "hunter2", 0o600, schema.Invalid, "line 1"},
		{"ssh", "-----BEGIN OPENSSH PRIVATE KEY-----", 0o600, schema.Unsupported, "SSH"},
		{"plugin", "AGE-PLUGIN-YUBIKEY-1XXX", 0o600, schema.Unsupported, "plugin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "k")
			if err := os.WriteFile(file, []byte(tc.text), tc.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, tc.mode); err != nil {
				t.Fatal(err)
			}
			_, err := Open(file)
			wantError(t, err, tc.code, tc.want, file)
		})
	}
	t.Run("missing", func(t *testing.T) {
		_, err := Open("/nonexistent/keys.txt")
		wantError(t, err, schema.NotFound, "/nonexistent/keys.txt", "age-keygen")
	})
	t.Run("folder", func(t *testing.T) {
		_, err := Open(t.TempDir())
		wantError(t, err, schema.Invalid, "not a regular file")
	})
	t.Run("owner", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Fatal("this test gives a file to another user: run it as root")
		}
		file := keyFile(t, "age-key.txt")
		if err := os.Chown(file, 1234, 1234); err != nil {
			t.Fatal(err)
		}
		_, err := Open(file)
		wantError(t, err, schema.Denied, "belongs to uid 1234", "chown 0 "+file)
	})
}

func TestFindAndCreate(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "sub", "a"), filepath.Join(dir, "b")
	k, err := Find(a, b)
	if err != nil || len(k.Recipients()) != 0 {
		t.Fatal(k, err)
	}
	data, err := os.ReadFile("testdata/app.sops.env")
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Decrypt("x/app.sops.env", data)
	wantError(t, err, schema.NotFound, "no age key on this host", a, b, testRecipient)
	_, err = (*Keys)(nil).Decrypt("x/app.sops.env", data)
	wantError(t, err, schema.NotFound, "no age key on this host")

	made, err := Create(a)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Find(b, a)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made.Recipients(), found.Recipients()); diff != "" || found.File() != a {
		t.Error(diff, found.File())
	}
	_, err = Create(a)
	wantError(t, err, schema.Conflict, a)
}

func TestDigester(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data", "digest.key")
	d, err := OpenDigester(file)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenDigester(file)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := d.Digest([]byte("ab"), []byte("c")), again.Digest([]byte("ab"), []byte("c")); a != b || len(a) != 64 {
		t.Error(a, b)
	}
	if d.Digest([]byte("ab"), []byte("c")) == d.Digest([]byte("a"), []byte("bc")) {
		t.Error("borders of parts do not count")
	}
	other, err := OpenDigester(filepath.Join(t.TempDir(), "digest.key"))
	if err != nil {
		t.Fatal(err)
	}
	if other.Digest([]byte("x")) == d.Digest([]byte("x")) {
		t.Error("two hosts give the same digest")
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = OpenDigester(file)
	wantError(t, err, schema.Denied, "chmod 600")
}
