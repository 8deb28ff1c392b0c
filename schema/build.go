package schema

// BuildConfig is the settings of a build: an image made from sources.
type BuildConfig struct {
	BuilderID            string          `json:"builder_id" alias:"builder" ref:"builder" doc:"Builder that it is built on."`
	Version              Version         `json:"version" doc:"Version of the newest image; 0.0.0 declared leaves it as it is."`
	AutoIncrementVersion bool            `json:"auto_increment_version" doc:"Raise the patch with every build that succeeds."`
	ImageName            string          `json:"image_name" doc:"Name of the image where it is not the build's."`
	ImageTag             string          `json:"image_tag" doc:"Put behind every tag, and a tag of its own."`
	IncludeLatestTag     bool            `json:"include_latest_tag" doc:"Tag as latest."`
	IncludeVersionTags   bool            `json:"include_version_tags" doc:"Tag as 1.2.3, 1.2 and 1."`
	IncludeCommitTag     bool            `json:"include_commit_tag" doc:"Tag with the short hash of the commit."`
	Links                StrList         `json:"links" doc:"Links shown at the top of the page."`
	LinkedRepo           string          `json:"linked_repo" ref:"repo" doc:"Repo that the sources come from."`
	GitProvider          string          `json:"git_provider" doc:"Host of the repository, with a port if need be, without a scheme."`
	GitHTTPS             bool            `json:"git_https" doc:"Clone over https, else http."`
	GitAccount           string          `json:"git_account" doc:"Account whose token is used; empty is without."`
	Repo                 string          `json:"repo" doc:"Repository, namespace/name."`
	Branch               string          `json:"branch" doc:"Branch that is followed."`
	Commit               string          `json:"commit" doc:"Stay at exactly this commit."`
	WebhookEnabled       bool            `json:"webhook_enabled" doc:"Act on webhooks; otherwise they are accepted and ignored."`
	WebhookSecret        string          `json:"webhook_secret" secret:"true" doc:"Secret of this build's webhooks; empty is core's own."`
	FilesOnHost          bool            `json:"files_on_host" doc:"The sources lie on the builder already."`
	BuildPath            string          `json:"build_path" doc:"Folder of the context, relative to the root of the sources."`
	DockerfilePath       string          `json:"dockerfile_path" doc:"The Dockerfile, relative to the context."`
	ImageRegistry        ImageRegistries `json:"image_registry" doc:"Where the image is pushed; none keeps it on the builder."`
	SkipSecretInterp     bool            `json:"skip_secret_interp" doc:"Leave every [[NAME]] as it stands."`
	UseBuildx            bool            `json:"use_buildx" doc:"Kept for clients; every build is BuildKit's."`
	ExtraArgs            StrList         `json:"extra_args" doc:"Further flags, as of docker build."`
	PreBuild             SystemCommand   `json:"pre_build" doc:"Command before the build, in the context."`
	Dockerfile           string          `json:"dockerfile" widget:"area" doc:"The Dockerfile itself, when there are no other sources."`
	BuildArgs            KV              `json:"build_args" widget:"env" doc:"Build arguments, one per line, KEY = value; VERSION is added."`
	SecretArgs           KV              `json:"secret_args" widget:"env" doc:"Secrets of the build, one per line; they reach no layer."`
	Labels               Labels          `json:"labels" widget:"env" doc:"Labels of the image, one per line, KEY: value."`
	GitSSHKey            string          `json:"git_ssh_key" own:"true" doc:"Variable that holds a deploy key: clone over SSH."`
	GitKnownHosts        string          `json:"git_known_hosts" own:"true" doc:"Host keys to expect over SSH, as in known_hosts, or a [[VARIABLE]] with them."`
	Submodules           bool            `json:"submodules" own:"true" doc:"Fetch submodules too."`
}

// ImageRegistry is a place to push to.
type ImageRegistry struct {
	Domain       string `json:"domain" doc:"Host of the registry."`
	Account      string `json:"account" doc:"Account to log in with."`
	Organization string `json:"organization" doc:"Namespace of the image where it is not the account's."`
}

// ImageRegistries may be written as one table or as a list of them.
type ImageRegistries []ImageRegistry //nolint:recvcheck // decoding writes, all else reads

// UnmarshalJSON accepts an object or a list of them.
func (l *ImageRegistries) UnmarshalJSON(b []byte) error { return unmarshalTree(b, l) }

// MarshalJSON writes a list, never null.
func (l ImageRegistries) MarshalJSON() ([]byte, error) {
	return marshalList([]ImageRegistry(l))
}

func (l *ImageRegistries) decodeTree(d *decoder, path string, in any) {
	list, ok := in.([]any)
	if !ok {
		list = []any{in}
	}
	out := make(ImageRegistries, len(list))
	for i, item := range list {
		at := path
		if ok {
			at = index(path, i)
		}
		d.fresh(&out[i], item, at)
	}
	*l = out
}

// DefaultBuild returns the settings of a build that declares none.
func DefaultBuild() BuildConfig {
	return BuildConfig{
		AutoIncrementVersion: true, IncludeLatestTag: true, IncludeVersionTags: true, IncludeCommitTag: true, Links: StrList{},
		GitProvider: "github.com", GitHTTPS: true, Branch: "main", WebhookEnabled: true, BuildPath: ".",
		DockerfilePath: "Dockerfile", ImageRegistry: ImageRegistries{}, ExtraArgs: StrList{}, Submodules: true,
	}
}

// Check warns of texts that a build will stumble over.
func (c BuildConfig) Check() Report {
	var r Report
	r.checkTexts(c.SkipSecretInterp, []namedText{
		{"build_args", string(c.BuildArgs)},
		{"secret_args", string(c.SecretArgs)},
		{"labels", string(c.Labels)},
		{"pre_build.command", string(c.PreBuild.Command)},
		{"dockerfile", c.Dockerfile},
	})
	r.checkEnv("build_args", c.BuildArgs)
	r.checkEnv("secret_args", c.SecretArgs)
	if _, err := ParseBuildFlags(c.ExtraArgs); err != nil {
		r.fail("extra_args", "%s", SafeText(err))
	}
	return r
}

// BuildState is what the last builds left behind: what builds and deployments go on from.
type BuildState struct {
	Version Version `json:"version"` // of the newest image
	// Declared is the version that the settings named when it was built.
	Declared Version `json:"declared"`
	Commit   string  `json:"commit,omitempty"`
	Message  string  `json:"message,omitempty"`
	Image    string  `json:"image,omitempty"`  // its name without a tag, as deployments pull it
	Digest   string  `json:"digest,omitempty"` // of the pushed manifest, or the id of a local image
	Run      string  `json:"run,omitempty"`
	BuiltAt  int64   `json:"built_at,omitempty"` // unix ms
	Server   string  `json:"server,omitempty"`   // id of the server that holds it
	Pushed   bool    `json:"pushed,omitempty"`
	// Past are the versions that were made, newest first, at most MaxPast.
	Past []MadeVersion `json:"past,omitempty"`
}

// MaxPast is how many versions of a build are remembered.
const MaxPast = 500

// MadeVersion is a version that a build made.
type MadeVersion struct {
	Version Version `json:"version"`
	At      int64   `json:"ts"` // unix ms
}
