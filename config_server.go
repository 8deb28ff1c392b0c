package main

import (
	"errors"
	"fmt"
	"net/netip"

	"berth/core"
	"berth/periphery"
	"berth/schema"
)

// coreSettings are what `berth core` and `berth up` can be told.
func coreSettings(c *core.Config) *settings {
	s := &settings{}
	s.text(&c.Data, "data", "/var/lib/berth", "folder of everything that is kept")
	s.text(&c.Listen, "listen", ":9120", "address of the one HTTP(S) port")
	s.text(&c.URL, "url", "", "address under which people and agents reach core, when it is behind a proxy", "KOMODO_HOST")
	s.duration(&c.Sync, "sync", "always", "when accepted writes reach the disk: always, or within a time like 100ms")
	s.text(&c.NATSListen, "nats-listen", "", "also serve NATS with TLS here, for agents and the nats client (:4222)")
	s.text(&c.CertFile, "tls-cert", "", "TLS certificate; core makes its own without", "KOMODO_SSL_CERT_FILE")
	s.text(&c.KeyFile, "tls-key", "", "its private key", "KOMODO_SSL_KEY_FILE")
	s.flag(&c.AllowPlaintext, "allow-plaintext", "serve plain HTTP beyond this machine: everybody on the way can read passwords, keys and secrets")
	s.sealed(&c.WebhookSecret, "webhook-secret", "secret of webhooks whose target has none", "KOMODO_WEBHOOK_SECRET")
	s.text(&c.AdminUsername, "admin-username", "", "make this administrator when there is no user yet", "BERTH_INIT_ADMIN_USERNAME", "KOMODO_INIT_ADMIN_USERNAME")
	s.sealed(&c.AdminPassword, "admin-password", "his password", "BERTH_INIT_ADMIN_PASSWORD", "KOMODO_INIT_ADMIN_PASSWORD")
	s.text(&c.Title, "title", "", "name of this installation", "KOMODO_TITLE")
	s.text(&c.Zone, "timezone", "", "IANA time zone of schedules that name none, as Europe/Berlin; the machine's own without", "KOMODO_TIMEZONE")
	s.add(&setting{
		name: "sync-poll-interval", value: "5m", env: []string{"KOMODO_RESOURCE_POLL_INTERVAL"},
		doc: "how often the sources of resource syncs are looked at, as 5m or 1h, or never", set: func(v string) error {
			d, err := schema.ParsePoll(v, 0)
			if c.Poll = d; d == 0 {
				c.Poll = -1
			}
			return err
		},
	})
	s.text(&c.Backup.Folder, "backup-folder", "", "folder of the backups that BackupCoreDatabase writes; backups in the data folder without", "KOMODO_CLI_BACKUPS_FOLDER")
	s.number(&c.Backup.Keep, "backup-keep", 14, "how many of them are kept", "KOMODO_CLI_MAX_BACKUPS")
	s.texts(&c.Backup.Recipients, "backup-recipient", "age recipients (age1…) who can open them; keep their keys elsewhere")
	s.sealed(&c.Backup.Passphrase, "backup-passphrase", "passphrase that opens them, instead of recipients")
	s.add(&setting{name: "trusted-proxy", doc: "addresses or networks of proxies whose X-Forwarded-For is believed", set: func(v string) error {
		for _, item := range schema.ParseStrList(v) {
			p, err := prefix(item)
			if err != nil {
				return err
			}
			c.Proxies = append(c.Proxies, p)
		}
		return nil
	}})
	s.tables = map[string]func(map[string]any) error{
		"git_provider":    func(m map[string]any) error { return accounts(m, &c.Accounts.Git) },
		"image_registry":  func(m map[string]any) error { return accounts(m, &c.Accounts.Registry) },
		"docker_registry": func(m map[string]any) error { return accounts(m, &c.Accounts.Registry) },
	}
	return s
}

// peripherySettings are what `berth periphery` can be told.
func peripherySettings(c *periphery.Config) *settings {
	s := &settings{}
	s.text(&c.Data, "data", "/var/lib/berth", "folder of key, journal, repositories and stacks")
	s.text(&c.Core, "core", "", "address of core; needed once, to join")
	s.sealed(&c.Token, "token", "join token; needed once")
	agentSettings(s, c)
	s.flag(&c.AllowPlaintext, "allow-plaintext", "connect without encryption beyond this machine: everybody on the way can read secrets")
	s.text(&c.Proxy, "proxy", "", "HTTP proxy through which core is reached")
	return s
}

// agentSettings are what an agent can be told wherever it runs.
func agentSettings(s *settings, c *periphery.Config) {
	s.text(&c.Engine, "engine", "", "address of the Docker engine; the local one without", "DOCKER_HOST")
	s.texts(&c.AgeKeys, "age-key-file", "files with the host's age identity, first found wins", "SOPS_AGE_KEY_FILE")
}

func prefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network like 10.0.0.0/8", s)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// accounts reads one [[git_provider]] or [[image_registry]] table, in Komodo's
// form: {domain, https, accounts = [{username, token}]}.
func accounts(m map[string]any, to *[]core.Account) error {
	if err := only(m, "domain", "https", "accounts"); err != nil {
		return err
	}
	domain, _ := m["domain"].(string)
	if domain == "" {
		return errors.New("domain is missing")
	}
	https, given := m["https"].(bool)
	list, _ := m["accounts"].([]any)
	for _, item := range list {
		a, _ := item.(map[string]any)
		if err := only(a, "username", "token"); err != nil {
			return err
		}
		user, _ := a["username"].(string)
		token, _ := a["token"].(string)
		if user == "" || token == "" {
			return fmt.Errorf("an account of %s lacks username or token", domain)
		}
		*to = append(*to, core.Account{Provider: domain, Username: user, Token: token, HTTP: given && !https})
	}
	return nil
}
