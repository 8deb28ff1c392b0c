package schema

// AlerterConfig is the settings of an alerter: where alerts are sent.
type AlerterConfig struct {
	Enabled            bool                `json:"enabled" doc:"Whether it sends anything."`
	Endpoint           AlerterEndpoint     `json:"endpoint" doc:"Where to."`
	AlertTypes         []string            `json:"alert_types" code:"list<enum>" enum:"None,Test,SwarmUnhealthy,ServerUnreachable,ServerCpu,ServerMem,ServerDisk,ServerVersionMismatch,ContainerStateChange,DeploymentImageUpdateAvailable,DeploymentAutoUpdated,StackStateChange,StackImageUpdateAvailable,StackAutoUpdated,AwsBuilderTerminationFailed,ResourceSyncPendingUpdates,BuildFailed,RepoBuildFailed,ProcedureFailed,ActionFailed,ScheduleRun,Custom,RunFailed" doc:"Only alerts of these types; empty is all."`
	Resources          []ResourceTarget    `json:"resources" doc:"Only alerts about these; empty is all."`
	ExceptResources    []ResourceTarget    `json:"except_resources" doc:"No alerts about these."`
	MaintenanceWindows []MaintenanceWindow `json:"maintenance_windows" doc:"Times in which it sends nothing."`
}

// AlerterEndpoint is where an alerter sends to.
type AlerterEndpoint struct { //nolint:recvcheck // decoding writes, all else reads
	Type     string
	Custom   *CustomEndpoint   `variant:"Custom"`
	Slack    *SlackEndpoint    `variant:"Slack"`
	Discord  *DiscordEndpoint  `variant:"Discord"`
	Ntfy     *NtfyEndpoint     `variant:"Ntfy"`
	Pushover *PushoverEndpoint `variant:"Pushover"`
	Shoutrrr *ShoutrrrEndpoint `variant:"Shoutrrr"`
}

// CustomEndpoint gets the alert as JSON.
type CustomEndpoint struct {
	URL string `json:"url" secret:"true" doc:"Address that the alert is posted to as JSON; [[NAME]] stands for a variable."`
}

func (e *CustomEndpoint) setDefaults() { e.URL = "http://localhost:7000" }

// SlackEndpoint is an incoming webhook of Slack.
type SlackEndpoint struct {
	URL string `json:"url" secret:"true" doc:"Address of the incoming webhook; [[NAME]] stands for a variable."`
}

func (e *SlackEndpoint) setDefaults() {
	e.URL = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
}

// DiscordEndpoint is a webhook of Discord.
type DiscordEndpoint struct {
	URL string `json:"url" secret:"true" doc:"Address of the webhook; [[NAME]] stands for a variable."`
}

func (e *DiscordEndpoint) setDefaults() {
	e.URL = "https://discord.com/api/webhooks/XXXXXXXXXXXX/XXXX-XXXXXXXXXX"
}

// NtfyEndpoint is a topic of ntfy.
type NtfyEndpoint struct {
	URL   string `json:"url" secret:"true" doc:"Address of the topic; [[NAME]] stands for a variable."`
	Email string `json:"email,omitempty" doc:"Address that ntfy forwards to."`
}

func (e *NtfyEndpoint) setDefaults() { e.URL = "http://localhost:8080/komodo" }

// PushoverEndpoint is an application of Pushover.
type PushoverEndpoint struct {
	URL string `json:"url" secret:"true" doc:"Address with token and user; [[NAME]] stands for a variable."`
}

func (e *PushoverEndpoint) setDefaults() {
	e.URL = "https://api.pushover.net/1/messages.json?token=XXXXXXXXXXXXX&user=XXXXXXXXXXXXX"
}

// ShoutrrrEndpoint is any service that shoutrrr knows. It is Berth's own.
type ShoutrrrEndpoint struct {
	URL string `json:"url" secret:"true" doc:"Address in shoutrrr's form, such as smtp://… or telegram://…; [[NAME]] stands for a variable."`
}

func (e *AlerterEndpoint) setDefaults() {
	*e = AlerterEndpoint{Type: "Custom", Custom: &CustomEndpoint{URL: "http://localhost:7000"}}
}

// MarshalJSON writes { type, params }.
func (e AlerterEndpoint) MarshalJSON() ([]byte, error) { return marshalUnion(e) }

// UnmarshalJSON reads { type, params }.
func (e *AlerterEndpoint) UnmarshalJSON(b []byte) error { return unmarshalTree(b, e) }

// ResourceTarget names a resource of any kind.
type ResourceTarget struct {
	Type string `json:"type" required:"true" enum:"System,Swarm,Server,Stack,Deployment,Build,Repo,Procedure,Action,Builder,Alerter,ResourceSync" doc:"Its kind."`
	ID   string `json:"id" required:"true" ref:"@type" doc:"Its name or id."`
}

// DefaultAlerter returns the settings of an alerter that declares none.
func DefaultAlerter() AlerterConfig {
	return AlerterConfig{
		Endpoint:   AlerterEndpoint{Type: "Custom", Custom: &CustomEndpoint{URL: "http://localhost:7000"}},
		AlertTypes: []string{}, Resources: []ResourceTarget{}, ExceptResources: []ResourceTarget{}, MaintenanceWindows: []MaintenanceWindow{},
	}
}
