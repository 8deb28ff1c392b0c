package alert

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"berth/core/store"
	"berth/schema"
)

// Keep is how long alerts and their deliveries are kept.
const Keep = 14 * 24 * time.Hour

// Config is what Alerts need; all but HTTP, Now and Zone is required.
type Config struct {
	Alerts *store.Bucket[Stored]               // bus.BucketAlerts
	Outbox *store.Bucket[schema.AlertDelivery] // bus.BucketOutbox
	// Alerters lists the alerters with their secrets in clear.
	Alerters func(ctx context.Context) ([]schema.Resource[schema.AlerterConfig], error)
	// Reveal replaces the variables in an address; secrets are their values.
	Reveal func(ctx context.Context, text string) (out string, err error)
	// Changed is told the id of every alert that changed; must not block.
	Changed func(id string)
	Zone    *time.Location // of windows that name none; local without it
	Now     func() time.Time
	HTTP    *http.Client
	Log     *slog.Logger
}

// Stored is an alert as it is kept.
type Stored struct {
	schema.Alert
	// Dispatched says that its deliveries are in the outbox.
	Dispatched bool `json:"dispatched,omitempty"`
	// Muted says for each alerter that would have sent it why it did not.
	Muted map[string]string `json:"muted,omitempty"`
}

// Alerts is the store of alerts and its outbox.
type Alerts struct {
	cfg  Config
	mu   sync.Mutex // of Raise and Resolve: one alert per key
	wake chan struct{}
}

// New returns the alerts of a store.
func New(cfg Config) *Alerts {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Zone == nil {
		cfg.Zone = time.Local
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: sendTimeout}
	}
	return &Alerts{cfg: cfg, wake: make(chan struct{}, 1)}
}

// Raise stores an alert and has it sent. One that has the id of a stored alert is
// that alert: raising is idempotent. While an alert with the same key is open, it
// takes over level and message and nothing is sent, unless it is worse than
// before. An alert without an id gets one.
func (a *Alerts) Raise(ctx context.Context, al schema.Alert) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if al.ID == "" {
		al.ID = schema.NewID()
	}
	if a.cfg.Alerts.Has(al.ID) {
		return nil
	}
	if al.At == 0 {
		al.At = a.cfg.Now().UnixMilli()
	}
	if al.Target.Kind == "" {
		al.Target = schema.Target{Kind: "system", ID: "system", Name: "system"}
	}
	if al.Once {
		al.Resolved, al.ResolvedAt = true, al.At
	}
	if open, ok := a.open(al.Key); ok {
		return a.again(ctx, open, al)
	}
	d, err := a.cfg.Alerts.Create(ctx, al.ID, Stored{Alert: al})
	if err != nil {
		return schema.Wrap(schema.CodeOf(err), err, "raise alert %s", al.Type)
	}
	if err := a.dispatch(ctx, d); err != nil {
		a.cfg.Log.Error("an alert is stored, but not in the outbox yet", "alert", al.ID, "err", err)
	}
	a.nudge()
	return nil
}

// again folds an alert into the open one with its key.
func (a *Alerts) again(ctx context.Context, open store.Doc[Stored], al schema.Alert) error {
	worse := rank(al.Level) > rank(open.Value.Level)
	d, err := a.cfg.Alerts.Edit(ctx, open.Key, func(s *Stored) error {
		s.Level, s.Message, s.Data = al.Level, al.Message, al.Data
		if worse {
			s.At, s.Dispatched = al.At, false
		}
		return nil
	})
	if err != nil || !worse {
		return err
	}
	if err := a.dispatch(ctx, d); err != nil {
		return err
	}
	a.nudge()
	return nil
}

func rank(s schema.Severity) int {
	switch s {
	case schema.SeverityCritical:
		return 2
	case schema.SeverityWarning:
		return 1
	case schema.SeverityOK:
	}
	return 0
}

// open finds the open alert of a key.
func (a *Alerts) open(key string) (store.Doc[Stored], bool) {
	if key == "" {
		return store.Doc[Stored]{}, false
	}
	for _, d := range a.cfg.Alerts.List("") {
		if d.Value.Key == key && !d.Value.Resolved {
			return d, true
		}
	}
	return store.Doc[Stored]{}, false
}

// Resolve closes the open alert of a key, if there is one.
func (a *Alerts) Resolve(ctx context.Context, key string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	open, ok := a.open(key)
	if !ok {
		return nil
	}
	return a.close(ctx, open.Key)
}

// Close closes an alert by its id; NotFound when there is none.
func (a *Alerts) Close(ctx context.Context, id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.close(ctx, id)
}

func (a *Alerts) close(ctx context.Context, id string) error {
	_, err := a.cfg.Alerts.Edit(ctx, id, func(s *Stored) error {
		if !s.Resolved {
			s.Resolved, s.ResolvedAt = true, a.cfg.Now().UnixMilli()
		}
		return nil
	})
	a.changed(id)
	if schema.CodeOf(err) == schema.NotFound {
		return schema.Errorf(schema.NotFound, "there is no alert %q", id)
	}
	return err
}

// Alert returns an alert; NotFound when there is none (any more).
func (a *Alerts) Alert(id string) (schema.Alert, error) {
	d, err := a.cfg.Alerts.Get(id)
	if err != nil {
		return schema.Alert{}, schema.Errorf(schema.NotFound, "there is no alert %q: alerts are kept for %d days", id, int(Keep.Hours()/24))
	}
	return d.Value.Alert, nil
}

// All returns all alerts, newest first.
func (a *Alerts) All() []schema.Alert {
	docs := a.cfg.Alerts.List("")
	out := make([]schema.Alert, len(docs))
	for i, d := range docs {
		out[i] = d.Value.Alert
	}
	slices.SortStableFunc(out, func(x, y schema.Alert) int { return cmp.Compare(y.At, x.At) })
	return out
}

// Deliveries returns what becomes of an alert, by the name of the alerter.
func (a *Alerts) Deliveries(alert string) []schema.AlertDelivery {
	docs := a.cfg.Outbox.List(alert + "/")
	out := make([]schema.AlertDelivery, len(docs))
	for i, d := range docs {
		out[i] = d.Value
	}
	slices.SortFunc(out, func(x, y schema.AlertDelivery) int { return cmp.Compare(x.Name, y.Name) })
	return out
}

func (a *Alerts) changed(id string) {
	if a.cfg.Changed != nil {
		a.cfg.Changed(id)
	}
}

func (a *Alerts) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}
