package bus

import (
	"strings"

	"berth/schema"
)

// Streams. What they hold is in streams.go.
const (
	StreamRuns     = "RUNS"
	StreamCommands = "CMDQ"
	StreamResults  = "RES"
	StreamOutput   = "OUT"
	StreamAudit    = "AUDIT"

	// StreamStatsFine and the next two hold figures of hosts, see Rings.
	StreamStatsFine = "STATS_FINE"
	StreamStatsMid  = "STATS_MID"
	StreamStatsLong = "STATS_LONG"

	// StreamDeliveries holds webhook deliveries; core/webhook makes it.
	StreamDeliveries  = "DELIVERIES"
	SubjectDeliveries = "delivery." // + id
)

// DurableEngine is the one consumer of StreamResults, shared by all cores.
const DurableEngine = "engine"

// Buckets of core. A bucket NAME is the stream KV_NAME.
const (
	BucketAgents    = "AGENTS"     // who may connect, by public nkey
	BucketTokens    = "TOKENS"     // join tokens, by sha256
	BucketOnboard   = "ONBOARDING" // onboarding keys, by the sha256 of their public half; secrets sealed
	BucketResources = "RESOURCES"  // every kind: <kind>/<id>
	BucketVariables = "VARIABLES"  // values sealed
	BucketAccounts  = "ACCOUNTS"   // git and registry accounts, tokens sealed
	BucketSeen      = "SEEN"       // where the sources of resources were seen last
	BucketTags      = "TAGS"       // owner and color of tags
	BucketEdits     = "EDITS"      // changes of what is declared, newest kept
	BucketUsers     = "USERS"      //
	BucketKeys      = "KEYS"       // API keys
	BucketSessions  = "SESSIONS"   //
	BucketGrants    = "GRANTS"     // what users may do with single resources: <user>/<kind>/<id>
	BucketSettings  = "SETTINGS"   // single values of core itself
	BucketRunState  = "RUNS_STATE" // projection of StreamRuns
	BucketActive    = "ACTIVE"     // runs without an end: where recovery begins
	BucketDeployed  = "DEPLOYED"   // what the last good deploy of a stack left behind
	BucketUpdates   = "UPDATES"    // what the last look for newer images found
	BucketAlerts    = "ALERTS"     // what people should know
	BucketOutbox    = "OUTBOX"     // alerts on their way: <alert>/<alerter>
	BucketRepos     = "REPOS"      // what the last pull of a repo left behind
	BucketBuilds    = "BUILDS"     // what the last good build left behind
	BucketSchedules = "SCHEDULES"  // next and last time of every schedule
	BucketSyncs     = "SYNCS"      // what is pending of resource syncs
	BucketLease     = "LEASE"      // who works on what, with a TTL
	BucketCounters  = "COUNTERS"   // run numbers
)

// Accounts of the embedded server.
const (
	AccountSystem = "SYS"
	AccountFleet  = "FLEET"
)

// Inboxes: every principal has its own prefix and may subscribe to no other.
const (
	inboxPrefix = "_INBOX."
	InboxCore   = inboxPrefix + "core"
)

// WSPath is where core's HTTP port takes agents' websockets.
const WSPath = "/nats"

// Names under which core and the agents are found by `nats micro ls`.
const (
	ServiceAgent = "periphery"
	ServiceCore  = "core"
)

// The table of requests on the bus. Operators publish to SubjectAPI + group +
// request; the server passes it on below SubjectRequests, where nobody else may
// publish, with word of whose connection it came from.
const (
	SubjectAPI      = "berth.api."
	SubjectRequests = "core.api."
)

// Notices: small lossy messages from core to an agent.
const (
	NoticeNudge  = "nudge"  // something is pending
	NoticeCancel = "cancel" // payload names a command
)

const (
	queueCore    = "core"
	headerErr    = "Nats-Service-Error"
	headerCode   = "Nats-Service-Error-Code"
	headerLeft   = "Berth-Timeout-Ms"
	headerOrigin = "Nats-Request-Info" // set by the server, never by a client
	maxToken     = 128
	maxSubject   = 1024 // a subject beyond the control line closes the connection
	eventStatus  = "status"
	subjRunsAll  = "run.*"
	subjAudit    = "audit.record"
	subjCmdqAll  = "cmdq.*.*"
	subjResAll   = "agent.*.res.*"
	subjOutAll   = "agent.*.out.*.*"
	subjStatuses = "agent.*.evt." + eventStatus
)

// Inbox returns the inbox prefix of a principal.
func Inbox(id string) string { return inboxPrefix + id }

func subjCmd(agent, verb string) string      { return "agent." + agent + ".cmd." + verb }
func subjAsk(agent, name string) string      { return "agent." + agent + ".ask." + name }
func subjStatus(agent string) string         { return "agent." + agent + ".evt." + eventStatus }
func subjResult(agent, cmd string) string    { return "agent." + agent + ".res." + cmd }
func subjOutput(agent, run, c string) string { return "agent." + agent + ".out." + run + "." + c }
func subjQueued(agent, cmd string) string    { return "cmdq." + agent + "." + cmd }
func subjRun(run string) string              { return "run." + run }
func subjDirect(stream string) string        { return "$JS.API.DIRECT.GET." + stream }

// agentOf returns the agent in a subject `agent.<id>.…`.
func agentOf(subject string) string {
	parts := strings.SplitN(subject, ".", 3)
	if len(parts) < 3 || parts[0] != "agent" {
		return ""
	}
	return parts[1]
}

// checkTokens refuses what must not stand in a subject: an id is never empty,
// never longer than 128 bytes, and never holds a dot, blank or wildcard.
func checkTokens(tokens ...string) error {
	for _, t := range tokens {
		if t == "" || len(t) > maxToken {
			return schema.Errorf(schema.Invalid, "id %.40q: must have 1 to %d characters", t, maxToken)
		}
		for _, c := range []byte(t) {
			if !tokenChar(c) {
				return schema.Errorf(schema.Invalid, "id %.40q: only letters, digits, - and _ are allowed", t)
			}
		}
	}
	return nil
}

func tokenChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// checkVerb is checkTokens for names of several tokens ("stack.up").
func checkVerb(name string) error {
	if len(name) > maxToken {
		return schema.Errorf(schema.Invalid, "verb %.40q: longer than %d characters", name, maxToken)
	}
	return checkTokens(strings.Split(name, ".")...)
}
