package sync

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"berth/core/resource"
	"berth/core/run"
	"berth/core/store"
	"berth/git"
	"berth/schema"
)

// DefaultPoll is how often a source is looked at when nobody says otherwise.
const DefaultPoll = 5 * time.Minute

// Standing is how a stack or deployment stands.
type Standing struct {
	State    string           // Komodo's word: running, down, ...; unknown when nobody can say
	Deployed *schema.Deployed // what the last deploy left behind; nil when it was never deployed
	Server   schema.Target
	Online   bool // its server's agent is here
}

// Fleet says how what is deployed stands.
type Fleet interface {
	// Standing answers for a stack or deployment that is stored.
	Standing(ctx context.Context, t schema.Target) (Standing, error)
}

// Alerts tells people. Raising a key that is open changes that alert.
type Alerts interface {
	Raise(ctx context.Context, a schema.Alert) error
	Resolve(ctx context.Context, key string) error
}

// Runs starts the runs of syncs that run by themselves.
type Runs interface {
	Start(ctx context.Context, req run.StartReq) (*schema.Run, error)
	// Busy reports whether a run of a sync, by its id, has not ended.
	Busy(ctx context.Context, sync string) (bool, error)
}

// Config is what a Syncer needs; all but Alerts and Runs must be set.
type Config struct {
	Dir      string // holds the stores of repositories
	Files    string // holds the folders of syncs whose files lie on core's host
	Git      *git.Client
	Registry *resource.Registry
	Syncs    *resource.Kind[schema.SyncConfig]
	Repos    *resource.Kind[schema.RepoConfig]
	States   *store.Bucket[schema.SyncState] // bus.BucketSyncs
	Secrets  Secrets
	Fleet    Fleet
	Alerts   Alerts
	Runs     Runs
	// Recipients are the age recipients that a server can decrypt for, by its id; none
	// when its agent has not told. May be nil.
	Recipients func(server string) []string
	// Joined reports whether a server, by its id, has an agent that may connect, and
	// whether that is here. May be nil.
	Joined func(server string) (joined, online bool)
	Poll   time.Duration // DefaultPoll when 0; below 0 never
	Now    func() time.Time
	Log    *slog.Logger
}

// Syncer plans syncs and keeps what is pending.
type Syncer struct {
	cfg   Config
	repos *repos

	mu    sync.Mutex
	locks map[string]*sync.Mutex     // by sync: one look at a time
	full  map[string]schema.SyncPlan // by sync: the newest plan with its texts
	due   map[string]time.Time       // by sync: when it is looked at next
	// stirred is when something changed that plans follow from; zero when nothing did.
	stirred time.Time
	woken   chan struct{} // something may be due sooner
}

// New makes a Syncer; Run must be running for what happens by itself.
func New(cfg Config) *Syncer {
	if cfg.Poll == 0 {
		cfg.Poll = DefaultPoll
	}
	return &Syncer{
		cfg: cfg, repos: newRepos(cfg.Dir, cfg.Git, cfg.Secrets), locks: map[string]*sync.Mutex{},
		full: map[string]schema.SyncPlan{}, due: map[string]time.Time{}, woken: make(chan struct{}, 1),
	}
}

// lock lets one goroutine look at a sync.
func (s *Syncer) lock(id string) (unlock func()) {
	s.mu.Lock()
	l := s.locks[id]
	if l == nil {
		l = &sync.Mutex{}
		s.locks[id] = l
	}
	s.mu.Unlock()
	l.Lock()
	return l.Unlock
}

// shown returns a resource as a file has it.
func (s *Syncer) shown(ctx context.Context, t schema.Target, kept resource.Kept) (string, error) {
	return s.cfg.Registry.Export(ctx, resource.ExportOptions{
		Targets: []schema.Target{t}, Kept: map[string]resource.Kept{t.Kind + "/" + t.Name: kept},
	})
}
