package backup

import "berth/bus"

// treatment is what a backup does with a stream or bucket.
type treatment int

const (
	// held is read while nothing is written: its messages are replaced and removed.
	held treatment = iota
	// grows is read after that and cut at the moment of the backup: messages are
	// only ever added to it, save that the oldest go.
	grows
	// left is not in the backup, for a reason.
	left
)

// item is a stream or bucket by its name in bus/names.go.
type item struct {
	stream string
	what   treatment
	why    string
}

// table says what becomes of every stream and bucket. One that is not in it is
// held, so that nothing is lost because somebody forgot it here; a test tells.
func table() []item {
	bucket := func(name string, what treatment, why string) item { return item{"KV_" + name, what, why} }
	return []item{
		{bus.StreamRuns, grows, "the truth about runs"},
		{bus.StreamAudit, grows, "who did what"},
		{bus.StreamResults, grows, "answers that core may not have taken yet"},
		{bus.StreamCommands, held, "commands that wait for their agent"},
		{bus.StreamDeliveries, held, "webhook deliveries and their verdicts"},
		{bus.StreamStatsMid, grows, "what hosts used, in two weeks"},
		{bus.StreamStatsLong, grows, "what hosts used, in a year"},
		{bus.StreamStatsFine, left, "what hosts used on the last day: bulk, of which the other two have the means"},
		{bus.StreamOutput, left, "output of steps: bulk that is kept for days only; what happened is in the runs"},

		bucket(bus.BucketAgents, held, "who may connect"),
		bucket(bus.BucketOnboard, held, "onboarding keys"),
		bucket(bus.BucketResources, held, "what is declared"),
		bucket(bus.BucketVariables, held, "values, sealed"),
		bucket(bus.BucketAccounts, held, "accounts, sealed"),
		bucket(bus.BucketSeen, held, "where sources were seen last"),
		bucket(bus.BucketTags, held, "owners and colors of tags"),
		bucket(bus.BucketEdits, held, "who changed what"),
		bucket(bus.BucketUsers, held, "who may sign in"),
		bucket(bus.BucketKeys, held, "API keys"),
		bucket(bus.BucketGrants, held, "what users may do"),
		bucket(bus.BucketSettings, held, "core's own values"),
		bucket(bus.BucketRunState, held, "runs as they stand"),
		bucket(bus.BucketActive, held, "runs without an end"),
		bucket(bus.BucketDeployed, held, "what deploys left behind"),
		bucket(bus.BucketRepos, held, "what pulls left behind"),
		bucket(bus.BucketBuilds, held, "what builds left behind"),
		bucket(bus.BucketCounters, held, "numbers that must not be given twice"),
		bucket(bus.BucketAlerts, held, "alerts and their state"),
		bucket(bus.BucketOutbox, held, "alerts that are to be delivered still"),
		bucket("SCHEDULES", held, "when schedules ran last"),
		bucket("UPDATES", held, "what is known of newer images"),
		bucket("SYNCS", held, "what syncs did and have pending"),
		bucket(bus.BucketLease, held, "fences must go on growing; the leases themselves expire"),
		bucket(bus.BucketTokens, left, "join tokens live for an hour: one that was used since would be good again"),
		bucket(bus.BucketSessions, left, "a session that was ended since would be alive again: sign in anew"),
	}
}

// treat returns what becomes of a stream.
func treat(stream string) treatment {
	for _, i := range table() {
		if i.stream == stream {
			return i.what
		}
	}
	return held
}

// Named lists the streams, and the streams of buckets, of which the table says what
// becomes of them.
func Named() []string {
	var out []string
	for _, i := range table() {
		out = append(out, i.stream)
	}
	return out
}
