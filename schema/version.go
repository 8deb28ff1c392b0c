package schema

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is the version of a build. 0.0.0 is none, or the newest.
type Version struct { //nolint:recvcheck // decoding writes, all else reads
	Major int `json:"major"`
	Minor int `json:"minor"`
	Patch int `json:"patch"`
}

// ParseVersion reads "1", "1.2" or "1.2.3"; further parts are ignored.
func ParseVersion(text string) (Version, error) {
	var n [3]int
	for i, part := range strings.Split(text, ".") {
		if i == len(n) {
			break
		}
		v, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return Version{}, Errorf(Invalid, "%q is no version: write 1.2.3", text)
		}
		n[i] = int(v)
	}
	return Version{n[0], n[1], n[2]}, nil
}

// String returns "1.2.3".
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// IsZero reports whether it is 0.0.0.
func (v Version) IsZero() bool { return v == Version{} }

// Next returns the version with the patch raised by one.
func (v Version) Next() Version { return Version{v.Major, v.Minor, v.Patch + 1} }

// UnmarshalJSON accepts a string or an object of all three parts.
func (v *Version) UnmarshalJSON(b []byte) error { return unmarshalTree(b, v) }

func (v *Version) decodeTree(d *decoder, path string, in any) {
	switch in := in.(type) {
	case string:
		got, err := ParseVersion(in)
		if err != nil {
			d.fail(path, "%s", SafeText(err))
		}
		*v = got
	case map[string]any:
		var parts struct {
			Major int `json:"major" required:"true"`
			Minor int `json:"minor" required:"true"`
			Patch int `json:"patch" required:"true"`
		}
		d.fresh(&parts, in, path)
		*v = Version{parts.Major, parts.Minor, parts.Patch}
	default:
		d.wrong(path, in, `a string "1.2.3" or a table { major, minor, patch }`)
	}
}
