package schema

import (
	"slices"
	"strings"
)

// Tag is what is known of a tag beside its name, which resources carry.
type Tag struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Owner string `json:"owner"` // id of the user who made it; empty for one that a file brought
	Color string `json:"color"`
}

// DefaultTagColor is the color of tags for which nobody chose one.
const DefaultTagColor = "Slate"

// TagColors returns the colors a tag may have.
func TagColors() []string {
	hues := []string{
		"Slate", "Red", "Orange", "Amber", "Yellow", "Lime", "Green", "Emerald", "Teal", "Cyan", "Sky", "Blue", "Indigo",
		"Violet", "Purple", "Fuchsia", "Pink", "Rose",
	}
	var out []string
	for _, h := range hues {
		out = append(out, "Light"+h, h, "Dark"+h)
	}
	return out
}

// TagName is the rule of tags' names: any text on one line that is no id.
func TagName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", Errorf(Invalid, "a tag is empty")
	case IsID(name):
		return "", Errorf(Invalid, "tag %q: 24 hex digits are an id, not a name", name)
	case strings.ContainsAny(name, "\n\r,"):
		return "", Errorf(Invalid, "tag %q: line ends and commas separate tags", name)
	case len(name) > 100:
		return "", Errorf(Invalid, "a tag has at most 100 characters")
	}
	return name, nil
}

// TagColor refuses what is no color of a tag; nothing is the default one.
func TagColor(color string) (string, error) {
	switch {
	case color == "":
		return DefaultTagColor, nil
	case slices.Contains(TagColors(), color):
		return color, nil
	}
	near := Nearest(color, TagColors())
	if near == "" {
		near = DefaultTagColor
	}
	return "", Errorf(Invalid, "color %q: there is %s, and 53 more", color, near)
}
