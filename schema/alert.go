package schema

import "encoding/json"

// Severity is how bad an alert is.
type Severity string

// The severities, as Komodo's clients spell them.
const (
	SeverityOK       Severity = "OK"
	SeverityWarning  Severity = "WARNING"
	SeverityCritical Severity = "CRITICAL"
)

// The types of alerts that are raised so far; AlertTypes has all that files know.
const (
	AlertTest             = "Test"
	AlertCustom           = "Custom"
	AlertSyncPending      = "ResourceSyncPendingUpdates"
	AlertBuildFailed      = "BuildFailed"
	AlertRepoBuildFailed  = "RepoBuildFailed"
	AlertProcedureFailed  = "ProcedureFailed"
	AlertActionFailed     = "ActionFailed"
	AlertScheduleRun      = "ScheduleRun"
	AlertStackUpdate      = "StackImageUpdateAvailable"
	AlertStackUpdated     = "StackAutoUpdated"
	AlertContainerUpdate  = "DeploymentImageUpdateAvailable"
	AlertContainerUpdated = "DeploymentAutoUpdated"
	// AlertRunFailed is Berth's own: a run that nobody watched failed.
	AlertRunFailed = "RunFailed"
)

// Alert is something that people should know of. It is stored and shown, and sent
// by every alerter that takes it.
type Alert struct {
	ID       string   `json:"id"`
	At       int64    `json:"at"` // unix ms
	Level    Severity `json:"level"`
	Target   Target   `json:"target"` // of kind "system" with id "system" when it is about none
	Type     string   `json:"type"`
	Message  string   `json:"message"` // one sentence for people
	Resolved bool     `json:"resolved"`
	// ResolvedAt is when what it is about ended; unix ms.
	ResolvedAt int64 `json:"resolved_at,omitempty"`
	// Data is the alert's data in Komodo's wire form: the fields of its type.
	Data json.RawMessage `json:"data,omitempty"`
	// Key makes alerts the same thing: while one with this key is open, raising it
	// again changes that one and sends nothing. Empty is always new.
	Key string `json:"key,omitempty"`
	// Once says that there is nothing that could end: it is stored as resolved.
	Once bool   `json:"once,omitempty"`
	Run  string `json:"run,omitempty"` // run that it is about
	// Only are the ids of the alerters it is for; empty is all that take it.
	Only []string `json:"only,omitempty"`
}

// The states of a delivery of an alert.
const (
	AlertWaiting   = "waiting"   // to be sent, or to be tried again
	AlertSent      = "sent"      // the other side took it
	AlertAbandoned = "abandoned" // tried for a day, or its alerter is gone
)

// AlertDelivery is an alert on its way to one alerter.
type AlertDelivery struct {
	Alert    string `json:"alert"`
	Alerter  string `json:"alerter"` // id
	Name     string `json:"name"`    // of the alerter
	State    string `json:"state"`
	Attempts int    `json:"attempts"`
	Problem  string `json:"problem,omitempty"` // of the last attempt
	Queued   int64  `json:"queued"`            // unix ms
	Next     int64  `json:"next,omitempty"`    // of the next attempt, unix ms
	Done     int64  `json:"done,omitempty"`    // unix ms
}
