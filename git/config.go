package git

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	format "github.com/go-git/go-git/v5/plumbing/format/config"
)

// config is a repository's config file: parsed for reading, text for editing, so
// that the user's comments and order survive.
type config struct {
	path   string
	text   string
	parsed *format.Config
}

func readConfig(path string) (config, error) {
	b, err := os.ReadFile(path) //nolint:gosec // a repository's own file
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return config{}, err
	}
	c := config{path: path, text: string(b), parsed: format.New()}
	return c, format.NewDecoder(strings.NewReader(c.text)).Decode(c.parsed)
}

func (c *config) get(section, key string) string { return c.parsed.Section(section).Option(key) }

func (c *config) is(section, key, value string) bool {
	return strings.EqualFold(c.get(section, key), value)
}

// sub returns a key of a section with a name in quotes: remote "origin".
func (c *config) sub(section, name, key string) string {
	s := c.parsed.Section(section)
	if !s.HasSubsection(name) {
		return ""
	}
	return s.Subsection(name).Option(key)
}

// append adds whole sections at the end.
func (c *config) append(own owner, sections string) error {
	if sections == "" {
		return nil
	}
	text := c.text
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return c.save(own, text+sections)
}

// replaceURL changes the url line of a remote, in place.
func (c *config) replaceURL(own owner, remote, url string) error {
	lines := strings.SplitAfter(c.text, "\n")
	inside := false
	for i, line := range lines {
		word := strings.TrimSpace(line)
		if strings.HasPrefix(word, "[") {
			inside = strings.EqualFold(word, `[remote "`+remote+`"]`)
			continue
		}
		key, _, found := strings.Cut(word, "=")
		if inside && found && strings.EqualFold(strings.TrimSpace(key), "url") {
			lines[i] = "\turl = " + quoteConfig(url) + "\n"
			return c.save(own, strings.Join(lines, ""))
		}
	}
	return c.append(own, remoteSection(url))
}

func (c *config) save(own owner, text string) error {
	mode := os.FileMode(0o644)
	if st, err := os.Stat(c.path); err == nil {
		mode = st.Mode().Perm()
	}
	if err := writeLocked(own, filepath.Join(filepath.Dir(c.path), "berth"), c.path, []byte(text), mode); err != nil {
		return err
	}
	fresh, err := readConfig(c.path)
	if err == nil {
		*c = fresh
	}
	return err
}

func remoteSection(url string) string {
	return "[remote \"origin\"]\n\turl = " + quoteConfig(url) + "\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
}

func branchSection(branch string) string {
	if branch == "" {
		return ""
	}
	return "[branch " + quoteName(branch) + "]\n\tremote = origin\n\tmerge = " + quoteConfig("refs/heads/"+branch) + "\n"
}

// quoteConfig writes a value so that git reads the same.
func quoteConfig(s string) string {
	if !strings.ContainsAny(s, "\"\\;#\n\t ") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(s) + `"`
}

func quoteName(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
