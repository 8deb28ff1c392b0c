package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"berth/core"
	"berth/schema"
)

// coreKeys are what core can be told: `berth core`, and `berth up` too.
func coreKeys() []key {
	keys := []key{
		{name: "listen", def: ":9120", doc: "address of the one HTTP(S) port", read: toText(func(c *configs) *string { return &c.core.Listen })},
		{core: "port", doc: "the port of listen", read: aReader(aNumber, func(c *configs, v string) error { c.port = v; return checkPort(v) })},
		{core: "bind_ip", doc: "the address of listen, as [::] or 127.0.0.1", read: aReader(aText, func(c *configs, v string) error { return bindIP(&c.bind, v) })},
		{name: "url", core: "host", doc: "address under which people and agents reach core, when it is behind a proxy", read: webAddress(func(c *configs) *string { return &c.core.URL })},
		{name: "sync", def: "always", doc: "when accepted writes reach the disk: always, or within a time like 100ms", read: duration(func(c *configs) *time.Duration { return &c.core.Sync })},
		{name: "nats-listen", doc: "also serve NATS with TLS here, for agents and the nats client (:4222)", read: toText(func(c *configs) *string { return &c.core.NATSListen })},
		{name: "tls-cert", doc: "TLS certificate; core makes its own without", read: toText(func(c *configs) *string { return &c.core.CertFile })},
		{name: "tls-key", doc: "its private key", read: toText(func(c *configs) *string { return &c.core.KeyFile })},
		{name: "acme-domain", doc: "names of core for which an authority such as Let's Encrypt gives the certificate, whose terms you accept by it; their port 443 or 80 must lead to listen", read: toList(func(c *configs) *[]string { return &c.core.ACME.Domains })},
		{name: "acme-email", doc: "where the authority writes to when something is wrong with a certificate", read: toText(func(c *configs) *string { return &c.core.ACME.Email })},
		{name: "acme-directory", doc: "the authority's directory; that of Let's Encrypt without", read: webAddress(func(c *configs) *string { return &c.core.ACME.Directory })},
		{core: "ssl_enabled", doc: "false leaves ssl_cert_file and ssl_key_file unread; core speaks TLS with its own certificate then, and plain HTTP only where that is allowed", read: aReader(aFlag, func(c *configs, v string) error {
			c.ssl = v
			return toFlag(func(*configs) *bool { return new(bool) }).set(c, v)
		})},
		{core: "ssl_cert_file", doc: "as tls_cert; /config/ssl/cert.pem with ssl_enabled", read: toText(func(c *configs) *string { return &c.sslCert })},
		{core: "ssl_key_file", doc: "as tls_key; /config/ssl/key.pem with ssl_enabled", read: toText(func(c *configs) *string { return &c.sslKey })},
		{name: "allow-plaintext", in: every, doc: "core serves plain HTTP beyond this machine, an agent connects without encryption: everybody on the way can read passwords, keys and secrets", read: aReader(aFlag, func(c *configs, v string) error {
			if err := toFlag(func(c *configs) *bool { return &c.core.AllowPlaintext }).set(c, v); err != nil {
				return err
			}
			c.agent.AllowPlaintext = c.core.AllowPlaintext
			return nil
		})},
		{name: "trusted-proxy", doc: "addresses or networks of proxies whose X-Forwarded-For is believed", read: networks(func(c *configs) *[]netip.Prefix { return &c.core.Proxies })},
		{name: "webhook-secret", core: "webhook_secret", secret: true, doc: "secret of webhooks whose target has none", read: toText(func(c *configs) *string { return &c.core.WebhookSecret })},
		{name: "admin-username", core: "init_admin_username", env: "BERTH_INIT_ADMIN_USERNAME", doc: "make this administrator when there is no user yet", read: toText(func(c *configs) *string { return &c.core.AdminUsername })},
		{name: "admin-password", core: "init_admin_password", env: "BERTH_INIT_ADMIN_PASSWORD", secret: true, doc: "his password", read: toText(func(c *configs) *string { return &c.core.AdminPassword })},
		{core: "cors_allowed_origins", doc: "origins whose pages may call the API, as https://example.com; * is any, none by default", read: toList(func(c *configs) *[]string { return &c.core.CORS.Origins })},
		{core: "cors_allow_credentials", doc: "these origins, when they are named, may send cookies along", def: "false", read: toFlag(func(c *configs) *bool { return &c.core.CORS.Credentials })},
		{name: "transparent-mode", core: "transparent_mode", doc: "every user may read everything", read: toFlag(func(c *configs) *bool { return &c.core.TransparentMode })},
		{name: "disable-non-admin-create", core: "disable_non_admin_create", doc: "only administrators create resources", read: toFlag(func(c *configs) *bool { return &c.core.DisableNonAdminCreate })},
		{name: "title", core: "title", doc: "name of this installation", read: toText(func(c *configs) *string { return &c.core.Title })},
		{name: "timezone", core: "timezone", doc: "IANA time zone of schedules that name none, as Europe/Berlin; the machine's own without", read: toText(func(c *configs) *string { return &c.core.Zone })},
		{name: "sync-poll-interval", core: "resource_poll_interval", def: "5m", doc: "how often the sources of resource syncs are looked at, as 5m or 1h, or never", read: aReader(aText, func(c *configs, v string) error {
			d, err := schema.ParsePoll(v, 0)
			if c.core.Poll = d; d == 0 {
				c.core.Poll = -1
			}
			return err
		})},
		{core: "disable_init_resources", doc: "a fresh core makes no procedures by itself", read: aReader(aFlag, func(c *configs, v string) error {
			err := toFlag(func(c *configs) *bool { return &c.core.SystemProcedures }).set(c, v)
			c.core.SystemProcedures = !c.core.SystemProcedures
			return err
		}), def: "false"},
		{name: "backup-folder", env: "KOMODO_CLI_BACKUPS_FOLDER", doc: "folder of the backups that BackupCoreDatabase writes; backups in the data folder without", read: toText(func(c *configs) *string { return &c.core.Backup.Folder })},
		{name: "backup-keep", env: "KOMODO_CLI_MAX_BACKUPS", def: "14", doc: "how many of them are kept", read: toNumber(func(c *configs) *int { return &c.core.Backup.Keep })},
		{name: "backup-recipient", doc: "age recipients (age1…) who can open them; keep their keys elsewhere", read: toList(func(c *configs) *[]string { return &c.core.Backup.Recipients })},
		{name: "backup-passphrase", secret: true, doc: "passphrase that opens them, instead of recipients", read: toText(func(c *configs) *string { return &c.core.Backup.Passphrase })},
		{core: "git_provider", doc: "logins at git hosts: domain, https, accounts of username and token", read: reader{kind: tables, item: func(c *configs, m map[string]any) error { return accounts(m, &c.core.Accounts.Git) }}},
		{core: "docker_registry image_registry", doc: "logins at registries: domain, accounts of username and token", read: reader{kind: tables, item: func(c *configs, m map[string]any) error { return accounts(m, &c.core.Accounts.Registry) }}},
	}
	for i := range keys {
		if keys[i].in == 0 {
			keys[i].in = cores
		}
	}
	return append(keys, coreOnly()...)
}

// coreOnly are keys of Komodo's core that have no effect here, or cannot have the
// one they ask for.
func coreOnly() []key {
	const (
		ownKeys  = "core makes its own keys and keeps them in the data folder; `berth execute rotate-core-keys` changes them"
		database = "there is no database beside core: everything is in the data folder"
		headers  = "core sets these headers itself, for its own pages"
		startup  = "nothing is printed of the configuration at the start: `berth config core` shows it"
		dials    = "agents dial core, core never dials: give the server a line with `berth server join-token NAME`"
		folders  = "everything core keeps is in the data folder"
		logs     = "the log has one form: see log_format and log_level"
		traces   = "core sends no traces"
	)
	var out []key
	add := func(none string, k kind, secret bool, names ...string) {
		for _, n := range names {
			out = append(out, key{core: n, in: cores, none: none, read: unread(k), secret: secret})
		}
	}
	add(ownKeys, aText, true, "private_key")
	add("each agent has a key of its own, which core learns when it joins", aList, false, "periphery_public_keys periphery_public_key")
	add("agents prove their own keys; a shared passkey opens nothing", aText, true, "passkey")
	add("core answers on the address of listen, by the machine's own routes", aText, false, "internet_interface")
	add(dials, aText, false, "first_server_address first_server", "first_server_name")
	add(database, aText, true, "database.uri mongo.uri", "database.username mongo.username", "database.password mongo.password")
	add(database, aText, false, "database.address mongo.address", "database.app_name mongo.app_name", "database.db_name mongo.db_name")
	add("a list answers with as many as are asked for", aNumber, false, "default_pagination_limit")
	add("what is typed to confirm is the page's own", aFlag, false, "disable_confirm_dialog")
	add("pages always connect again", aFlag, false, "disable_websocket_reconnect")
	add("there is one form of exported TOML", aFlag, false, "enable_fancy_toml")
	add(headers, aText, false, "x_content_type_options", "x_frame_options", "x_xss_protection", "referrer_policy", "content_security_policy")
	add("pages are in the binary", aText, false, "ui_path frontend_path")
	add("pages are in the binary", aFlag, false, "ui_index_force_no_cache")
	add("sessions are kept in the data folder, not signed", aText, true, "jwt_secret")
	add("webhook addresses are shown with url", aText, false, "webhook_base_url")
	add("webhooks are made at the git host", aText, true, "github_webhook_app.app_id", "github_webhook_app.pk_path")
	add("webhooks are made at the git host", tables, false, "github_webhook_app.installations")
	add(logs, aText, false, "logging.stdio")
	add(logs, aFlag, false, "logging.pretty", "logging.location", "logging.ansi", "logging.timestamps")
	add(traces, aText, false, "logging.otlp_endpoint", "logging.opentelemetry_service_name", "logging.opentelemetry_scope_name")
	add(startup, aFlag, false, "pretty_startup_config", "unsafe_unsanitized_startup_config")
	add("agents say by themselves when something changes", aText, false, "monitoring_interval")
	add("figures and alerts are kept as long as there is room", aNumber, false, "keep_stats_for_days", "keep_alerts_for_days")
	add("core starts no machines of Amazon's", aText, true, "aws.access_key_id", "aws.secret_access_key")
	add(folders, aText, false, "sync_directory", "repo_directory", "action_directory")
	add("core reports to nobody", aFlag, false, "reporting_enabled")
	add("core reports to nobody", aText, true, "reporting_private_key")
	return append(out,
		key{core: "secrets", in: cores, read: unread(tables), doc: "texts for [[NAME]]", remedy: "make each a variable that is secret: a [[variable]] with is_secret = true, or the page Variables"})
}

// accounts reads one [[git_provider]] or [[image_registry]] table, in Komodo's
// form: {domain, https, accounts = [{username, token}]}.
func accounts(m map[string]any, to *[]core.Account) error {
	if err := only(m, "domain", "https", "accounts", "organizations"); err != nil {
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
