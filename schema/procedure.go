package schema

// ProcedureConfig is the settings of a procedure: stages that run one after the
// other, each a set of executions that run at once.
type ProcedureConfig struct {
	Stages           []ProcedureStage `json:"stages" alias:"stage" code:"list<Stage>" doc:"The stages, in order."`
	ScheduleFormat   string           `json:"schedule_format" enum:"English,Cron" doc:"How the schedule is written."`
	Schedule         string           `json:"schedule" doc:"When it runs by itself; empty is never."`
	ScheduleEnabled  bool             `json:"schedule_enabled" doc:"Whether the schedule counts."`
	ScheduleTimezone string           `json:"schedule_timezone" doc:"IANA name of the schedule's time zone; empty is core's own."`
	ScheduleMissed   string           `json:"schedule_missed" enum:"Skip,Once" own:"true" doc:"What becomes of a time that was missed: Skip, or run Once as soon as possible. Either is an alert."`
	ScheduleAlert    bool             `json:"schedule_alert" doc:"Alert whenever the schedule starts it."`
	FailureAlert     bool             `json:"failure_alert" doc:"Alert whenever a run of it fails."`
	WebhookEnabled   bool             `json:"webhook_enabled" doc:"Act on webhooks; otherwise they are accepted and ignored."`
	WebhookSecret    string           `json:"webhook_secret" secret:"true" doc:"Secret of this procedure's webhooks; empty is core's own."`
}

// ProcedureStage is a set of executions that start at once; the next stage
// starts when all have ended well.
type ProcedureStage struct {
	Name       string             `json:"name" required:"true" doc:"Label."`
	Enabled    bool               `json:"enabled" doc:"A stage that is not enabled is skipped."`
	Executions []EnabledExecution `json:"executions" alias:"execution" doc:"What it does."`
}

func (s *ProcedureStage) setDefaults() {
	*s = ProcedureStage{Enabled: true, Executions: []EnabledExecution{}}
}

// EnabledExecution is an execution with a switch.
type EnabledExecution struct {
	Execution Execution `json:"execution" required:"true" doc:"What is done."`
	Enabled   bool      `json:"enabled" doc:"One that is not enabled is skipped."`
}

func (e *EnabledExecution) setDefaults() { *e = EnabledExecution{Enabled: true} }

// DefaultProcedure returns the settings of a procedure that declares none.
func DefaultProcedure() ProcedureConfig {
	return ProcedureConfig{
		Stages: []ProcedureStage{}, ScheduleFormat: FormatEnglish, ScheduleEnabled: true, ScheduleMissed: MissedSkip,
		ScheduleAlert: true, FailureAlert: true, WebhookEnabled: true,
	}
}

// Check refuses a schedule that could never run.
func (c ProcedureConfig) Check() Report {
	var r Report
	checkSchedule(&r, c.ScheduleFormat, c.Schedule, c.ScheduleTimezone)
	return r
}

// CheckSelf refuses a procedure that runs itself.
func (c ProcedureConfig) CheckSelf(id string) Report {
	var r Report
	for i, s := range c.Stages {
		for j, e := range s.Executions {
			if e.Execution.Type != "RunProcedure" {
				continue
			}
			for _, ref := range e.Execution.Refs() {
				if ref.Value == id {
					r.fail(index("stages", i)+"."+index("executions", j)+".execution.params.procedure", "a procedure cannot run itself")
				}
			}
		}
	}
	return r
}
