package schema

import (
	"fmt"
	"strings"
	"time"
)

// BuildRun builds an image and pushes it. Doing it twice makes the same image twice.
var BuildRun = Job[BuildRunReq, BuildRunResp]{Name: "build.run", Timeout: 2 * time.Hour, Repeatable: true}

// BuildRunReq builds an image.
type BuildRunReq struct {
	ID     string      `json:"id"`
	Name   string      `json:"name"`
	Config BuildConfig `json:"config"`           // as stored; not interpolated
	Source *GitSource  `json:"source,omitempty"` // of a linked or inline repo, with the commit
	// Version is what is being built; Before was the newest one until now.
	Version Version `json:"version"`
	Before  Version `json:"before"`
	// Images are what it is called, one per registry, the one that deployments use
	// first. Each gets all of Tags.
	Images []BuiltName `json:"images"`
	Tags   []string    `json:"tags"`
}

// BuiltName is an image's name without a tag, and the account that may push it.
// One without a domain stays where it is built.
type BuiltName struct {
	Name    string `json:"name"`
	Domain  string `json:"registry_provider,omitempty"`
	Account string `json:"registry_account,omitempty"`
}

// BuildRunResp is what was built.
type BuildRunResp struct {
	Commit   CommitInfo `json:"commit,omitzero"`
	ID       string     `json:"id"`               // of the image on the builder
	Digest   string     `json:"digest,omitempty"` // of the first that was pushed
	Refs     []string   `json:"refs"`             // name:tag, all that there are now
	Pushed   []string   `json:"pushed,omitempty"`
	Steps    int        `json:"steps"`
	Cached   int        `json:"cached"` // of the steps
	Warnings []string   `json:"warnings,omitempty"`
}

// Source returns where the build's files come from. SourceInline is a Dockerfile
// that is written in Berth.
func (c BuildConfig) Source() Source {
	switch {
	case c.FilesOnHost:
		return SourceHost
	case c.LinkedRepo != "":
		return SourceLinked
	case c.Repo != "":
		return SourceRepo
	}
	return SourceInline
}

// Git returns the source of an inline repo.
func (c BuildConfig) Git() GitSource {
	return GitSource{
		Provider: c.GitProvider, HTTPS: c.GitHTTPS, Account: c.GitAccount, Repo: c.Repo, Branch: c.Branch, Commit: c.Commit,
		SSHKey: c.GitSSHKey, KnownHosts: c.GitKnownHosts, Submodules: c.Submodules,
	}
}

// CurrentVersion is the version of the newest image. A declared version counts
// from when it is declared until a build has been made of it: saying the same
// again does not set it back.
func (c BuildConfig) CurrentVersion(s BuildState) Version {
	if !c.Version.IsZero() && c.Version != s.Declared {
		return c.Version
	}
	return s.Version
}

// NextVersion is the version that a build makes now.
func (c BuildConfig) NextVersion(s BuildState) Version {
	if v := c.CurrentVersion(s); !c.AutoIncrementVersion {
		return v
	}
	return c.CurrentVersion(s).Next()
}

// ImageNames lists what the image of a build called name is called: once per
// registry that it is pushed to, or once, for itself.
func (c BuildConfig) ImageNames(name string) []BuiltName {
	if c.ImageName != "" {
		name = c.ImageName
	}
	var out []BuiltName
	seen := map[string]bool{}
	for _, r := range c.ImageRegistry {
		n := BuiltName{Name: name}
		if r.Domain != "" && r.Account != "" {
			space := r.Organization
			if space == "" {
				space = r.Account
			}
			n = BuiltName{Name: r.Domain + "/" + strings.ToLower(space) + "/" + name, Domain: r.Domain, Account: r.Account}
		}
		if !seen[n.Name] {
			out, seen[n.Name] = append(out, n), true
		}
	}
	if len(out) == 0 {
		out = []BuiltName{{Name: name}}
	}
	return out
}

// Tags lists the tags of a version built from a commit, which may be none.
func (c BuildConfig) Tags(v Version, commit string) []string {
	var out []string
	behind := ""
	if c.ImageTag != "" {
		out, behind = append(out, c.ImageTag), "-"+c.ImageTag
	}
	if c.IncludeLatestTag {
		out = append(out, "latest"+behind)
	}
	if c.IncludeVersionTags {
		out = append(out, v.String()+behind, fmt.Sprintf("%d.%d%s", v.Major, v.Minor, behind), fmt.Sprintf("%d%s", v.Major, behind))
	}
	if c.IncludeCommitTag && commit != "" {
		out = append(out, shortHash(commit)+behind)
	}
	return out
}

// DeployTag is the tag by which deployments run a version: 0.0.0 is the newest.
// It is empty when there is none.
func (c BuildConfig) DeployTag(v Version, s BuildState) string {
	behind := ""
	if c.ImageTag != "" {
		behind = "-" + c.ImageTag
	}
	newest := v.IsZero() || v == s.Version
	if v.IsZero() {
		v = s.Version
	}
	switch {
	case c.IncludeVersionTags && (s.BuiltAt != 0 || !v.IsZero()):
		return v.String() + behind
	case !newest || s.BuiltAt == 0:
		return "" // older ones have lost their tag, or never had one
	case c.IncludeCommitTag && s.Commit != "":
		return shortHash(s.Commit) + behind
	case c.IncludeLatestTag:
		return "latest" + behind
	}
	return c.ImageTag
}

// shortHash is a commit as tags have it.
func shortHash(commit string) string { return commit[:min(7, len(commit))] }

// Unquoted drops one pair of quotes around a value, as the shell that Komodo
// hands build arguments and labels to does.
func Unquoted(s string) string {
	if len(s) > 1 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}
