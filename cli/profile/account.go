// Package profile finds out which core the command line asks, and as whom: from
// Komodo's configuration files, Berth's own, and the environment. It reads files
// and runs nothing; what it returns does not change any more.
package profile

import (
	"cmp"
	"slices"
	"strings"

	"berth/schema"
)

// Account is a core, a key for it, and how lists from it look. What is empty was not
// said.
type Account struct {
	Host   string `toml:"host,omitempty"`
	Key    string `toml:"key,omitempty"`
	Secret string `toml:"secret,omitempty"`
	Pin    string `toml:"pin,omitempty"` // SHA-256 of core's public key

	Borders       string `toml:"table_borders,omitempty"`
	BackupsFolder string `toml:"backups_folder,omitempty"`
	MaxBackups    string `toml:"max_backups,omitempty"`
}

// Layer is an account, where it was said, and whether that is the working directory,
// whose files others may have written.
type Layer struct {
	Account
	From string
	Here bool
}

// Merge lays accounts over each other; the first that says something counts. A pinned
// key belongs to the host it was said with, or to those that say none.
func Merge(layers []Layer) (Account, error) {
	var out Account
	var host, key Layer
	for _, l := range layers {
		if l.Pin != "" && (out.Host == "" || l.Host == "" || l.Host == out.Host) {
			out.Pin = cmp.Or(out.Pin, l.Pin)
		}
		if out.Host == "" && l.Host != "" {
			out.Host, host = l.Host, l
		}
		if out.Key == "" && l.Key != "" {
			key = l
		}
		out.Key, out.Secret = cmp.Or(out.Key, l.Key), cmp.Or(out.Secret, l.Secret)
		out.Borders = cmp.Or(out.Borders, l.Borders)
		out.BackupsFolder, out.MaxBackups = cmp.Or(out.BackupsFolder, l.BackupsFolder), cmp.Or(out.MaxBackups, l.MaxBackups)
	}
	if host.Here && key.From != "" && !key.Here && key.Host != host.Host {
		return out, schema.Errorf(schema.Invalid,
			"the host %s is said by %s in this directory, and the key by %s: whoever wrote the first would get your key; say --host, or keep both in one file", out.Host, host.From, key.From)
	}
	return out, nil
}

// Profile is an account with a name.
type Profile struct {
	Name    string   `toml:"name,omitempty"`
	Aliases []string `toml:"aliases,omitempty"`
	Account
}

// Named reports whether a profile is called so.
func (p Profile) Named(name string) bool {
	return p.Name == name || slices.Contains(p.Aliases, name)
}

// Tree is what a group of files says.
type Tree struct {
	Account
	Default  string    `toml:"default_profile,omitempty"`
	Profiles []Profile `toml:"profile,omitempty"`
}

// Keep puts a into the profile of that name, or makes it the account that is used
// without one.
func (t *Tree) Keep(profile string, a Account) {
	if profile == "" {
		a.Borders, a.BackupsFolder, a.MaxBackups = t.Borders, t.BackupsFolder, t.MaxBackups
		t.Account = a
		return
	}
	for i, old := range t.Profiles {
		if old.Named(profile) {
			a.Borders, a.BackupsFolder, a.MaxBackups = old.Borders, old.BackupsFolder, old.MaxBackups
			t.Profiles[i].Account = a
			return
		}
	}
	t.Profiles = append(t.Profiles, Profile{Name: profile, Account: a})
}

// find returns the profile of a name.
func (t *Tree) find(name string) (Profile, bool) {
	i := slices.IndexFunc(t.Profiles, func(p Profile) bool { return p.Named(name) })
	if name == "" || i < 0 {
		return Profile{}, false
	}
	return t.Profiles[i], true
}

// Names lists the profiles of trees by name and alias.
func Names(trees ...Source) []string {
	var out []string
	for _, t := range trees {
		for _, p := range t.Profiles {
			out = append(append(out, p.Name), p.Aliases...)
		}
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

// Source is a tree and where it was read.
type Source struct {
	Tree
	From string
	Here bool
}

// Layers are what sources say, the first first: the wanted profile of each, or the
// one it uses without, and then what holds for all profiles. A default that there
// is not is an error.
func Layers(wanted string, sources ...Source) ([]Layer, error) {
	var profiles, rest []Layer
	for _, s := range sources {
		name := cmp.Or(wanted, s.Default)
		p, found := s.find(name)
		if !found && wanted == "" && s.Default != "" {
			for _, other := range sources { // Komodo merges its files
				if p, found = other.find(name); found {
					break
				}
			}
			if !found {
				return nil, noDefault(s, Names(sources...))
			}
		}
		if found {
			profiles = append(profiles, Layer{p.Account, s.From, s.Here})
		}
		rest = append(rest, Layer{s.Account, s.From, s.Here})
	}
	return append(profiles, rest...), nil
}

func noDefault(s Source, names []string) error {
	if len(names) == 0 {
		return schema.Errorf(schema.Invalid, "%s: default_profile %q: the file has no profile: remove the key, or make it with `berth login URL -p %s`", s.From, s.Default, s.Default)
	}
	return schema.Errorf(schema.Invalid, "%s: default_profile %q: there is no such profile: there are %s", s.From, s.Default, strings.Join(names, ", "))
}
