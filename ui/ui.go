// Package ui serves Berth's pages and their live fragments.
//
// It stands below core: it declares the small interfaces it needs, and core
// satisfies them. Pages are rendered on the server and work without JavaScript;
// where the browser has it, one stream per page carries rendered fragments.
//
// Concurrency: a Server may be used by any number of goroutines at once. Run must
// be running for anything to update by itself; without it every page still works.
// All interfaces below are called from many goroutines. What they answer and allow
// depends on who asks, which their context says: see Gate.Enter.
package ui

import (
	"context"
	"encoding/json"
	"iter"
	"log/slog"
	"net/http"

	"berth/schema"
	"berth/ui/page"
)

// Deps is what the pages need from the program around them.
type Deps struct {
	Resources Resources
	History   History
	Feed      Feed
	Actor     Actor
	Editor    Editor
	Catalog   Catalog
	Standing  Standing
	Alerts    Alerts
	Joiner    Joiner
	Gate      Gate
	Door      Door
	Account   Account
	// Peer returns the address of who sent a request; that of the connection when nil.
	Peer     func(r *http.Request) string
	Log      *slog.Logger
	Version  string // shown in the strip
	Instance string // short label of this installation, shown beside the name; may be empty
}

// Resources are the read models of what is declared. Lists are sorted by name;
// secret fields of settings come empty or masked.
type Resources interface {
	Servers(ctx context.Context) ([]schema.ServerView, error)
	Stacks(ctx context.Context) ([]schema.StackView, error)
	Repos(ctx context.Context) ([]schema.RepoView, error)
	Procedures(ctx context.Context) ([]schema.ProcedureView, error)
	Variables(ctx context.Context) ([]schema.Resource[schema.VariableConfig], error) // a secret's Value is empty
	Webhooks(ctx context.Context) ([]Webhook, error)
}

// Webhook is one address a git host can be given.
type Webhook struct {
	Target  schema.Target // procedure, stack or repo
	Path    string        // "/listener/github/procedure/<id>/main", below the address people use
	Branch  string        // that is listened to; "__ANY__" is any
	Action  string        // what a push does, in words: "run", "deploy", "pull"
	Enabled bool
	Secret  bool // a secret is set, for the target or for all
}

// History is what happened: runs, their output, and webhook deliveries.
type History interface {
	// Runs returns runs, newest first.
	Runs(ctx context.Context, f schema.RunFilter) ([]schema.Run, error)
	// Run returns a run by its id, or by its number in decimal; NotFound.
	Run(ctx context.Context, id string) (*schema.Run, error)
	// Output yields the stored output of all steps of a run in stream order,
	// beginning after sequence number after (0: from the start), and ends at the
	// newest one.
	Output(ctx context.Context, run string, after uint64) iter.Seq2[Chunk, error]
	// Deliveries returns the newest deliveries, newest first, without bodies.
	Deliveries(ctx context.Context, limit int) ([]schema.Delivery, error)
}

// Chunk is a piece of output with its position in the stream of all output.
type Chunk struct {
	Seq uint64
	schema.Output
}

// Feed says what happens now. Both sequences end when ctx ends or, early, when
// the source breaks: then the pages fetch again everything they show.
type Feed interface {
	// Watch yields what to look at again, of every topic.
	Watch(ctx context.Context) iter.Seq[schema.Change]
	// Tail yields the output of all runs as it comes, from now on.
	Tail(ctx context.Context) iter.Seq[Chunk]
}

// Actor is what a user can make happen.
type Actor interface {
	// Start starts an action by its request name ("DeployStack") with its params
	// ({"stack": "shop"}) and returns the run's id.
	Start(ctx context.Context, by schema.Actor, action string, params json.RawMessage) (string, error)
	// Cancel ends a run that goes on; NotFound.
	Cancel(ctx context.Context, by schema.Actor, run string) error
	// Approve lets a run go on that waits for an approval before the stage; the
	// one that waits when stage is empty. Conflict when none does.
	Approve(ctx context.Context, by schema.Actor, run, stage string) error
	// Redeliver handles a stored delivery as if it came again.
	Redeliver(ctx context.Context, by schema.Actor, delivery string) (schema.Delivery, error)
}

// Editor changes what is declared.
type Editor interface {
	// TOML returns a resource as a file would declare it, secrets left out; all
	// resources when kind is empty.
	TOML(ctx context.Context, kind, name string) (string, error)
	// Plan says what applying the text would do, and changes nothing. Mistakes in
	// the text are in the plan; an error is a failure to look.
	Plan(ctx context.Context, text string) (Plan, error)
	// Apply does what Plan says; it changes nothing when the plan has errors.
	Apply(ctx context.Context, by schema.Actor, text string) (Plan, error)
	// Save sets the given top-level settings of a resource; those not named stay.
	// A variable that does not exist is created.
	Save(ctx context.Context, by schema.Actor, kind, name string, patch json.RawMessage) error
	// Delete removes a resource; NotFound, or Conflict when others refer to it.
	Delete(ctx context.Context, by schema.Actor, kind, name string) error
}

// Catalog is the resources of every kind, as their fields describe them.
type Catalog interface {
	// Kinds are all kinds, what is referred to before what refers to it.
	Kinds() []Kind
	// List returns the resources of a kind, by name, secrets masked.
	List(ctx context.Context, kind string) ([]Resource, error)
	// Create makes a resource with default settings and returns its name, which
	// may be spelled in another way.
	Create(ctx context.Context, by schema.Actor, kind, name string) (string, error)
	// Copy makes a resource with the settings of another and returns its name.
	Copy(ctx context.Context, by schema.Actor, kind, name, to string) (string, error)
	// Rename returns the new name; what refers to the resource still does.
	Rename(ctx context.Context, by schema.Actor, kind, name, to string) (string, error)
	// Describe sets what is not a setting.
	Describe(ctx context.Context, by schema.Actor, kind, name string, d Description) error
}

// Kind is a kind of resource with the settings it has.
type Kind struct {
	Name   string // "resource_sync"
	Fields []schema.Field
}

// Resource is a resource of any kind: its settings as JSON has them.
type Resource = schema.Resource[json.RawMessage]

// Description is what is said of a resource beside its settings.
type Description struct {
	Text     string
	Tags     []string
	Template bool
}

// Standing is how things stand that are more than what is declared.
type Standing interface {
	Builds(ctx context.Context) ([]schema.BuildView, error)
	Deployments(ctx context.Context) ([]schema.DeploymentView, error)
	// SyncState says how a sync stands, by name or id, as it was looked at last.
	SyncState(key string) (schema.SyncState, error)
	// Schedules are all schedules with their next times.
	Schedules(ctx context.Context) []schema.ScheduleView
	// Match returns what a batch's pattern and tags select now, by name.
	Match(ctx context.Context, kind, pattern string, tags []string) ([]schema.Target, error)
}

// Alerts are what people should know of, and who was told.
type Alerts interface {
	All(ctx context.Context) []schema.Alert // newest first
	Deliveries(alert string) []schema.AlertDelivery
	// Close ends an alert by hand; NotFound.
	Close(ctx context.Context, id string) error
}

// Plan is what applying a text does, resource by resource.
type Plan struct {
	Items  []PlanItem
	Issues []Issue
}

// PlanItem is one resource of a plan.
type PlanItem struct {
	Kind, Name string
	Change     string // create, update, unchanged
	Fields     []FieldChange
}

// FieldChange is one setting that changes; secret values come as "•••".
type FieldChange struct{ Field, Old, New string }

// Issue is a mistake (it prevents the plan) or a warning.
type Issue struct {
	Line    int    // 1-based; 0 when it belongs to no line
	Key     string // "stack[2].config.branch"
	Text    string
	Warning bool
}

// Joiner lets servers in and out.
type Joiner interface {
	// Join makes a one-time token for the server, creating the server if need be,
	// and returns the one command to run there.
	Join(ctx context.Context, by schema.Actor, server string) (Join, error)
	// Revoke makes the server's agent unknown; it is disconnected at once.
	Revoke(ctx context.Context, by schema.Actor, server string) error
}

// Join is an invitation to a server.
type Join struct {
	Command string
	Expires int64 // unix ms
}

// Gate says who somebody is. Failures of a user's own making are
// Unauthenticated, Invalid or TooMany, with a text for him.
type Gate interface {
	// Fresh reports that there is no user yet: only the setup link lets one in.
	Fresh(ctx context.Context) bool
	// Setup creates the first administrator with the token of the one-time link
	// and returns his session.
	Setup(ctx context.Context, c Credentials) (string, error)
	// Session returns who a session belongs to; Unauthenticated.
	Session(ctx context.Context, session string) (schema.Actor, error)
	// Enter returns the context in which somebody acts: what he sees and may do is
	// decided by it. shared says that he sees what every administrator sees. An actor
	// without an id is Berth itself. Denied for who is gone or disabled.
	Enter(ctx context.Context, who schema.Actor, from string) (inside context.Context, shared bool, err error)
	// Logout ends a session, whether there is one or not.
	Logout(ctx context.Context, session string) error
	// SetupOpen reports whether the token of a setup link is still good.
	SetupOpen(ctx context.Context, token string) bool
}

// Door lets people in, in one step or several. Failures are as Gate's.
type Door interface {
	// Ways are how one can sign in.
	Ways() page.Ways
	// SignIn checks a password.
	SignIn(ctx context.Context, c Credentials) (Entry, error)
	// Code ends a sign-in with a code, and returns the session.
	Code(ctx context.Context, c Credentials) (string, error)
	// Passkey ends a sign-in with what the browser signed, and returns the session.
	Passkey(ctx context.Context, c Credentials) (string, error)
	// Redeem ends a sign-in at a provider, and returns the session.
	Redeem(ctx context.Context, c Credentials) (string, error)
	// HasCodes reports whether a sign-in that waits can be ended with a code.
	HasCodes(ctx context.Context, c Credentials) (bool, error)
}

// Account is the user of a session, as he sees and changes himself.
type Account interface {
	// Profile shows him.
	Profile(ctx context.Context, session string) (page.Profile, error)
	// BeginTOTP makes a secret for an authenticator, as an address and a QR code.
	BeginTOTP(ctx context.Context, session string) (uri, png string, err error)
	// ConfirmTOTP turns the authenticator on by a code of it, and returns recovery codes.
	ConfirmTOTP(ctx context.Context, session, code string) ([]string, error)
	// BeginPasskey returns what the browser needs to make a passkey, as JSON.
	BeginPasskey(ctx context.Context, session string) (string, error)
	// Change changes something: password, confirm-passkey, drop-totp, drop-passkey,
	// link, unlink, revoke. For link it returns what the browser must carry.
	Change(ctx context.Context, session, what, value string) (pending string, err error)
}

// Entry is a session, or what is asked for next.
type Entry struct {
	Session string
	Pending string // what the browser must carry to the next step
	Passkey string // what it needs to sign, as JSON; empty asks for a code
	Codes   bool   // a code is good too
}

// Credentials is what somebody shows to get in.
type Credentials struct {
	Token    string // of the setup link
	Username string
	Password string
	Pending  string // what the step before left in the browser
	Code     string
	Passkey  string // what the browser signed, as JSON
	From     string // peer address, for limits and the log
	Agent    string // the browser, as it says itself
}
