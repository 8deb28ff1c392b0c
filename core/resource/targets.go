package resource

import (
	"fmt"
	"strings"
)

// hostName stands in an entry with targets for the name of the server it is for.
const hostName = "{{host.name}}"

// spread turns every stack or deployment that is declared once for several servers
// into one for each: `targets = ["a", "b"]` beside the name. Each is called
// name-server, unless the name has {{host.name}} in it, runs on its server, and has
// the server's name wherever {{host.name}} stands.
func spread(entries []entry) (out []entry, issues []Issue) {
	for _, e := range entries {
		raw, given := e.tree["targets"]
		if !given || e.kind != "stack" && e.kind != "deployment" {
			out = append(out, e)
			continue
		}
		targets, problem := targetsOf(raw)
		name, isText := e.tree["name"].(string)
		config, isTable := e.tree["config"].(map[string]any)
		switch {
		case problem != "":
			issues = append(issues, e.issue("targets", problem, false))
			continue
		case !isText:
			issues = append(issues, e.issue("name", "is missing", false))
			continue
		case e.tree["config"] != nil && !isTable:
			issues = append(issues, e.issue("config", "want a table", false))
			continue
		}
		if key := serverKey(config); key != "" {
			issues = append(issues, e.issue("config."+key, "the servers are given by targets: take one of the two out", false))
			continue
		}
		for _, server := range targets {
			out = append(out, e.on(server, name, config))
		}
	}
	return out, issues
}

// on returns the entry for one server.
func (e entry) on(server, name string, config map[string]any) entry {
	tree := map[string]any{}
	for k, v := range e.tree {
		if k != "targets" {
			tree[k] = withHost(v, server)
		}
	}
	if !strings.Contains(name, hostName) {
		tree["name"] = name + "-" + server
	}
	own := map[string]any{"server_id": server}
	for k, v := range config {
		own[k] = withHost(v, server)
	}
	tree["config"] = own
	e.tree = tree
	return e
}

func targetsOf(raw any) (servers []string, problem string) {
	list, ok := raw.([]any)
	if !ok || len(list) == 0 {
		return nil, "want a list of the servers it is for"
	}
	seen := map[string]bool{}
	for _, item := range list {
		s, ok := item.(string)
		switch {
		case !ok || s == "":
			return nil, "want a list of names of servers"
		case seen[s]:
			return nil, fmt.Sprintf("%q is in it twice", s)
		}
		seen[s] = true
		servers = append(servers, s)
	}
	return servers, ""
}

func serverKey(config map[string]any) string {
	for _, key := range []string{"server", "server_id", "swarm", "swarm_id"} {
		if _, ok := config[key]; ok {
			return key
		}
	}
	return ""
}

// withHost replaces {{host.name}} in every text of a tree.
func withHost(v any, server string) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, hostName, server)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = withHost(item, server)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[k] = withHost(item, server)
		}
		return out
	}
	return v
}
