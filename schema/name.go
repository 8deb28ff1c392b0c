package schema

import (
	"regexp"
	"strings"
)

// NameRule turns a name as given into the name as stored. It refuses, as
// Invalid, what cannot be one: the empty name, and what looks like an id.
type NameRule func(given string) (string, error)

// PlainName is the rule of most kinds: blanks around it go, a newline becomes _.
func PlainName(given string) (string, error) {
	return checkedName(given, strings.ReplaceAll(strings.TrimSpace(given), "\n", "_"))
}

// RepoName is the rule of repos: blanks and newlines within become _.
func RepoName(given string) (string, error) {
	return checkedName(given, FolderName(given))
}

// StackName is the rule of stacks and builds: what compose takes as the name of
// a project.
func StackName(given string) (string, error) {
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, strings.ToLower(strings.TrimSpace(given)))
	return checkedName(given, strings.TrimLeft(name, "_-"))
}

// DeploymentName is the rule of deployments: what the engine takes as the name of
// a container.
func DeploymentName(given string) (string, error) {
	return checkedName(given, ContainerName(given))
}

// ContainerName returns the name of a container for any text; "" when nothing of
// it may stand in one.
func ContainerName(given string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '-', r == '.':
			return r
		}
		return '_'
	}, strings.TrimSpace(given))
	return strings.TrimLeft(name, "_-.")
}

// VariableName is the rule of variables: letters, digits and _, at most 500.
func VariableName(given string) (string, error) {
	if given == "" || len(given) > 500 || !regexp.MustCompile(`\A[a-zA-Z_][a-zA-Z0-9_]*\z`).MatchString(given) {
		return "", Errorf(Invalid, "name %q: a variable's name has letters, digits and _, does not begin with a digit, and has at most 500 characters", clip(given))
	}
	return given, nil
}

// FolderName returns the folder that belongs to a name.
func FolderName(name string) string {
	return strings.NewReplacer(" ", "_", "\n", "_").Replace(strings.TrimSpace(name))
}

func checkedName(given, name string) (string, error) {
	switch {
	case name == "":
		return "", Errorf(Invalid, "name %q: nothing is left of it that may stand in a name", clip(given))
	case IsID(name):
		return "", Errorf(Invalid, "name %q: it has the form of an id, choose another", name)
	}
	return name, nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
