package backup_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"berth/bus/bustest"
	"berth/core/backup"
	"berth/schema"
)

func TestAFolderKeepsTheNewestAndLeavesWhatIsNotItsOwn(t *testing.T) {
	w := newWorld(t)
	now := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	w.source.Now = func() time.Time { now = now.Add(time.Second); return now }
	id := identity(t)
	dir := t.TempDir()
	foreign := []string{"berth-core-20200101T000000.000Z.age", "berth-core-20200101T000000.000Z.age.json", "old.tar", "2020-01-01_00-00-00"}
	for _, name := range foreign { // the first has the name of one of ours, and another's note
		if err := os.WriteFile(filepath.Join(dir, name), []byte(`{"file":"berth-core-20200101T000000.000Z.age","core":"UANOTHER","bytes":74}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := backup.Folder{Dir: dir, Keep: 3, Recipients: []string{id.Recipient().String()}}
	var made []string
	for i := range 5 {
		s, err := w.source.Save(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, s.File)
		if want := max(i-2, 0); len(s.Pruned) != min(want, 1) {
			t.Errorf("backup %d removed %v", i, s.Pruned)
		}
		if len(s.SHA256) != 64 || s.Bytes < 1000 || s.Took <= 0 {
			t.Errorf("%+v", s)
		}
	}
	have := tree(t, dir)
	for i, name := range made {
		if there := slices.Contains(have, name); there != (i >= 2) {
			t.Errorf("%s is there: %v", name, there)
		}
	}
	for _, name := range foreign {
		if !slices.Contains(have, name) {
			t.Errorf("%s was removed", name)
		}
	}
	if len(have) != len(foreign)+2*3 {
		t.Errorf("%v", have)
	}
	path := filepath.Join(dir, made[4])
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	if _, err := backup.Restore(t.Context(), path, t.TempDir(), []age.Identity{id}, bustest.Log(t)); err != nil {
		t.Error(err)
	}
}

func TestNoBackupThatNobodyElseCouldOpen(t *testing.T) {
	w := newWorld(t)
	own := identity(t).Recipient().String()
	for _, tc := range []struct {
		f    backup.Folder
		word string
	}{
		{backup.Folder{Keep: 14}, "set backup_recipient"},
		{backup.Folder{Keep: 14, Recipients: []string{own}, Own: []string{own}}, "own key"},
		{backup.Folder{Keep: 14, Recipients: []string{own}, Passphrase: "x"}, "not by both"},
		{backup.Folder{Recipients: []string{own}}, "keep at least one"},
	} {
		tc.f.Dir = filepath.Join(t.TempDir(), "backups")
		_, err := w.source.Save(t.Context(), tc.f)
		if schema.CodeOf(err) != schema.Invalid || !strings.Contains(schema.SafeText(err), tc.word) {
			t.Errorf("%v", err)
		}
		if _, err := os.Stat(tc.f.Dir); err == nil {
			t.Error("something was written")
		}
	}
}

func TestAFolderThatCannotBeWrittenIsNamed(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := w.source.Save(t.Context(), backup.Folder{Dir: dir, Keep: 1, Passphrase: "correct horse"})
	if schema.CodeOf(err) != schema.Failed || !strings.Contains(schema.SafeText(err), dir) {
		t.Errorf("%v", err)
	}
}
