package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"berth/core/backup"
	"berth/schema"
)

// passphraseEnv holds the passphrase of backups; with _FILE, a file that does.
const passphraseEnv = "BERTH_BACKUP_PASSPHRASE"

func (p *program) backupCommand() *cobra.Command {
	var recipients []string
	var passFile string
	c := &cobra.Command{
		Use: "backup FILE", Short: "Take an encrypted backup of core", Args: cobra.ExactArgs(1),
		Long: `Take a backup of the running core into FILE (- is standard output): everything
that is declared, users, keys, variables and accounts, the history of runs, core's
own identity and its configuration, all of one moment. Nothing is stopped. Core does
not wait longer than a few seconds for it, the agents not at all.

The file is encrypted with a passphrase (asked for, or from --passphrase-file or
` + passphraseEnv + `), or for the holders of age keys (--recipient). Without
passphrase or key nobody can open it, you neither: keep that apart from the file.

The file is verified while it is written; it appears under its name only when it is
whole. "berth restore FILE --data DIR" builds core from it, on any machine. It is
an age file: "age -d FILE | tar t" looks into it without Berth.

Not in it: the output of steps, sessions, join tokens, what lies on the agents'
machines, and TLS certificates that you gave to core. Core writes such backups by
itself when a procedure runs BackupCoreDatabase: docs/backup.md says how.`,
		Example: `  berth backup core-$(date +%F).age
  berth backup core.age --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
  berth backup - --passphrase-file ~/backup.pass | ssh nas 'cat > berth.age'`,
		RunE: func(c *cobra.Command, args []string) error {
			return p.backup(c.Context(), args[0], recipients, passFile)
		},
	}
	c.Flags().StringArrayVar(&recipients, "recipient", nil, "age recipient (age1…) who can open it; may be given several times")
	c.Flags().StringVar(&passFile, "passphrase-file", "", "file with the passphrase; asked for without")
	return c
}

// backup takes a backup that only this call can open, verifies it, and seals it
// anew for whom it is: neither passphrase nor contents travel.
func (p *program) backup(ctx context.Context, file string, recipients []string, passFile string) error {
	if file == "-" && terminal(p.out) {
		return schema.Errorf(schema.Invalid, "a backup is not for the terminal: give a file, or pipe the output")
	}
	core, err := p.api()
	if err != nil {
		return err
	}
	pass := ""
	if len(recipients) == 0 || passFile != "" {
		if pass, err = p.passphrase(passFile, true); err != nil {
			return err
		}
	}
	to, err := backup.Recipients(recipients, pass)
	if err != nil {
		return err
	}
	once, err := age.GenerateX25519Identity()
	if err != nil {
		return schema.Wrap(schema.Internal, err, "make a key")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	in, err := core.Backup(ctx, once.Recipient().String())
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	reseal := func(out io.Writer) (backup.Manifest, error) {
		return backup.Reseal(out, in, []age.Identity{once}, to)
	}
	if file == "-" {
		_, err = reseal(p.out)
		return err
	}
	m, err := writeWhole(file, reseal)
	if err != nil {
		return err
	}
	return p.sayBackup(file, m)
}

// writeWhole writes a file that appears under its name only when it is whole.
func writeWhole(path string, write func(io.Writer) (backup.Manifest, error)) (backup.Manifest, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".berth-backup-*") // 0600
	if err != nil {
		return backup.Manifest{}, schema.Wrap(schema.Invalid, err, "write the backup: %v", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	m, err := write(f)
	if err != nil {
		_ = f.Close()
		if schema.CodeOf(err) == schema.Internal {
			err = schema.Wrap(schema.Failed, err, "write the backup: %v", err)
		}
		return m, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return m, schema.Wrap(schema.Failed, err, "write the backup: %v", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return m, schema.Wrap(schema.Failed, err, "name the backup: %v", err)
	}
	return m, nil
}

func (p *program) sayBackup(file string, m backup.Manifest) error {
	st, err := os.Stat(file)
	if err != nil {
		return schema.Wrap(schema.Failed, err, "look at the backup: %v", err)
	}
	if p.asJSON {
		return p.printJSON(map[string]any{"file": file, "bytes": st.Size(), "created": m.Created, "parts": len(m.Parts), "core": m.Core, "version": m.Version})
	}
	fmt.Fprintf(p.out, "%s: %d bytes, %d parts, of %s; verified\n", file, st.Size(), len(m.Parts), m.Time().Format(time.DateTime))
	return nil
}

func (p *program) restoreCommand() *cobra.Command {
	var data, identity, passFile string
	var check bool
	c := &cobra.Command{
		Use: "restore FILE --data DIR", Short: "Build core from a backup, in an empty folder", Args: cobra.ExactArgs(1),
		Long: `Build core's data folder from a backup. DIR must be empty or missing, and no core
may run on it: what is there is never overwritten. The whole file is read and
verified before anything is written; a file that is cut off, damaged, or not opened
by the passphrase or key is refused.

The configuration of the core that was backed up is put into DIR/berth.toml. Start
core with it, under the address the agents know; they reconnect by themselves:

  berth core --config DIR/berth.toml --data DIR     # berth up, if it was that

Only one core of the two may run: end the old one for good before. What was revoked
since the backup is let in again: revoke it once more. Sign in anew: there are no
sessions in a backup.`,
		Example: `  berth restore core.age --data /var/lib/berth
  berth restore core.age --identity ~/keys/backup.txt --data /var/lib/berth
  berth restore core.age --check      # is it whole, and does my passphrase open it?`,
		RunE: func(c *cobra.Command, args []string) error {
			return p.restore(c.Context(), args[0], data, identity, passFile, check)
		},
	}
	c.Flags().StringVar(&data, "data", "", "folder to build; empty or missing")
	c.Flags().StringVar(&identity, "identity", "", "age identity file (AGE-SECRET-KEY-1…) of a recipient")
	c.Flags().StringVar(&passFile, "passphrase-file", "", "file with the passphrase; asked for without")
	c.Flags().BoolVar(&check, "check", false, "only read and verify the backup")
	c.Flags().BoolVar(&p.asJSON, "json", false, "print JSON instead of text")
	return c
}

func (p *program) restore(ctx context.Context, file, data, identity, passFile string, check bool) error {
	if data == "" && !check {
		return schema.Errorf(schema.Invalid, "--data is missing: say which folder to build, or --check to only verify the backup")
	}
	if _, err := os.Stat(file); err != nil {
		return schema.Wrap(schema.NotFound, err, "open the backup: %v", err)
	}
	ids, err := p.identities(identity, passFile)
	if err != nil {
		return err
	}
	var m backup.Manifest
	if check {
		m, err = verifyFile(file, ids)
	} else {
		log := slog.New(slog.NewTextHandler(p.err, &slog.HandlerOptions{Level: slog.LevelError}))
		m, err = backup.Restore(ctx, file, data, ids, log)
	}
	if err != nil {
		if schema.CodeOf(err) == schema.Internal {
			err = schema.Wrap(schema.Failed, err, "%v", err)
		}
		return err
	}
	if p.asJSON {
		return p.printJSON(map[string]any{"file": file, "data": data, "created": m.Created, "parts": len(m.Parts), "core": m.Core, "version": m.Version})
	}
	fmt.Fprintf(p.out, "%s is whole: %d parts, of %s, written by version %s.\n", file, len(m.Parts), m.Time().Format(time.DateTime), m.Version)
	if !check {
		settings := filepath.Join(data, backup.SettingsFile)
		fmt.Fprintf(p.out, "Restored into %s. With the old core ended, start it:\n  berth %s --config %s --data %s\n", data, ranAs(settings), settings, data)
	}
	return nil
}

// ranAs is the verb that takes these settings: only `berth up` has a server of its own.
func ranAs(settings string) string {
	text, err := os.ReadFile(settings)
	if err == nil && strings.Contains("\n"+string(text), "\nserver = ") {
		return "up"
	}
	return "core"
}

func verifyFile(file string, ids []age.Identity) (backup.Manifest, error) {
	f, err := os.Open(file)
	if err != nil {
		return backup.Manifest{}, schema.Wrap(schema.NotFound, err, "open the backup: %v", err)
	}
	defer func() { _ = f.Close() }()
	return backup.Verify(f, ids)
}

func (p *program) identities(file, passFile string) ([]age.Identity, error) {
	if file == "" {
		pass, err := p.passphrase(passFile, false)
		if err != nil {
			return nil, err
		}
		return backup.Identities(nil, pass)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "open the identity file: %v", err)
	}
	defer func() { _ = f.Close() }()
	return backup.Identities(f, "")
}

// passphrase comes from a file, the environment or the terminal, where a new one is
// typed twice.
func (p *program) passphrase(file string, fresh bool) (string, error) {
	if file == "" {
		file = p.env(passphraseEnv + "_FILE")
	}
	var pass string
	switch {
	case file != "":
		b, err := os.ReadFile(file)
		if err != nil {
			return "", schema.Wrap(schema.Invalid, err, "read the passphrase: %v", err)
		}
		pass = strings.TrimRight(string(b), "\r\n")
	case p.env(passphraseEnv) != "":
		pass = p.env(passphraseEnv)
	case !terminal(p.in):
		return "", schema.Errorf(schema.Invalid, "nobody to ask for the passphrase: give --passphrase-file, or set %s", passphraseEnv)
	default:
		return p.typePassphrase(fresh)
	}
	if pass == "" {
		return "", schema.Errorf(schema.Invalid, "the passphrase is empty")
	}
	return pass, nil
}

func (p *program) typePassphrase(fresh bool) (string, error) {
	typed := func(question string) (string, error) {
		f, _ := p.in.(*os.File) // a terminal, as the caller knows
		fmt.Fprint(p.err, question)
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(p.err)
		if err != nil {
			return "", schema.Wrap(schema.Invalid, err, "read the passphrase: %v", err)
		}
		return string(b), nil
	}
	pass, err := typed("Passphrase of the backup: ")
	if err != nil || !fresh {
		return pass, err
	}
	if again, err := typed("Once more: "); err != nil || again != pass {
		return "", errors.Join(err, schema.Errorf(schema.Invalid, "the two passphrases differ"))
	}
	return pass, nil
}
