package schema

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
)

// sopsRecipient is an age recipient in the metadata of a file, in all formats of sops:
// YAML, JSON, dotenv (sops_age__list_0__map_recipient=…) and INI.
var sopsRecipient = regexp.MustCompile(`recipient["']?\s*[:=]\s*["']?(age1[0-9a-z]+)`)

// SopsNamed reports whether a file is named as a sops file: .sops.env, app.sops.yaml.
// The rules of the sops tool, .sops.yaml, are told apart by their contents, see
// CheckSops.
func SopsNamed(name string) bool {
	for _, ext := range []string{".env", ".json", ".yaml", ".yml"} {
		if strings.HasSuffix(path.Base(name), ".sops"+ext) {
			return true
		}
	}
	return false
}

// SopsRecipients returns the age recipients of a file, each once, in its order; none of
// one that is not encrypted, or with other keys only.
func SopsRecipients(data []byte) []string {
	var out []string
	for _, m := range sopsRecipient.FindAllSubmatch(data, -1) {
		if r := string(m[1]); !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// CheckSops tells whether a server that has the given recipients can decrypt the file:
// nil, or Denied with what to do. Nothing is said of a file that is not encrypted,
// of one with other kinds of keys only, and of a server whose recipients are not
// known.
func CheckSops(file string, data []byte, server string, has []string) error {
	want := SopsRecipients(data)
	if len(want) == 0 || len(has) == 0 || !bytes.Contains(data, []byte("sops")) {
		return nil
	}
	for _, r := range has {
		if slices.Contains(want, r) {
			return nil
		}
	}
	return Errorf(Denied, "%s cannot be decrypted on server %q: it is encrypted for %s: add recipient %s of server %q to .sops.yaml and run: sops updatekeys %s",
		file, server, strings.Join(want, ", "), has[0], server, file)
}
