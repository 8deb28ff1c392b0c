package profile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

// files writes files into a new folder, and enters another one in it, "work".
func files(t *testing.T, list map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range list {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "work"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(dir, "work"))
	return dir
}

func envOf(list ...string) func(string) string {
	return func(name string) string {
		for _, v := range list {
			if rest, ok := strings.CutPrefix(v, name+"="); ok {
				return rest
			}
		}
		return ""
	}
}

func TestKomodoFilesAreMerged(t *testing.T) {
	dir := files(t, map[string]string{
		"home/komodo.cli.toml": `
default_profile = "home"
table_borders = "Vertical"
[[profile]]
name = "home"
aliases = ["h"]
host = "https://home"
key = "K_1_K"
secret = "${THE_SECRET}"`,
		"home/zz.komodo.cli.more.yaml": "table_borders: All\nprofile:\n  - {config_profile: office, alias: o, host: 'https://office', cli_key: K_2_K, cli_secret: S_2_S}\n",
		"home/other.toml":              "nonsense = 1",
		"home/.kminclude":              "../extra # further ones\n\n# nothing\n",
		"extra/komodo.cli.json":        `{"max_backups": 3, "database": {"uri": "mongodb://a:b@c", "db_name": "komodo"}}`,
		"work/komodo.cli.toml":         "backups_folder = \"/here\"",
	})
	f, err := Komodo(Search{Home: filepath.Join(dir, "home"), Env: envOf("THE_SECRET=S_1_S")})
	if err != nil {
		t.Fatal(err)
	}
	layers, err := Layers("", f.Here, f.Home)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Merge(layers)
	if err != nil {
		t.Fatal(err)
	}
	want := Account{Host: "https://home", Key: "K_1_K", Secret: "S_1_S", Borders: "All", BackupsFolder: "/here", MaxBackups: "3"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	layers, err = Layers("o", f.Here, f.Home)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := Merge(layers); got.Host != "https://office" || got.Key != "K_2_K" {
		t.Errorf("the profile by its alias: %+v", got)
	}
	if d := cmp.Diff([]string{"office", "o", "home", "h"}, Names(f.Here, f.Home)); d != "" {
		t.Error(d)
	}
	red := Redacted(f.Merged)
	if text := strings.Join(strings.Fields(cmp.Diff(map[string]any{}, red)), " "); strings.Contains(text, "S_1_S") || strings.Contains(text, "mongodb") || strings.Contains(text, "K_2_K") || !strings.Contains(text, "https://home") {
		t.Error(text)
	}
}

func TestKomodoFilesWithMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"host = \"a\"\nhots = \"b\"":                       "komodo.cli.toml:2: hots: unknown key: did you mean host?",
		"host = \"a":                                       "komodo.cli.toml:1: ",
		"key = \"a\"\ncli_key = \"b\"":                     "komodo.cli.toml:1: key: the same as another key",
		"secret = \"$(pass komodo)\"":                      "$(pass komodo): commands in files are not run",
		"secret = \"${NOWHERE}\"":                          "${NOWHERE}: there is no such variable",
		"host = [\"a\"]":                                   "host: want a text",
		"default_profile = \"x\"":                          `default_profile "x": the file has no profile`,
		"default_profile = \"x\"\n[[profile]]\nname=\"y\"": "there are y",
		"profile = \"x\"":                                  "write [[profile]]",
	} {
		dir := files(t, map[string]string{"home/komodo.cli.toml": text})
		f, err := Komodo(Search{Home: filepath.Join(dir, "home"), Env: envOf()})
		if err == nil {
			_, err = Layers("", f.Here, f.Home)
		}
		if err == nil || !strings.Contains(schema.SafeText(err), want) || schema.CodeOf(err) != schema.Invalid {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestPathsAndKeywords(t *testing.T) {
	dir := files(t, map[string]string{"home/komodo.cli.toml": `host = "a"`, "one/cli.prod.toml": `host = "b"`, "two.yaml": "host: c"})
	for _, c := range []struct {
		s    Search
		want string
	}{
		{Search{Env: envOf()}, "a"},
		{Search{Env: envOf(), Paths: []string{filepath.Join(dir, "two.yaml")}}, "c"},
		{Search{Env: envOf("KOMODO_CLI_CONFIG_PATHS="+filepath.Join(dir, "one"), "KOMODO_CLI_CONFIG_KEYWORDS=*prod*")}, "b"},
		{Search{Env: envOf(), Paths: []string{filepath.Join(dir, "one")}, Keywords: []string{"*.toml"}}, "b"},
	} {
		c.s.Home = filepath.Join(dir, "home")
		f, err := Komodo(c.s)
		if err != nil || f.Home.Host != c.want {
			t.Errorf("%+v: %q %v", c.s.Paths, f.Home.Host, err)
		}
	}
	if _, err := Komodo(Search{Env: envOf(), Paths: []string{"/nothing/like/it"}}); schema.CodeOf(err) != schema.Invalid {
		t.Errorf("a path that was given and is not there: %v", err)
	}
}

// TestKeyIsNotSentToAForeignHost: a file of the working directory, which may come
// with a repository, cannot have the key of another file sent to its host.
func TestKeyIsNotSentToAForeignHost(t *testing.T) {
	dir := files(t, map[string]string{"home/komodo.cli.toml": "host = \"https://mine\"\nkey = \"K\"\nsecret = \"S\"", "work/komodo.cli.toml": `host = "https://theirs"`, "work/.env": "KOMODO_HOST=https://${NAME}s\n"})
	f, err := Komodo(Search{Home: filepath.Join(dir, "home"), Env: envOf()})
	if err != nil {
		t.Fatal(err)
	}
	layers, err := Layers("", f.Here, f.Home)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Merge(layers); err == nil || !strings.Contains(schema.SafeText(err), "https://theirs") {
		t.Errorf("a foreign host: %v", err)
	}
	if a, err := Merge(append([]Layer{{Account: Account{Host: "https://said"}, From: "--host"}}, layers...)); err != nil || a.Host != "https://said" {
		t.Errorf("a host on the command line: %v %v", a.Host, err)
	}
	vars, err := DotEnv(".env", envOf("NAME=other"))
	if err != nil || FromEnv(vars).Host != "https://others" {
		t.Errorf("%q %v", FromEnv(vars).Host, err)
	}
	if _, err := Merge(append([]Layer{{Account: FromEnv(vars), From: ".env", Here: true}}, layers[1:]...)); err == nil {
		t.Error("a foreign host of .env gets the key")
	}
}

func TestPinBelongsToItsHost(t *testing.T) {
	a, err := Merge([]Layer{{Account: Account{Host: "https://b"}}, {Account: Account{Host: "https://a", Pin: "11"}}})
	if err != nil || a.Pin != "" {
		t.Errorf("another host has the pin %q: %v", a.Pin, err)
	}
	a, _ = Merge([]Layer{{Account: Account{Key: "K"}}, {Account: Account{Host: "https://a", Pin: "11"}}})
	if a.Pin != "11" {
		t.Errorf("%+v", a)
	}
}

func TestOwnFileIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth", "cli.toml")
	s, err := Own(path, envOf())
	if err != nil {
		t.Fatal(err)
	}
	s.Keep("", Account{Host: "a", Key: "K", Secret: "S"})
	s.Keep("staging", Account{Host: "b", Key: "L", Secret: "T"})
	s.Keep("staging", Account{Host: "b", Key: "M", Secret: "U"})
	if err := Save(path, s.Tree); err != nil {
		t.Fatal(err)
	}
	again, err := Own(path, envOf())
	if d := cmp.Diff(s.Tree, again.Tree); err != nil || d != "" {
		t.Error(err, d)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}
