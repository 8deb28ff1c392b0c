package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nkeys"

	"berth/bus"
	"berth/schema"
)

// sharedKeys are what every process can be told.
func sharedKeys() []key {
	return []key{
		{name: "data", in: every, def: "/var/lib/berth", doc: "folder of everything that is kept: core's in core, an agent's in periphery", read: toText(func(c *configs) *string { return &c.core.Data })},
		{name: "log-format", in: every, def: "text", doc: "text or json", read: aReader(aText, func(c *configs, v string) error { c.format = v; return oneOf(v, "text", "json") })},
		{name: "log-level", in: every, core: "logging.level", peri: "logging.level", def: "info", doc: "debug, info, warn or error", read: aReader(aText, func(c *configs, v string) error {
			if strings.EqualFold(v, "trace") {
				v = "debug"
			}
			c.lvl = v
			return oneOf(strings.ToLower(v), "debug", "info", "warn", "error")
		})},
	}
}

// agentKeys are what an agent can be told; those of the one inside `berth up` first.
func agentKeys() []key {
	return append([]key{
		{name: "server", in: inUp, def: hostName(), doc: "name of this machine among the servers", read: toText(func(c *configs) *string { return &c.server })},
		{name: "engine", in: agents, env: "DOCKER_HOST", doc: "address of the Docker engine; the local one without", read: toText(func(c *configs) *string { return &c.agent.Engine })},
		{name: "age-key-file", in: agents, env: "SOPS_AGE_KEY_FILE", doc: "files with the host's age identity, first found wins", read: toList(func(c *configs) *[]string { return &c.agent.AgeKeys })},
		{peri: "root_directory", in: agents, doc: "data of the agent alone: core's stays where data says, also in berth up. --data on the command line is stronger", read: folder(func(c *configs) *string { return &c.root })},
		{peri: "repo_dir", in: agents, doc: "where clones of repos are; repos in the agent's data folder without", read: folder(func(c *configs) *string { return &c.agent.Repos })},
		{peri: "stack_dir", in: agents, doc: "where files of stacks are; stacks in the agent's data folder without", read: folder(func(c *configs) *string { return &c.agent.Stacks })},
		{peri: "build_dir", in: agents, doc: "where contexts of builds are; builds in the agent's data folder without", read: folder(func(c *configs) *string { return &c.agent.Builds })},
		{name: "core", in: inAgent, peri: "core_addresses core_address", doc: "addresses of core; needed once, to join", read: aReader(aList, coreAddresses)},
		{name: "allowed-ips", in: inAgent, peri: "allowed_ips", doc: "addresses or networks in which core is: to no other the agent connects", read: networks(func(c *configs) *[]netip.Prefix { return &c.agent.Allowed })},
		{name: "token", in: inAgent, secret: true, doc: "join token; needed once", read: toText(func(c *configs) *string { return &c.agent.Token })},
		{name: "onboarding-key", in: inAgent, peri: "onboarding_key", secret: true, doc: "key O_…_O by which the agent makes its own server, instead of a join token; needed once", read: toText(func(c *configs) *string { return &c.agent.OnboardingKey })},
		{name: "connect-as", in: inAgent, peri: "connect_as", doc: "name of the server to be; $(hostname) is the machine's own. Without a token or a key an administrator has to confirm the agent", read: aReader(aText, connectAs)},
		{name: "core-public-keys", in: inAgent, peri: "core_public_keys core_public_key", doc: "public nkeys (U…) of which core must have one, when the agent joins; Komodo's own keys among them say nothing here", read: aReader(aList, coreKeysOf)},
		{name: "core-tls-insecure-skip-verify", in: inAgent, peri: "core_tls_insecure_skip_verify", doc: "an agent that joins with connect_as alone trusts whatever answers as core, and remembers its key; with a token or an onboarding key it has no effect: they prove core", read: toFlag(func(c *configs) *bool { return &c.agent.TrustFirst })},
		{name: "proxy", in: inAgent, doc: "HTTP proxy through which core is reached", read: toText(func(c *configs) *string { return &c.agent.Proxy })},
	}, agentOnly()...)
}

// agentOnly are keys of Komodo's periphery that have no effect here, or cannot have
// the one they ask for.
func agentOnly() []key {
	const (
		listens = "an agent listens nowhere: it connects to core"
		startup = "nothing is printed of the configuration at the start: `berth config periphery` shows it"
		logs    = "the log has one form: see log_format and log_level"
		traces  = "agents send no traces"
	)
	var out []key
	add := func(none string, k kind, secret bool, names ...string) {
		for _, n := range names {
			out = append(out, key{peri: n, in: inAgent, none: none, read: unread(k), secret: secret})
		}
	}
	add("the agent makes its own key and keeps it in the data folder", aText, true, "private_key")
	add("keys are proved; a shared passkey opens nothing", aList, true, "passkeys")
	add(listens, aFlag, false, "server_enabled", "ssl_enabled")
	add(listens, aNumber, false, "port")
	add(listens, aText, false, "bind_ip", "ssl_key_file", "ssl_cert_file")
	add("there are no terminals yet", aText, false, "default_terminal_command")
	add("there are no terminals yet", aFlag, false, "disable_terminals", "disable_container_terminals disable_container_exec")
	add("figures are taken when somebody looks", aText, false, "stats_polling_rate", "container_stats_polling_rate")
	add("Compose is in the binary", aFlag, false, "legacy_compose_cli")
	add(logs, aText, false, "logging.stdio")
	add(logs, aFlag, false, "logging.pretty", "logging.location", "logging.ansi", "logging.timestamps")
	add(traces, aText, false, "logging.otlp_endpoint", "logging.opentelemetry_service_name", "logging.opentelemetry_scope_name")
	add(startup, aFlag, false, "pretty_startup_config")
	add("mounts are left out with ignore_mounts of the server", aList, false, "include_disk_mounts", "exclude_disk_mounts")
	const variable = "make each a variable that is secret on core, or encrypt it with sops for this server's key"
	const login = "put it into core's configuration: agents get the logins that a deploy names"
	return append(out,
		key{peri: "secrets", in: inAgent, read: unread(tables), doc: "texts for [[NAME]] on this server", remedy: variable},
		key{peri: "git_provider", in: inAgent, read: unread(tables), doc: "logins at git hosts for this server", remedy: login},
		key{peri: "docker_registry image_registry", in: inAgent, read: unread(tables), doc: "logins at registries for this server", remedy: login})
}

func oneOf(v string, words ...string) error {
	if slices.Contains(words, v) {
		return nil
	}
	return fmt.Errorf("want %s", strings.Join(words, ", "))
}

// coreAddresses reads addresses of the one core, as Komodo's agents have them too:
// wss://host, or a host alone.
func coreAddresses(c *configs, v string) error {
	var out []string
	for _, a := range schema.ParseStrList(v) {
		if err := bus.CheckAddress(a); err != nil {
			return errors.New(schema.SafeText(err))
		}
		out = append(out, strings.TrimRight(a, "/"))
	}
	c.agent.Core = strings.Join(out, ",")
	return nil
}

// connectAs takes the name of a server. No shell is asked for the machine's own.
func connectAs(c *configs, v string) error {
	if strings.Contains(v, "$(hostname)") {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("the machine's name: %w", err)
		}
		v = strings.ReplaceAll(v, "$(hostname)", name)
	}
	if strings.Contains(v, "$(") {
		return errors.New("no shell is asked: of $(…) only $(hostname) is understood")
	}
	c.agent.ConnectAs = v
	return nil
}

// coreKeysOf takes those keys of core that can be Berth's.
func coreKeysOf(c *configs, v string) error {
	c.agent.CoreKeys = nil
	for _, k := range schema.ParseStrList(v) {
		switch {
		case nkeys.IsValidPublicUserKey(k):
			c.agent.CoreKeys = append(c.agent.CoreKeys, k)
		case strings.HasPrefix(k, "U") && len(k) > 40:
			return fmt.Errorf("%q is no public nkey: copy it whole", k)
		}
	}
	return nil
}

// distinct refuses folders of an agent that lie in each other: what two of them
// hold is told apart by nothing but the folder.
func distinct(c *configs) error {
	dirs := []struct{ key, path string }{{"repo_dir", c.agent.Repos}, {"stack_dir", c.agent.Stacks}, {"build_dir", c.agent.Builds}}
	for i, a := range dirs {
		for _, b := range dirs[i+1:] {
			if a.path != "" && b.path != "" && (within(a.path, b.path) || within(b.path, a.path)) {
				return schema.Errorf(schema.Invalid, "%s and %s: %s and %s lie in each other: repo_dir is for clones of repos, stack_dir for files of stacks, each needs a folder of its own", a.key, b.key, a.path, b.path)
			}
		}
	}
	return nil
}

func within(inner, outer string) bool {
	rel, err := filepath.Rel(outer, inner)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(os.PathSeparator))
}
