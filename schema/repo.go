package schema

// RepoConfig is the settings of a repo: a git clone on a server, which stacks
// can take their files from.
type RepoConfig struct {
	ServerID         string        `json:"server_id" alias:"server" ref:"server" doc:"Server that holds the clone."`
	BuilderID        string        `json:"builder_id" alias:"builder" ref:"builder" doc:"Builder for BuildRepo."`
	GitProvider      string        `json:"git_provider" doc:"Host of the repository, with a port if need be, without a scheme."`
	GitHTTPS         bool          `json:"git_https" doc:"Clone over https, else http."`
	GitAccount       string        `json:"git_account" doc:"Account whose token is used; empty is without."`
	Repo             string        `json:"repo" doc:"Repository, namespace/name."`
	Branch           string        `json:"branch" doc:"Branch that is followed."`
	Commit           string        `json:"commit" doc:"Stay at exactly this commit."`
	Path             string        `json:"path" doc:"Folder of the clone, below the repo's own folder unless absolute."`
	WebhookEnabled   bool          `json:"webhook_enabled" doc:"Act on webhooks; otherwise they are accepted and ignored."`
	WebhookSecret    string        `json:"webhook_secret" secret:"true" doc:"Secret of this repo's webhooks; empty is core's own."`
	OnClone          SystemCommand `json:"on_clone" doc:"Command after a clone, before on_pull."`
	OnPull           SystemCommand `json:"on_pull" doc:"Command after a clone or pull."`
	Links            StrList       `json:"links" doc:"Links shown at the top of the page."`
	Environment      KV            `json:"environment" widget:"env" doc:"Variables written to a file before the commands run, one per line, KEY = value."`
	EnvFilePath      string        `json:"env_file_path" doc:"Where they are written, relative to the repository's root."`
	SkipSecretInterp bool          `json:"skip_secret_interp" doc:"Leave every [[NAME]] as it stands."`
	GitSSHKey        string        `json:"git_ssh_key" own:"true" doc:"Variable that holds a deploy key: clone over SSH."`
	GitKnownHosts    string        `json:"git_known_hosts" own:"true" doc:"Host keys to expect over SSH, as in known_hosts, or a [[VARIABLE]] with them."`
	Submodules       bool          `json:"submodules" own:"true" doc:"Fetch submodules too."`
}

// DefaultRepo returns the settings of a repo that declares none.
func DefaultRepo() RepoConfig {
	return RepoConfig{
		GitProvider: "github.com", GitHTTPS: true, Branch: "main", WebhookEnabled: true,
		Links: StrList{}, EnvFilePath: ".env", Submodules: true,
	}
}

// Check warns of texts that a pull will stumble over.
func (c RepoConfig) Check() Report {
	var r Report
	r.checkTexts(c.SkipSecretInterp, []namedText{
		{"environment", string(c.Environment)},
		{"on_clone.command", string(c.OnClone.Command)},
		{"on_pull.command", string(c.OnPull.Command)},
	})
	r.checkEnv("environment", c.Environment)
	return r
}

// Git returns what the repo is a checkout of.
func (c RepoConfig) Git() GitSource {
	return GitSource{
		Provider: c.GitProvider, HTTPS: c.GitHTTPS, Account: c.GitAccount, Repo: c.Repo, Branch: c.Branch, Commit: c.Commit,
		SSHKey: c.GitSSHKey, KnownHosts: c.GitKnownHosts, Submodules: c.Submodules,
	}
}
