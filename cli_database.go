package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"berth/schema"
)

// backupTime is how km names a backup by its time.
const backupTime = "2006-01-02_15-04-05"

// databaseCommand is km's word for what is kept. There is no database here: what stands
// for it is core's backup.
func (p *program) databaseCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "database", Aliases: []string{"db"}, Short: "Back core up into a folder, as km has it",
		Long: `Back core up into a folder, as km has it. There is no database beside core: a backup
is one encrypted file, as "berth backup" writes it, and core comes back from it with
"berth restore". Who can open it is said as there: --recipient, --passphrase-file, or
` + passphraseEnv + `.`,
	}
	c.AddCommand(p.databaseBackup(), p.databaseRestore(), p.databasePrune(),
		p.noDatabase("copy", "Copy one database into another", "cp"), p.noDatabase("v1-downgrade", "Make the database one of version 1"))
	return c
}

func (p *program) backupsFolder(given string) (string, error) {
	a, _, err := p.findAccount()
	return cmp.Or(given, a.BackupsFolder, "/backups"), err
}

// sure asks, unless it is said or there is nobody to ask, which is a mistake.
func (p *program) sure(yes bool, question string) error {
	if yes {
		return nil
	}
	return p.confirm(question)
}

func (p *program) databaseBackup() *cobra.Command {
	var folder, passFile string
	var recipients []string
	var yes bool
	c := &cobra.Command{
		Use: "backup", Aliases: []string{"bkp"}, Short: "Back core up into a file named by the time", Args: cobra.NoArgs,
		Example: "  berth db backup -f /mnt/nas/berth --recipient age1… -y",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := p.backupsFolder(folder)
			if err != nil {
				return err
			}
			if err := p.sure(yes, "Back core up into "+dir+"?"); err != nil {
				return err
			}
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return schema.Wrap(schema.Invalid, err, "make the folder of backups: %v", err)
			}
			return p.backup(c.Context(), filepath.Join(dir, "core-"+time.Now().Format(backupTime)+".age"), recipients, passFile)
		},
	}
	c.Flags().StringVarP(&folder, "backups-folder", "f", "", "folder of the backups; backups_folder of the configuration, or /backups, without")
	c.Flags().StringArrayVar(&recipients, "recipient", nil, "age recipient (age1…) who can open it; may be given several times")
	c.Flags().StringVar(&passFile, "passphrase-file", "", "file with the passphrase; asked for without")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// backupsIn lists the backups of a folder that are named by their time, oldest first.
func backupsIn(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, schema.Wrap(schema.NotFound, err, "look for backups: %v", err)
	}
	ours := regexp.MustCompile(`^core-\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.age$`)
	var out []string
	for _, e := range entries {
		if ours.MatchString(e.Name()) && e.Type().IsRegular() {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return out, nil
}

func (p *program) databaseRestore() *cobra.Command {
	var folder, when string
	c := &cobra.Command{
		Use: "restore", Aliases: []string{"rst"}, Short: "Say how core comes back from a backup", Args: cobra.NoArgs,
		Long: `Say how core comes back from the newest backup of a folder, or from one by its time.
A core that runs is not restored over: it is ended, and built anew in an empty folder.`,
		RunE: func(*cobra.Command, []string) error {
			dir, err := p.backupsFolder(folder)
			if err != nil {
				return err
			}
			list, err := backupsIn(dir)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return schema.Errorf(schema.NotFound, "%s: there is no backup: `berth db backup` writes one", dir)
			}
			name := list[len(list)-1]
			if when != "" {
				if name = "core-" + when + ".age"; !slices.Contains(list, name) {
					return schema.Errorf(schema.NotFound, "%s: there is no %s: the newest is %s", dir, name, list[len(list)-1])
				}
			}
			return schema.Errorf(schema.Unsupported, "a running core is not restored over: end it, and run `berth restore %s --data DIR` with DIR empty", filepath.Join(dir, name))
		},
	}
	c.Flags().StringVarP(&folder, "backups-folder", "f", "", "folder of the backups")
	c.Flags().StringVarP(&when, "restore-folder", "r", "", "time of the backup, as its name has it; the newest without")
	c.Flags().BoolP("index", "i", false, "accepted for scripts: there are no indexes")
	c.Flags().BoolP("yes", "y", false, "accepted for scripts")
	return c
}

func (p *program) databasePrune() *cobra.Command {
	var folder string
	var yes bool
	c := &cobra.Command{
		Use: "prune", Short: "Remove all but the newest backups", Args: cobra.NoArgs,
		Long: `Remove all but the newest backups of a folder: max_backups of the configuration are
left, or 14. Only files that "db backup" wrote are touched.`,
		RunE: func(c *cobra.Command, _ []string) error { return p.prune(c.Context(), folder, yes) },
	}
	c.Flags().StringVarP(&folder, "backups-folder", "f", "", "folder of the backups")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func (p *program) prune(_ context.Context, folder string, yes bool) error {
	a, _, err := p.findAccount()
	if err != nil {
		return err
	}
	keep, err := strconv.Atoi(cmp.Or(a.MaxBackups, "14"))
	if err != nil || keep < 1 {
		return schema.Errorf(schema.Invalid, "max_backups %q: want a number of at least 1", a.MaxBackups)
	}
	dir := cmp.Or(folder, a.BackupsFolder, "/backups")
	list, err := backupsIn(dir)
	if err != nil {
		return err
	}
	old := list[:max(0, len(list)-keep)]
	if len(old) > 0 {
		if err := p.sure(yes, fmt.Sprintf("Remove %s of %s?", count(len(old), "backup"), dir)); err != nil {
			return err
		}
	}
	for _, name := range old {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return schema.Wrap(schema.Failed, err, "remove a backup: %v", err)
		}
	}
	return p.said(fmt.Sprintf("%s removed, %d left.", count(len(old), "backup"), len(list)-len(old)), map[string]any{"removed": append([]string{}, old...), "left": len(list) - len(old)})
}

// noDatabase is a command that only makes sense with a database.
func (p *program) noDatabase(name, short string, aliases ...string) *cobra.Command {
	return &cobra.Command{
		Use: name, Aliases: aliases, Short: short + " (there is none)", Hidden: true, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return schema.Errorf(schema.Unsupported, "there is no database to %s: core keeps everything itself, in its data folder; `berth backup` and `berth restore` move it", name)
		},
	}
}
