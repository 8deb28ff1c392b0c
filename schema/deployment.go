package schema

// DeploymentConfig is the settings of a deployment: a single container.
type DeploymentConfig struct {
	SwarmID              string          `json:"swarm_id" alias:"swarm" ref:"swarm" doc:"Swarm to run in; wins over the server."`
	ServerID             string          `json:"server_id" alias:"server" ref:"server" doc:"Server to run on."`
	CustomName           string          `json:"custom_name" doc:"Name of the container where it is not the deployment's."`
	Image                DeploymentImage `json:"image" doc:"What to run: an image, or what a build made."`
	ImageRegistryAccount string          `json:"image_registry_account" doc:"Account to pull the image with; empty is the build's, or none."`
	SkipSecretInterp     bool            `json:"skip_secret_interp" doc:"Leave every [[NAME]] as it stands."`
	RedeployOnBuild      bool            `json:"redeploy_on_build" doc:"Deploy again whenever the build it runs has succeeded."`
	PollForUpdates       bool            `json:"poll_for_updates" doc:"Look for a newer image of the same tag and tell."`
	AutoUpdate           bool            `json:"auto_update" doc:"Deploy again when there is a newer image of the same tag."`
	SendAlerts           bool            `json:"send_alerts" doc:"Alert when the state of the container changes."`
	Links                []string        `json:"links" doc:"Links shown at the top of the page."`
	Network              string          `json:"network" doc:"Network to join."`
	Restart              string          `json:"restart" enum:"no,on-failure,always,unless-stopped" doc:"When the engine starts it again; on-failure is at most ten times."`
	Command              string          `json:"command" doc:"Arguments after the image."`
	Replicas             int             `json:"replicas" doc:"How many, in a swarm."`
	TerminationSignal    string          `json:"termination_signal" enum:"SIGHUP|1,SIGINT|2,SIGQUIT|3,SIGTERM|15" doc:"Signal that stops it."`
	TerminationTimeout   int             `json:"termination_timeout" doc:"Seconds until it is killed."`
	ExtraArgs            StrList         `json:"extra_args" doc:"Further flags, as of docker run."`
	TermSignalLabels     TermLabels      `json:"term_signal_labels" doc:"What each signal does, for people: SIGNAL: text."`
	Ports                Conversions     `json:"ports" widget:"area" doc:"Published ports, one per line, host: container."`
	Volumes              Conversions     `json:"volumes" widget:"area" doc:"Mounts, one per line, host path or volume: container path."`
	Environment          KV              `json:"environment" widget:"env" doc:"Variables of the container, one per line, KEY = value."`
	Labels               Labels          `json:"labels" widget:"env" doc:"Labels of the container, one per line, KEY: value."`
}

// DeploymentImage is what a deployment runs.
type DeploymentImage struct { //nolint:recvcheck // decoding writes, all else reads
	Type  string
	Image *PlainImage `variant:"Image"`
	Build *BuildImage `variant:"Build"`
}

// PlainImage is an image by its name.
type PlainImage struct {
	Image string `json:"image" doc:"Name of the image."`
}

// BuildImage is what a build made.
type BuildImage struct {
	BuildID string  `json:"build_id" alias:"build" ref:"build" doc:"The build."`
	Version Version `json:"version" doc:"Exactly this version; 0.0.0 is the newest."`
}

func (i *DeploymentImage) setDefaults() {
	*i = DeploymentImage{Type: "Image", Image: &PlainImage{}}
}

// MarshalJSON writes { type, params }.
func (i DeploymentImage) MarshalJSON() ([]byte, error) { return marshalUnion(i) }

// UnmarshalJSON reads { type, params }.
func (i *DeploymentImage) UnmarshalJSON(b []byte) error { return unmarshalTree(b, i) }

// DefaultDeployment returns the settings of a deployment that declares none.
func DefaultDeployment() DeploymentConfig {
	return DeploymentConfig{
		Image: DeploymentImage{Type: "Image", Image: &PlainImage{}}, SendAlerts: true, Links: []string{}, Network: "host",
		Restart: "no", Replicas: 1, TerminationSignal: "SIGTERM", TerminationTimeout: 10, ExtraArgs: StrList{},
	}
}

// Check refuses extra_args that are not understood, and warns of texts that
// a deploy will stumble over.
func (c DeploymentConfig) Check() Report {
	var r Report
	r.checkTexts(c.SkipSecretInterp, []namedText{
		{"environment", string(c.Environment)},
		{"ports", string(c.Ports)},
		{"volumes", string(c.Volumes)},
		{"labels", string(c.Labels)},
		{"command", c.Command},
	})
	r.checkEnv("environment", c.Environment)
	r.checkEnv("labels", KV(c.Labels))
	r.checkEnv("ports", KV(c.Ports))
	r.checkEnv("volumes", KV(c.Volumes))
	if _, err := ShellWords(c.Command); err != nil {
		r.warn("command", "%s: this will fail when it is used", SafeText(err))
	}
	if _, err := ParseRunFlags(c.ExtraArgs); err != nil {
		r.fail("extra_args", "%s", SafeText(err))
	}
	return r
}
