package schema

// ActionConfig is the settings of an action: TypeScript that core runs in a
// sandbox whose only door is the API.
type ActionConfig struct {
	RunAtStartup     bool     `json:"run_at_startup" doc:"Run whenever core has started."`
	ScheduleFormat   string   `json:"schedule_format" enum:"English,Cron" doc:"How the schedule is written."`
	Schedule         string   `json:"schedule" doc:"When it runs by itself; empty is never."`
	ScheduleEnabled  bool     `json:"schedule_enabled" doc:"Whether the schedule counts."`
	ScheduleTimezone string   `json:"schedule_timezone" doc:"IANA name of the schedule's time zone; empty is core's own."`
	ScheduleMissed   string   `json:"schedule_missed" enum:"Skip,Once" own:"true" doc:"What becomes of a time that was missed: Skip, or run Once as soon as possible. Either is an alert."`
	ScheduleAlert    bool     `json:"schedule_alert" doc:"Alert whenever the schedule starts it."`
	FailureAlert     bool     `json:"failure_alert" doc:"Alert whenever a run of it fails."`
	WebhookEnabled   bool     `json:"webhook_enabled" doc:"Act on webhooks; otherwise they are accepted and ignored."`
	WebhookSecret    string   `json:"webhook_secret" secret:"true" doc:"Secret of this action's webhooks; empty is core's own."`
	ReloadDenoDeps   bool     `json:"reload_deno_deps" doc:"Kept for clients; actions load nothing."`
	FileContents     FileText `json:"file_contents" widget:"code" doc:"The script."`
	ArgumentsFormat  string   `json:"arguments_format" enum:"key_value,toml,yaml,json" doc:"How the arguments are written."`
	Arguments        FileText `json:"arguments" widget:"area" doc:"What ARGS holds when a run is given none; a run's own are merged over it."`
	Timeout          int      `json:"timeout" own:"true" doc:"Seconds a run may take."`
}

// DefaultAction returns the settings of an action that declares none.
func DefaultAction() ActionConfig {
	return ActionConfig{
		ScheduleFormat: FormatEnglish, ScheduleEnabled: true, ScheduleMissed: MissedSkip, ScheduleAlert: true, FailureAlert: true, WebhookEnabled: true,
		ArgumentsFormat: "key_value", Timeout: 3600,
	}
}

// Check refuses a schedule that could never run.
func (c ActionConfig) Check() Report {
	var r Report
	checkSchedule(&r, c.ScheduleFormat, c.Schedule, c.ScheduleTimezone)
	return r
}
