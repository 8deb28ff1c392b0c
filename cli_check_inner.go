package main

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"

	composeload "github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"berth/core/resource"
	"berth/core/script"
	"berth/schema"
)

// inner looks into what settings hold that is a language of its own: the scripts of
// actions, the compose files of stacks.
func inner(ctx context.Context, files []resource.File, plan resource.Plan) []resource.Issue {
	var out []resource.Issue
	for i, ch := range plan.Changes {
		var text string
		var err error
		switch c := plan.Settings(i).(type) {
		case schema.ActionConfig:
			text = string(c.FileContents)
			err = checkScriptText(text)
		case schema.StackConfig:
			if c.Source() != schema.SourceInline {
				continue
			}
			text = string(c.FileContents)
			err = checkComposeText(ctx, ch.Name, text)
		}
		if err == nil {
			continue
		}
		issue := plan.Issue(i, "file_contents", plainText(err))
		issue.Line = lineWithin(files, issue)
		out = append(out, issue)
	}
	return out
}

func checkScriptText(text string) error {
	if strings.TrimSpace(text) == "" {
		return nil // it may come later; a run says so
	}
	_, err := script.Compile(text)
	return err
}

// checkComposeText reads a compose file as agents do, as far as that goes without its
// variables and without a disk.
func checkComposeText(ctx context.Context, name, text string) error {
	text, _, err := schema.Interpolate(text, func(string) (string, bool) { return "x", true })
	if err != nil || strings.TrimSpace(text) == "" {
		return err
	}
	file := types.ConfigFile{Filename: "file_contents", Content: []byte(text)}
	model, err := composeload.LoadModelWithContext(ctx, types.ConfigDetails{ConfigFiles: []types.ConfigFile{file}, WorkingDir: "/", Environment: types.Mapping{}}, func(o *composeload.Options) {
		o.SetProjectName(strings.ToLower(name), true)
		o.SkipInterpolation, o.SkipInclude, o.SkipExtends, o.SkipNormalization, o.SkipConsistencyCheck, o.SkipResolveEnvironment = true, true, true, true, true, true
		o.ResolvePaths = false
	})
	if err != nil {
		return err
	}
	services, _ := model["services"].(map[string]any)
	if len(services) == 0 && model["include"] == nil {
		return errors.New("it has no services")
	}
	for name, s := range services {
		if keys, _ := s.(map[string]any); keys["image"] == nil && keys["build"] == nil && keys["extends"] == nil && model["include"] == nil {
			return errors.New("service " + strconv.Quote(name) + " has neither image nor build")
		}
	}
	return nil
}

// plainText is what is wrong, on one line, in one voice.
func plainText(err error) string {
	text := err.Error()
	if _, ok := errors.AsType[*schema.Error](err); ok {
		text = schema.SafeText(err)
	}
	for _, noise := range []string{"failed to parse file_contents: ", "validating file_contents: ", "yaml: "} {
		text = strings.TrimPrefix(text, noise)
	}
	return strings.Join(strings.Fields(text), " ")
}

// lineWithin is the line of the file that a text means by its own count of lines: a
// text between three quotes may begin on the line after them.
func lineWithin(files []resource.File, i resource.Issue) int {
	m := regexp.MustCompile(`\bline (\d+)`).FindStringSubmatch(i.Text)
	if m == nil || i.Line == 0 {
		return i.Line
	}
	n, _ := strconv.Atoi(m[1]) // digits
	for _, f := range files {
		if f.Name != i.File {
			continue
		}
		lines := strings.Split(f.Text, "\n")
		if i.Line > len(lines) {
			return i.Line
		}
		first := strings.TrimRight(lines[i.Line-1], " \t\r")
		switch {
		case strings.HasSuffix(first, `"""`) || strings.HasSuffix(first, "'''"):
			return min(i.Line+n, len(lines))
		case strings.Contains(first, `"""`) || strings.Contains(first, "'''"):
			return min(i.Line+n-1, len(lines))
		}
	}
	return i.Line
}
