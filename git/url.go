package git

import (
	"net"
	"net/url"
	"path"
	"strings"

	"berth/schema"
)

// URL returns the address of repo at provider. Both are Komodo's fields: a host
// (port allowed) and "namespace/name"; https chooses the scheme. A repo or
// provider that is an address itself (ssh://, http(s)://, git@host:path) is used
// as it is.
func URL(provider, repo string, https bool) string {
	provider, repo = strings.TrimSpace(provider), strings.TrimSpace(repo)
	if strings.Contains(repo, "://") || isSCP(repo) {
		return repo
	}
	provider, repo = strings.TrimRight(provider, "/"), strings.Trim(repo, "/")
	switch {
	case strings.Contains(provider, "://"):
		return provider + "/" + repo
	case strings.Contains(provider, "@"):
		if host := strings.TrimSuffix(provider, ":"); !strings.Contains(host, ":") {
			return host + ":" + repo
		}
		return "ssh://" + provider + "/" + repo
	case https:
		return "https://" + provider + "/" + repo
	}
	return "http://" + provider + "/" + repo
}

// isSCP recognizes user@host:path, git's short form of an ssh address.
func isSCP(s string) bool {
	at, colon := strings.Index(s, "@"), strings.Index(s, ":")
	return at > 0 && colon > at+1 && !strings.Contains(s[:colon], "/") && !strings.Contains(s, "://")
}

// address is a parsed repository address, free of passwords.
type address struct {
	scheme string // http, https or ssh
	user   string // ssh only
	host   string // with port, if one was given
	path   string // as the server wants it: "/ns/name" or, for git@host:, "ns/name"
	scp    bool   // was written git@host:path
}

// parseAddress reads a repository's address. Credentials in it are returned
// apart, so that they do not get into texts or files.
func parseAddress(raw string) (address, Auth, error) {
	raw = strings.TrimSpace(raw)
	if isSCP(raw) {
		user, rest, _ := strings.Cut(raw, "@")
		host, p, _ := strings.Cut(rest, ":")
		return address{scheme: "ssh", user: user, host: host, path: p, scp: true}, Auth{}, nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return address{}, Auth{}, schema.Errorf(schema.Invalid,
			"read repository address: want https://host/path, ssh://git@host/path or git@host:path")
	}
	a := address{scheme: strings.ToLower(u.Scheme), host: u.Host, path: u.Path}
	switch a.scheme {
	case "http", "https":
		var auth Auth
		if u.User != nil {
			auth.Username = u.User.Username()
			if pass, ok := u.User.Password(); ok {
				auth.Token = pass
			} else {
				auth = Auth{Token: auth.Username} // https://TOKEN@host/…
			}
		}
		return a, auth, nil
	case "ssh", "git+ssh", "ssh+git":
		a.scheme, a.user = "ssh", "git"
		if u.User != nil && u.User.Username() != "" {
			a.user = u.User.Username()
		}
		return a, Auth{}, nil
	}
	return address{}, Auth{}, schema.Errorf(schema.Invalid,
		"read repository address: scheme %q is not supported, use https, http or ssh", u.Scheme)
}

// String returns the address as it may be shown and written to .git/config.
func (a address) String() string {
	if a.scp {
		return a.user + "@" + a.host + ":" + a.path
	}
	if a.scheme == "ssh" {
		return "ssh://" + a.user + "@" + a.host + a.path
	}
	return (&url.URL{Scheme: a.scheme, Host: a.host, Path: a.path}).String()
}

// hostname returns the host without its port.
func (a address) hostname() string {
	if h, _, err := net.SplitHostPort(a.host); err == nil {
		return h
	}
	return strings.Trim(a.host, "[]")
}

// hostPort returns what to dial.
func (a address) hostPort() string {
	if _, _, err := net.SplitHostPort(a.host); err == nil {
		return a.host
	}
	port := map[string]string{"ssh": "22", "http": "80", "https": "443"}[a.scheme]
	return net.JoinHostPort(a.hostname(), port)
}

// sameRepo says whether two addresses name the same repository of the same host,
// however they are written.
func (a address) sameRepo(b address) bool {
	norm := func(s string) string {
		return strings.ToLower(strings.TrimSuffix(strings.Trim(s, "/"), ".git"))
	}
	return strings.EqualFold(a.hostname(), b.hostname()) && norm(a.path) == norm(b.path)
}

// submodule resolves a submodule's address as .gitmodules gives it, against the
// repository it is in.
func (a address) submodule(raw string) (address, error) {
	if !strings.HasPrefix(raw, "./") && !strings.HasPrefix(raw, "../") {
		sub, _, err := parseAddress(raw)
		if err == nil && strings.HasPrefix(sub.path, "-") {
			return address{}, schema.Errorf(schema.Invalid, "read submodule address: %q begins with a dash", sub.path)
		}
		return sub, err
	}
	sub := a
	joined := path.Join("/", strings.TrimSuffix(a.path, "/"), raw)
	if sub.scp {
		joined = strings.TrimPrefix(joined, "/")
	}
	sub.path = joined
	return sub, nil
}

// authFor returns the credentials to use for another address met on the way (a
// submodule's): the same only on the same host, and never a password in clear
// where it was encrypted before.
func (a address) authFor(sub address, auth Auth) Auth {
	same := strings.EqualFold(a.hostPort(), sub.hostPort()) && a.scheme == sub.scheme
	if same {
		return auth
	}
	return Auth{KnownHosts: auth.KnownHosts}
}

// reach returns the address to really ask for a submodule: one named by ssh on
// the parent's host is asked over the parent's own https when there is no key.
func (a address) reach(sub address, auth Auth) address {
	if sub.scheme == "ssh" && a.scheme != "ssh" && len(auth.SSHKey) == 0 && strings.EqualFold(a.hostname(), sub.hostname()) {
		return address{scheme: a.scheme, host: a.host, path: "/" + strings.TrimPrefix(sub.path, "/")}
	}
	return sub
}

// basic returns the user and password for HTTP; ok is false without a token.
func (a Auth) basic() (user, pass string, ok bool) {
	if a.Token == "" {
		return "", "", false
	}
	if u, p, found := strings.Cut(a.Token, ":"); found {
		return u, p, true
	}
	if a.Username != "" {
		return a.Username, a.Token, true
	}
	return "token", a.Token, true
}
