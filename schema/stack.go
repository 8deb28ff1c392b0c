package schema

import (
	"slices"
	"strings"
)

// StackConfig is the settings of a stack: a compose project on a server. Its
// sources are, in this order: files on the server, a linked repo, a repo of its
// own, the contents defined here.
type StackConfig struct {
	SwarmID                  string        `json:"swarm_id" alias:"swarm" ref:"swarm" doc:"Swarm to deploy to; wins over the server."`
	ServerID                 string        `json:"server_id" alias:"server" ref:"server" doc:"Server to deploy to."`
	Links                    StrList       `json:"links" doc:"Links shown at the top of the page."`
	ProjectName              string        `json:"project_name" doc:"Name of the compose project; empty is the stack's name."`
	AutoPull                 bool          `json:"auto_pull" doc:"Pull images before the deploy."`
	RunBuild                 bool          `json:"run_build" doc:"Build the images of services with a build section before the deploy."`
	PollForUpdates           bool          `json:"poll_for_updates" doc:"Look for newer images and say so."`
	AutoUpdate               bool          `json:"auto_update" doc:"Look for newer images and deploy them."`
	AutoUpdateAllServices    bool          `json:"auto_update_all_services" doc:"An automatic update deploys every service, not only those with a newer image."`
	AutoUpdateSkipServices   StrList       `json:"auto_update_skip_services" doc:"Services the global automatic update leaves alone."`
	DestroyBeforeDeploy      bool          `json:"destroy_before_deploy" doc:"Take the project down before it is brought up."`
	SkipSecretInterp         bool          `json:"skip_secret_interp" doc:"Leave every [[NAME]] as it stands."`
	LinkedRepo               string        `json:"linked_repo" ref:"repo" doc:"Repo whose clone holds the files; wins over a repo given here."`
	GitProvider              string        `json:"git_provider" doc:"Host of the repository, with a port if need be, without a scheme."`
	GitHTTPS                 bool          `json:"git_https" doc:"Clone over https, else http."`
	GitAccount               string        `json:"git_account" doc:"Account whose token is used; empty is without."`
	Repo                     string        `json:"repo" doc:"Repository, namespace/name."`
	Branch                   string        `json:"branch" doc:"Branch that is deployed."`
	Commit                   string        `json:"commit" doc:"Deploy exactly this commit."`
	ClonePath                string        `json:"clone_path" doc:"Folder of the clone, below the stack's own folder unless absolute."`
	Reclone                  bool          `json:"reclone" doc:"Clone afresh on each deploy."`
	WebhookEnabled           bool          `json:"webhook_enabled" doc:"Act on webhooks; otherwise they are accepted and ignored."`
	WebhookSecret            string        `json:"webhook_secret" secret:"true" doc:"Secret of this stack's webhooks; empty is core's own."`
	WebhookForceDeploy       bool          `json:"webhook_force_deploy" doc:"A webhook deploys even when nothing changed."`
	FilesOnHost              bool          `json:"files_on_host" doc:"The files are on the server already."`
	RunDirectory             string        `json:"run_directory" doc:"Folder to run in, relative to the source's root unless absolute."`
	FilePaths                StrList       `json:"file_paths" doc:"Compose files, relative to the run directory; empty is compose.yaml."`
	EnvFilePath              string        `json:"env_file_path" doc:"Where the environment is written, relative to the run directory."`
	AdditionalEnvFiles       []EnvFile     `json:"additional_env_files" doc:"Further env files; later ones win, the environment wins over all."`
	ConfigFiles              []FileDep     `json:"config_files" doc:"Further files that are watched, and what a change of them needs."`
	SendAlerts               bool          `json:"send_alerts" doc:"Alert when the stack's state changes."`
	RegistryProvider         string        `json:"registry_provider" doc:"Registry to log in to before the deploy."`
	RegistryAccount          string        `json:"registry_account" doc:"Account for that registry."`
	PreDeploy                SystemCommand `json:"pre_deploy" doc:"Command on the server before the deploy."`
	PostDeploy               SystemCommand `json:"post_deploy" doc:"Command on the server after a successful deploy."`
	ExtraArgs                StrList       `json:"extra_args" doc:"Further arguments of compose up."`
	BuildExtraArgs           StrList       `json:"build_extra_args" doc:"Further arguments of compose build."`
	ComposeCmdWrapper        string        `json:"compose_cmd_wrapper" doc:"Command around compose; [[COMPOSE_COMMAND]] stands for it."`
	ComposeCmdWrapperInclude StrList       `json:"compose_cmd_wrapper_include" doc:"Compose commands that are wrapped; empty is up."`
	IgnoreServices           StrList       `json:"ignore_services" doc:"Services that do not count for the stack's state."`
	FileContents             FileText      `json:"file_contents" widget:"yaml" doc:"The compose file, when no other source is set."`
	Environment              KV            `json:"environment" widget:"env" doc:"Variables for the compose file, one per line, KEY = value."`
	CheckHealth              bool          `json:"check_health" own:"true" doc:"A deploy succeeds only when containers run and are healthy."`
	HealthTimeout            int           `json:"health_timeout" own:"true" doc:"Seconds until containers must run and be healthy."`
	DeployTimeout            int           `json:"deploy_timeout" own:"true" doc:"Seconds a deploy may take on the server, once begun."`
	WaitTimeout              int           `json:"wait_timeout" own:"true" doc:"Seconds a deploy waits for a server that is offline."`
	GitSSHKey                string        `json:"git_ssh_key" own:"true" doc:"Variable that holds a deploy key: clone over SSH."`
	GitKnownHosts            string        `json:"git_known_hosts" own:"true" doc:"Host keys to expect over SSH, as in known_hosts, or a [[VARIABLE]] with them."`
	Submodules               bool          `json:"submodules" own:"true" doc:"Fetch submodules too."`
	RollbackOnFailure        bool          `json:"rollback_on_failure" own:"true" doc:"When a deploy fails, bring back the commit of the last good one; the run has failed all the same."`
	Triggers                 []string      `json:"triggers" code:"list<enum>" enum:"push,schedule,manual" own:"true" doc:"What may deploy it; empty is all. Deploys by others are recorded as skipped."`
}

// Admits reports whether a cause may deploy the stack, and why not.
func (c StackConfig) Admits(cause Cause) (ok bool, why string) {
	trigger := "manual"
	switch cause.Kind {
	case "webhook":
		trigger = "push"
	case "schedule":
		trigger = "schedule"
	}
	if len(c.Triggers) == 0 || slices.Contains(c.Triggers, trigger) {
		return true, ""
	}
	return false, "its triggers are " + strings.Join(c.Triggers, " and ") + ", this was " + trigger
}

// DefaultStack returns the settings of a stack that declares none.
func DefaultStack() StackConfig {
	return StackConfig{
		Links: StrList{}, AutoPull: true, AutoUpdateSkipServices: StrList{},
		GitProvider: "github.com", GitHTTPS: true, Branch: "main", WebhookEnabled: true,
		FilePaths: StrList{}, EnvFilePath: ".env", AdditionalEnvFiles: []EnvFile{}, ConfigFiles: []FileDep{},
		SendAlerts: true, ExtraArgs: StrList{}, BuildExtraArgs: StrList{}, ComposeCmdWrapperInclude: StrList{},
		IgnoreServices: StrList{}, Triggers: []string{},
		CheckHealth: true, HealthTimeout: 120, DeployTimeout: 1800, WaitTimeout: 86400, Submodules: true,
	}
}

// Source says where a stack's files come from.
type Source string

// The sources, in the order in which they win.
const (
	SourceHost   Source = "host"   // files are on the server already
	SourceLinked Source = "linked" // the clone of a Repo
	SourceRepo   Source = "repo"   // a clone of its own
	SourceInline Source = "inline" // file_contents
)

// Source returns where the stack's files come from.
func (c StackConfig) Source() Source {
	switch {
	case c.FilesOnHost:
		return SourceHost
	case c.LinkedRepo != "":
		return SourceLinked
	case c.Repo != "":
		return SourceRepo
	}
	return SourceInline
}

// Compose lists the compose files, relative to the run directory.
func (c StackConfig) Compose() []string {
	if len(c.FilePaths) == 0 {
		return []string{"compose.yaml"}
	}
	return c.FilePaths
}

// Check finds what is right in form but cannot work: errors for settings of
// ours, warnings where Komodo would accept it and fail at the deploy.
func (c StackConfig) Check() Report {
	var r Report
	for _, f := range []struct {
		key     string
		seconds int
	}{{"health_timeout", c.HealthTimeout}, {"deploy_timeout", c.DeployTimeout}, {"wait_timeout", c.WaitTimeout}} {
		if f.seconds < 0 {
			r.fail(f.key, "must not be negative, is %d", f.seconds)
		}
	}
	r.checkTexts(c.SkipSecretInterp, []namedText{
		{"file_contents", string(c.FileContents)},
		{"environment", string(c.Environment)},
		{"pre_deploy.command", string(c.PreDeploy.Command)},
		{"post_deploy.command", string(c.PostDeploy.Command)},
		{"compose_cmd_wrapper", c.ComposeCmdWrapper},
	})
	r.checkEnv("environment", c.Environment)
	if c.ComposeCmdWrapper != "" && !hasCompose(c.ComposeCmdWrapper) {
		r.warn("compose_cmd_wrapper", "lacks [[COMPOSE_COMMAND]]: deploys will fail")
	}
	return r
}

// Git returns the source of an inline repo.
func (c StackConfig) Git() GitSource {
	return GitSource{
		Provider: c.GitProvider, HTTPS: c.GitHTTPS, Account: c.GitAccount, Repo: c.Repo, Branch: c.Branch, Commit: c.Commit,
		SSHKey: c.GitSSHKey, KnownHosts: c.GitKnownHosts, Submodules: c.Submodules,
	}
}
