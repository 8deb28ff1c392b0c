package page

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/a-h/templ"
)

// ConfigView is the settings of a resource, as a form or as TOML.
type ConfigView struct {
	Kind, Name  string
	Description string
	Tags        []string
	Template    bool
	TOML        string // when the text is shown
	AsText      bool
	Sections    []FormSection
	Error       string
	Saved       bool
	Plan        *PlanView
}

type sectionTitle struct {
	title    string
	prefixes []string
}

// sectionTitles orders the sections of forms; a field belongs to the first whose
// prefixes it has.
func sectionTitles() []sectionTitle {
	return []sectionTitle{
		{"Where", []string{"server_id", "swarm_id", "builder_id", "enabled", "region", "external_address", "address", "project_name"}},
		{"Type and address", []string{"type", "params", "endpoint"}},
		{"Who and what", []string{"everyone", "users", "all", "permissions", "value", "is_secret"}},
		{"What is sent", []string{"alert_types", "resources", "except_resources"}},
		{"Registry", []string{"image_registry"}},
		{"What counts", []string{"resource_path", "managed", "delete", "include_resources", "include_variables", "include_user", "match_tags", "pending_alert"}},
		{"Version and tags", []string{"version", "auto_increment", "include_", "image_name", "image_tag"}},
		{"Container", []string{"image", "custom_name", "network", "restart", "command", "ports", "volumes", "labels", "replicas", "termination_", "term_signal"}},
		{"Source", []string{"linked_repo", "git_", "repo", "branch", "commit", "clone_path", "path", "reclone", "submodules", "files_on_host"}},
		{"Files and environment", []string{"run_directory", "file_paths", "file_contents", "environment", "env_file_path", "additional_env_files", "config_files", "skip_secret_interp"}},
		{"Arguments and start", []string{"arguments", "run_at_startup"}},
		{"Deploy", []string{"auto_pull", "run_build", "destroy_before", "pre_deploy", "post_deploy", "on_clone", "on_pull", "extra_args", "build_extra", "ignore_services", "check_health", "health_timeout", "deploy_timeout", "wait_timeout", "registry_", "compose_cmd", "redeploy_on"}},
		{"Build", []string{"build_path", "dockerfile", "build_args", "secret_args", "use_buildx", "pre_build"}},
		{"Stages and schedule", []string{"stages", "schedule"}},
		{"Webhook", []string{"webhook_"}},
		{"Updates", []string{"poll_for_updates", "auto_update"}},
		{"Alerts and thresholds", []string{"send_", "failure_alert", "cpu_", "mem_", "disk_", "maintenance"}},
	}
}

func sectionOf(name string) int {
	for i, t := range sectionTitles() {
		for _, p := range t.prefixes {
			if strings.HasPrefix(name, p) {
				return i
			}
		}
	}
	return -1
}

// label returns a setting's name for people: "git_ssh_key" is "Git SSH key".
func label(name string) string {
	words := strings.Split(strings.TrimSuffix(name, "_id"), "_")
	for i, w := range words {
		switch w {
		case "https", "ssh", "cpu", "toml", "url", "tls", "id", "ip", "gb":
			words[i] = strings.ToUpper(w)
		case "cmd":
			words[i] = "command"
		case "env":
			words[i] = "env"
		default:
			if i == 0 && w != "" {
				words[i] = strings.ToUpper(w[:1]) + w[1:]
			}
		}
	}
	return strings.Join(words, " ")
}

func formPost(v ConfigView) string { return "/config/" + v.Kind + "/" + url.PathEscape(v.Name) }

func deleteHref(v ConfigView) string { return "/delete/" + v.Kind + "/" + url.PathEscape(v.Name) }

// describePost is where a change of what is no setting is sent: describe, rename
// or copy.
func describePost(v ConfigView, what string) string {
	return "/" + what + "/" + v.Kind + "/" + url.PathEscape(v.Name)
}

// chooses marks a select that says which settings of a union count.
func chooses(f FormField) templ.Attributes {
	if f.Name != "type" {
		return nil
	}
	return templ.Attributes{"data-union": unionAt(f.ID)}
}

func areaHint(f FormField) string {
	if f.Shape == shapeJSON {
		return "JSON"
	}
	return ""
}

func rows(text string) string {
	return strconv.Itoa(min(24, max(2, strings.Count(text, "\n")+2)))
}

func changedText(s FormSection) string {
	n := 0
	for _, f := range s.Fields {
		if f.Changed {
			n++
		}
	}
	if n == 0 {
		return "as by default"
	}
	return strconv.Itoa(n) + " set"
}
