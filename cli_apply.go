package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"berth/core/api"
	"berth/core/resource"
	"berth/schema"
)

func (p *program) applyCommand() *cobra.Command {
	var yes, planOnly bool
	c := &cobra.Command{
		Use: "apply FILE…|DIR|-", Short: "Create and change what TOML files declare", Args: cobra.MinimumNArgs(1),
		Long: `Say what applying the files would change, ask, and do it: all of it, or nothing
when there is a mistake, which is named with file, line and key. A folder stands
for all *.toml files in it and below; - is the standard input. It is for
administrators; others have syncs, as far as they may execute them.`,
		Example: "  berth apply stacks.toml\n  berth apply --yes ./berth\n  berth apply --plan .        only say what would change",
		RunE: func(c *cobra.Command, args []string) error {
			files, err := p.files(args)
			if err != nil {
				return err
			}
			return p.apply(c, files, yes, planOnly)
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&planOnly, "plan", false, "only say what would change")
	return c
}

// files reads the files, those of a folder in the order of their paths.
func (p *program) files(args []string) ([]resource.File, error) {
	var out []resource.File
	for _, arg := range args {
		if arg == "-" {
			b, err := io.ReadAll(p.in)
			if err != nil {
				return nil, schema.Errorf(schema.Invalid, "read standard input: %v", err)
			}
			out = append(out, resource.File{Name: "stdin", Text: string(b)})
			continue
		}
		paths, err := tomlFiles(arg)
		if err != nil {
			return nil, schema.Errorf(schema.Invalid, "%v", err)
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				return nil, schema.Errorf(schema.Invalid, "%v", err)
			}
			out = append(out, resource.File{Name: path, Text: string(b)})
		}
	}
	return out, nil
}

func tomlFiles(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	if err != nil || !info.IsDir() {
		return []string{arg}, err
	}
	var out []string
	err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && path != arg
		if d.IsDir() && hidden {
			return filepath.SkipDir
		}
		if !d.IsDir() && !hidden && filepath.Ext(path) == ".toml" {
			out = append(out, path)
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("no *.toml file in %s", arg)
	}
	slices.Sort(out)
	return out, err
}

func (p *program) apply(c *cobra.Command, files []resource.File, yes, planOnly bool) error {
	var plan api.Plan
	if err := p.call(c.Context(), api.GroupRead, "PlanResources", map[string]any{"files": files}, &plan); err != nil {
		return err
	}
	if p.asJSON && (planOnly || plan.Err() != nil) {
		if err := p.printJSON(plan); err != nil {
			return err
		}
	} else if !p.asJSON {
		p.printPlan(plan)
	}
	switch {
	case plan.Err() != nil:
		fmt.Fprintln(p.err, "berth: nothing was applied")
		return &exitError{schema.Invalid.ExitCode()}
	case planOnly:
		return nil
	case plan.Empty() && !p.asJSON:
		fmt.Fprintln(p.out, "Nothing to change.")
		return nil
	}
	if !yes && !plan.Empty() {
		if err := p.confirm("Apply?"); err != nil {
			return err
		}
	}
	var done api.Plan
	if err := p.call(c.Context(), api.GroupWrite, "ApplyResources", map[string]any{"files": files, "digest": plan.Digest}, &done); err != nil {
		return err
	}
	if p.asJSON {
		return p.printJSON(done)
	}
	fmt.Fprintln(p.out, "Applied.")
	return nil
}

// printPlan shows what changes, field by field.
func (p *program) printPlan(plan api.Plan) {
	same := 0
	for _, ch := range plan.Changes {
		switch ch.Op {
		case resource.OpUnchanged:
			same++
			continue
		case resource.OpCreate:
			fmt.Fprintf(p.out, "+ %s %s\n", ch.Kind, ch.Name)
		case resource.OpDelete:
			fmt.Fprintf(p.out, "- %s %s\n", ch.Kind, ch.Name)
		default:
			fmt.Fprintf(p.out, "~ %s %s\n", ch.Kind, ch.Name)
		}
		for _, f := range ch.Fields {
			if ch.Op == resource.OpCreate {
				fmt.Fprintf(p.out, "    %s = %s\n", f.Key, brief(f.New))
				continue
			}
			fmt.Fprintf(p.out, "    %s: %s → %s\n", f.Key, brief(f.Old), brief(f.New))
		}
	}
	if same > 0 {
		fmt.Fprintf(p.out, "= %d unchanged\n", same)
	}
	for _, i := range plan.Issues {
		if i.Warning {
			fmt.Fprintln(p.err, "warning: "+i.String())
		} else {
			fmt.Fprintln(p.err, i.String())
		}
	}
}

// brief is a value on one line.
func brief(s string) string {
	if s == "" {
		return `""`
	}
	line, rest, more := strings.Cut(strings.TrimRight(s, "\n"), "\n")
	if r := []rune(line); len(r) > 100 {
		line = string(r[:100]) + " …"
	}
	if more {
		return fmt.Sprintf("%s … (%d lines)", line, 2+strings.Count(rest, "\n"))
	}
	return line
}
