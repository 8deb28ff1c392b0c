package schema

import (
	"strings"
	"time"
)

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

	Approval          bool     `json:"approval,omitempty" own:"true" doc:"Wait before it until somebody approves."`
	Concurrency       int      `json:"concurrency,omitempty" own:"true" doc:"Most executions that run at once; 0 is all. A batch counts as one."`
	ContinueOnFailure bool     `json:"continue_on_failure,omitempty" own:"true" doc:"Go on with the next stage when something of it failed; the run then ends with a warning."`
	Timeout           Duration `json:"timeout,omitempty" own:"true" doc:"Longest the stage may take, as 10m or 1h30m; what runs then is canceled."`
}

func (s *ProcedureStage) setDefaults() {
	*s = ProcedureStage{Enabled: true, Executions: []EnabledExecution{}}
}

// EnabledExecution is an execution with a switch.
type EnabledExecution struct {
	Execution Execution `json:"execution" required:"true" doc:"What is done."`
	Enabled   bool      `json:"enabled" doc:"One that is not enabled is skipped."`

	Concurrency       int      `json:"concurrency,omitempty" own:"true" doc:"Of a batch: most of its runs at once; 0 is all."`
	Timeout           Duration `json:"timeout,omitempty" own:"true" doc:"Longest one try of it may take, as 10m or 1h30m; it is then canceled and has failed."`
	Retries           int      `json:"retries,omitempty" own:"true" doc:"How often it is tried again when it failed."`
	RetryDelay        Duration `json:"retry_delay,omitempty" own:"true" doc:"Pause before each further try, as 30s or 5m; none unless set."`
	ContinueOnFailure bool     `json:"continue_on_failure,omitempty" own:"true" doc:"Its failure does not fail the stage; the run then ends with a warning."`
}

func (e *EnabledExecution) setDefaults() { *e = EnabledExecution{Enabled: true} }

// DefaultProcedure returns the settings of a procedure that declares none.
func DefaultProcedure() ProcedureConfig {
	return ProcedureConfig{
		Stages: []ProcedureStage{}, ScheduleFormat: FormatEnglish, ScheduleEnabled: true, ScheduleMissed: MissedSkip,
		ScheduleAlert: true, FailureAlert: true, WebhookEnabled: true,
	}
}

// Check refuses a schedule that could never run, and bounds that are none.
func (c ProcedureConfig) Check() Report {
	var r Report
	checkSchedule(&r, c.ScheduleFormat, c.Schedule, c.ScheduleTimezone)
	for i, s := range c.Stages {
		if s.Concurrency < 0 {
			r.fail(index("stages", i)+".concurrency", "is negative: 0 is all at once")
		}
		for j, e := range s.Executions {
			if e.Concurrency < 0 || e.Concurrency > 0 && !strings.HasPrefix(e.Execution.Type, "Batch") {
				r.fail(index("stages", i)+"."+index("executions", j)+".concurrency", "is of batches only, and not negative")
			}
			if e.Retries < 0 || e.Retries > maxRetries {
				r.fail(index("stages", i)+"."+index("executions", j)+".retries", "want 0 to %d", maxRetries)
			}
			if e.RetryDelay < 0 || time.Duration(e.RetryDelay) > maxRetryDelay {
				r.fail(index("stages", i)+"."+index("executions", j)+".retry_delay", "want 0 to %s", maxRetryDelay)
			}
		}
	}
	return r
}

// maxRetries is how often an execution may be tried again.
const maxRetries = 100

// maxRetryDelay is the longest pause between two tries.
const maxRetryDelay = 24 * time.Hour

// CheckSelf refuses a procedure that runs itself, and executions that cannot run.
func (c ProcedureConfig) CheckSelf(id string) Report {
	var r Report
	for i, s := range c.Stages {
		for j, e := range s.Executions {
			at := index("stages", i) + "." + index("executions", j) + ".execution"
			if t, _ := ExecutionByType(e.Execution.Type); t.Group == "Swarm" {
				r.fail(at+".type", "%s: what works on a swarm does not run yet: take it out of the procedure", e.Execution.Type)
			}
			if e.Execution.Type != "RunProcedure" {
				continue
			}
			for _, ref := range e.Execution.Refs() {
				if ref.Value == id {
					r.fail(at+".params.procedure", "a procedure cannot run itself")
				}
			}
		}
	}
	return r
}
