package schema

// SyncConfig is the settings of a resource sync: where files with resources are
// and what of them counts.
type SyncConfig struct {
	LinkedRepo        string   `json:"linked_repo" ref:"repo" doc:"Repo that the files come from."`
	GitProvider       string   `json:"git_provider" doc:"Host of the repository, with a port if need be, without a scheme."`
	GitHTTPS          bool     `json:"git_https" doc:"Clone over https, else http."`
	Repo              string   `json:"repo" doc:"Repository, namespace/name."`
	Branch            string   `json:"branch" doc:"Branch that is followed."`
	Commit            string   `json:"commit" doc:"Stay at exactly this commit."`
	GitAccount        string   `json:"git_account" doc:"Account whose token is used; empty is without."`
	WebhookEnabled    bool     `json:"webhook_enabled" doc:"Act on webhooks; otherwise they are accepted and ignored."`
	WebhookSecret     string   `json:"webhook_secret" secret:"true" doc:"Secret of this sync's webhooks; empty is core's own."`
	FilesOnHost       bool     `json:"files_on_host" doc:"The files lie on core's host, in the sync folder below the sync's name."`
	ResourcePath      StrList  `json:"resource_path" doc:"Files and folders to read, relative to the root of the source. Empty reads nothing."`
	Managed           bool     `json:"managed" doc:"What is changed elsewhere can be committed back to the file; implies delete."`
	Delete            bool     `json:"delete" doc:"Delete what is in scope and not declared."`
	IncludeResources  bool     `json:"include_resources" doc:"Resources count."`
	MatchTags         StrList  `json:"match_tags" doc:"Only resources that have all of these tags."`
	IncludeVariables  bool     `json:"include_variables" doc:"Variables count."`
	IncludeUserGroups bool     `json:"include_user_groups" doc:"User groups count."`
	PendingAlert      bool     `json:"pending_alert" doc:"Alert when something is pending."`
	FileContents      FileText `json:"file_contents" widget:"code" doc:"The resources themselves, when there is no other source."`

	GitSSHKey       string `json:"git_ssh_key" own:"true" doc:"Variable that holds a deploy key: fetch over SSH."`
	GitKnownHosts   string `json:"git_known_hosts" own:"true" doc:"Host keys to expect over SSH, as in known_hosts, or a [[VARIABLE]] with them."`
	MaxDelete       string `json:"max_delete" own:"true" doc:"Most that one run deletes without a confirmation: a number, or a share as 20%; empty is 10 or 20%, whichever is less."`
	DestroyOnDelete bool   `json:"destroy_on_delete" own:"true" doc:"Take down what a deleted stack or deployment runs; volumes stay. Otherwise it keeps running."`
	CommitBranch    string `json:"commit_branch" own:"true" doc:"Branch that commits are pushed to; empty is the source's own."`
	PollInterval    string `json:"poll_interval" own:"true" doc:"How often the source is looked at: 5m, 1h, never; empty is core's own."`
	AutoSync        bool   `json:"auto_sync" own:"true" doc:"Run by itself when polling finds something pending."`
}

// DefaultSync returns the settings of a sync that declares none.
func DefaultSync() SyncConfig {
	return SyncConfig{
		GitProvider: "github.com", GitHTTPS: true, Branch: "main", WebhookEnabled: true, ResourcePath: StrList{},
		IncludeResources: true, MatchTags: StrList{}, PendingAlert: true,
	}
}

// Git returns the source of an inline repo.
func (c SyncConfig) Git() GitSource {
	return GitSource{
		Provider: c.GitProvider, HTTPS: c.GitHTTPS, Account: c.GitAccount, Repo: c.Repo, Branch: c.Branch, Commit: c.Commit,
		SSHKey: c.GitSSHKey, KnownHosts: c.GitKnownHosts,
	}
}
