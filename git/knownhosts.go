package git

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what the known_hosts format hashes host names with
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"berth/schema"
)

// pins are the host keys pinned for one host.
type pins struct {
	host    string // host:port as dialed
	keys    []ssh.PublicKey
	revoked []ssh.PublicKey
}

// readPins picks the keys for addr (host:port) out of known_hosts lines.
func readPins(known []byte, addr string) (pins, error) {
	p := pins{host: addr}
	name := knownhosts.Normalize(addr) // host, or [host]:port
	rest := known
	for line := 1; len(bytes.TrimSpace(rest)) > 0; line++ {
		marker, hosts, key, _, next, err := ssh.ParseKnownHosts(rest)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return p, schema.Wrap(schema.Invalid, err, "read the pinned host keys: entry %d: %s", line, oneLine(err.Error()))
		}
		rest = next
		if !matchesHost(hosts, name) {
			continue
		}
		switch marker {
		case "":
			p.keys = append(p.keys, key)
		case "revoked":
			p.revoked = append(p.revoked, key)
		}
	}
	return p, nil
}

// matchesHost applies the patterns of one line; a negated match wins.
func matchesHost(patterns []string, name string) bool {
	found := false
	for _, pat := range patterns {
		pat, not := strings.CutPrefix(pat, "!")
		if !matchesPattern(pat, name) {
			continue
		}
		if not {
			return false
		}
		found = true
	}
	return found
}

func matchesPattern(pat, name string) bool {
	if strings.HasPrefix(pat, "|1|") {
		parts := strings.Split(pat, "|")
		if len(parts) != 4 {
			return false
		}
		salt, err1 := base64.StdEncoding.DecodeString(parts[2])
		want, err2 := base64.StdEncoding.DecodeString(parts[3])
		mac := hmac.New(sha1.New, salt)
		_, _ = io.WriteString(mac, name) // a hash takes everything
		return err1 == nil && err2 == nil && hmac.Equal(mac.Sum(nil), want)
	}
	if strings.ContainsAny(pat, "*?") {
		escaped := strings.NewReplacer("[", `\[`, "]", `\]`).Replace(strings.ToLower(pat))
		ok, err := path.Match(escaped, strings.ToLower(name))
		return err == nil && ok
	}
	return strings.EqualFold(knownhosts.Normalize(pat), name)
}

// algorithms lists the host key algorithms to ask for, so that the server shows
// a key of a kind that is pinned; nil when nothing is pinned.
func (p pins) algorithms() []string {
	var out []string
	for _, k := range p.keys {
		if k.Type() == ssh.KeyAlgoRSA {
			out = append(out, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			continue
		}
		out = append(out, k.Type())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// check is the ssh.HostKeyCallback: only a pinned key is good.
func (p pins) check(_ string, _ net.Addr, key ssh.PublicKey) error {
	shown := fmt.Sprintf("%s (%s)", ssh.FingerprintSHA256(key), key.Type())
	host := knownhosts.Normalize(p.host)
	is := func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), key.Marshal()) }
	switch {
	case slices.ContainsFunc(p.revoked, is):
		return schema.Errorf(schema.Denied, "host %s shows the key %s, which is revoked in the pinned host keys", host, shown)
	case slices.ContainsFunc(p.keys, is):
		return nil
	case len(p.keys) == 0:
		return schema.Errorf(schema.Denied, "host %s shows the key %s and none is pinned for it; compare it with what the server's owner publishes, then pin it by adding the line %q to the account's known hosts",
			host, shown, knownhosts.Line([]string{host}, key))
	}
	want := make([]string, len(p.keys))
	for i, k := range p.keys {
		want[i] = fmt.Sprintf("%s (%s)", ssh.FingerprintSHA256(k), k.Type())
	}
	return schema.Errorf(schema.Denied, "host %s shows the key %s, but pinned is %s; somebody may be listening in: only if the server's owner confirms the new key, replace the pinned one by %q",
		host, shown, strings.Join(want, ", "), knownhosts.Line([]string{host}, key))
}
