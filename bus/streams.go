package bus

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"berth/schema"
)

// MigrateOptions size the streams. Zero values are the defaults.
type MigrateOptions struct {
	Replicas    int           // 1 embedded, 3 on a cluster
	RunsAge     time.Duration // how long run events are kept: 180 days
	RunsBytes   int64         // and how much of them: 2 GiB
	OutputAge   time.Duration // how long output is kept: 7 days
	OutputBytes int64         // and how much of it: 4 GiB
	ResultBytes int64         // 512 MiB
	QueueBytes  int64         // 256 MiB
	AuditAge    time.Duration // how long the audit is kept: a year
	AuditBytes  int64         // and how much of it: 256 MiB
	StatsBytes  int64         // of each ring of hosts' figures: 1 GiB
}

func (o MigrateOptions) withDefaults() MigrateOptions {
	const day, gib = 24 * time.Hour, 1 << 30
	def(&o.Replicas, 1)
	def(&o.RunsAge, 180*day)
	def(&o.RunsBytes, 2*gib)
	def(&o.OutputAge, 7*day)
	def(&o.OutputBytes, 4*gib)
	def(&o.ResultBytes, gib/2)
	def(&o.QueueBytes, gib/4)
	def(&o.AuditAge, 365*day)
	def(&o.AuditBytes, gib/4)
	def(&o.StatsBytes, gib)
	return o
}

// Bytes is how much the streams may hold together: the store must be larger.
func (o MigrateOptions) Bytes() int64 {
	o = o.withDefaults()
	return o.RunsBytes + o.OutputBytes + o.ResultBytes + o.QueueBytes + o.AuditBytes + int64(len(Rings()))*o.StatsBytes
}

func def[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// streams are the desired configurations.
func streams(o MigrateOptions) []jetstream.StreamConfig {
	out := jetstream.StreamConfig{
		Name: StreamOutput, Subjects: []string{subjOutAll}, MaxAge: o.OutputAge, MaxBytes: o.OutputBytes,
		Description: "output of steps, in chunks",
	}
	if o.Replicas == 1 {
		out.PersistMode = jetstream.AsyncPersistMode // bulk: not worth a sync per chunk
	}
	list := []jetstream.StreamConfig{
		{
			Name: StreamRuns, Subjects: []string{subjRunsAll}, MaxAge: o.RunsAge, MaxBytes: o.RunsBytes, DenyDelete: true,
			Description: "events of runs: the truth; every append is compared and set per run",
		},
		{
			Name: StreamCommands, Subjects: []string{subjCmdqAll}, MaxBytes: o.QueueBytes, MaxMsgsPerSubject: 1,
			Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, AllowMsgTTL: true,
			Description: "commands that wait for their agent, with the deadline as TTL",
		},
		{
			Name: StreamResults, Subjects: []string{subjResAll}, MaxAge: 7 * 24 * time.Hour, MaxBytes: o.ResultBytes,
			MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
			Description: "one result per command",
		},
		out,
		{
			Name: StreamAudit, Subjects: []string{subjAudit}, MaxAge: o.AuditAge, MaxBytes: o.AuditBytes, DenyDelete: true,
			Description: "who did what, and what was refused",
		},
	}
	for _, r := range Rings() {
		list = append(list, r.stream(o))
	}
	for i := range list {
		s := &list[i]
		s.Storage, s.Replicas, s.AllowDirect = jetstream.FileStorage, o.Replicas, true
		s.Compression = jetstream.S2Compression
		s.Metadata = map[string]string{"schema": "1", "min_reader": "1"}
		s.MaxMsgs, s.MaxMsgSize, s.MaxConsumers = -1, -1, 100
		if s.MaxMsgsPerSubject == 0 {
			s.MaxMsgsPerSubject = -1
		}
	}
	return list
}

// Migrate brings the streams and the results' consumer to what this program
// needs: it looks first, creates what is missing and updates what differs. On a
// cluster only the holder of a lease should call it.
func Migrate(ctx context.Context, c *Conn, o MigrateOptions) error {
	o = o.withDefaults()
	for _, cfg := range streams(o) {
		if err := c.retry(ctx, "stream "+cfg.Name, func(ctx context.Context) error { return c.migrateStream(ctx, cfg) }); err != nil {
			return err
		}
	}
	return c.retry(ctx, "consumer "+DurableEngine, c.migrateEngine)
}

func (c *Conn) migrateStream(ctx context.Context, want jetstream.StreamConfig) error {
	s, err := c.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = c.js.CreateStream(ctx, want)
		return err
	}
	if err != nil {
		return err
	}
	have := s.CachedInfo().Config
	if have.Metadata["min_reader"] > want.Metadata["schema"] {
		return schema.Errorf(schema.Invalid, "stream %s was written by a newer version: upgrade core", want.Name)
	}
	same := slices.Equal(have.Subjects, want.Subjects) && have.MaxAge == want.MaxAge && have.MaxBytes == want.MaxBytes &&
		have.Replicas == want.Replicas && have.MaxMsgsPerSubject == want.MaxMsgsPerSubject && have.MaxConsumers == want.MaxConsumers &&
		have.DenyDelete == want.DenyDelete && have.Metadata["schema"] == want.Metadata["schema"]
	if same {
		return nil
	}
	want.PersistMode, want.Storage, want.MaxConsumers = have.PersistMode, have.Storage, have.MaxConsumers // fixed at creation
	_, err = c.js.UpdateStream(ctx, want)
	return err
}

func (c *Conn) migrateEngine(ctx context.Context) error {
	_, err := c.js.Consumer(ctx, StreamResults, DurableEngine)
	if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return err
	}
	_, err = c.js.CreateConsumer(ctx, StreamResults, jetstream.ConsumerConfig{
		Durable: DurableEngine, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 10 * time.Second, MaxAckPending: 256,
		DeliverPolicy: jetstream.DeliverAllPolicy, MaxDeliver: -1,
	})
	return err
}
