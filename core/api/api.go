package api

import (
	"context"
	"encoding/json"
	"iter"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"berth/core/access"
	"berth/core/resource"
	"berth/core/run"
	"berth/schema"
)

// Deps is what the requests need from the program around them.
type Deps struct {
	Gate *access.Gate
	// Transparent and NoCreate are the settings of these names, for clients to know.
	Transparent, NoCreate bool
	Peers                 access.Peers
	Kinds                 *resource.Registry
	Views                 Views
	Builds                BuildViews // may be nil
	Singles               Singles    // may be nil
	Engine                Engine
	// Order splits the targets of a batch into those that are done at once and those
	// that are done when these have ended; nil does all at once.
	Order      func(ctx context.Context, targets []schema.Target) (first, last []schema.Target, err error)
	Approvals  Approvals
	Output     Output
	Deliveries Deliveries
	Syncs      Syncs // may be nil
	Fleet      Fleet
	Onboarding Onboarding // may be nil
	Alerts     Alerts
	Audit      Audit    // may be nil
	Accounts   Accounts // may be nil
	Tags       Tags     // may be nil
	Edits      Edits    // may be nil
	Updates    Updates
	Schedules  Schedules
	History    History
	// Tail yields the output of all runs as it comes, with its sequence numbers.
	Tail func(ctx context.Context) iter.Seq2[uint64, schema.Output]
	// Ask puts a question (a schema.Query, by its name) to a server's agent.
	Ask     func(ctx context.Context, server, question string, req any) (json.RawMessage, error)
	Sources Sources // may be nil
	// CheckPlan adds what is found in sources to a plan of resources; may be nil.
	CheckPlan func(ctx context.Context, p *resource.Plan) error
	// Maintenance is what is done to core itself.
	Maintenance Maintenance

	CORS      CORS
	CrossSite bool   // the cookie of a sign-in's steps also travels from pages of other origins
	Title     string // of this installation
	Version   string
	URL       string // where people reach core; may be empty
	PublicKey string // core's identity
	Now       func() time.Time
	Log       *slog.Logger
}

// Views are the read models, sorted by name, with secrets masked.
type Views interface {
	Servers(ctx context.Context) ([]schema.ServerView, error)
	// Stacks returns the stacks with the ids, or all when there are none.
	Stacks(ctx context.Context, ids ...string) ([]schema.StackView, error)
	Repos(ctx context.Context) ([]schema.RepoView, error)
	Procedures(ctx context.Context) ([]schema.ProcedureView, error)
}

// Engine starts runs and knows them.
type Engine interface {
	Start(ctx context.Context, req run.StartReq) (*schema.Run, error)
	Cancel(ctx context.Context, id string, by schema.Actor) error
	Get(ctx context.Context, id string) (*schema.Run, error)
	List(ctx context.Context, f schema.RunFilter) ([]*schema.Run, error)
	Actions() []run.Action
	Watch(ctx context.Context) iter.Seq[schema.Change]
}

// Approvals let runs go on that wait for one.
type Approvals interface {
	Approve(ctx context.Context, id, stage string, by schema.Actor) error
}

// Output is the stored output of runs.
type Output interface {
	// Output calls fn with the stored chunks of one command, or of the whole run
	// when cmd is empty, from the sequence on, and the agent each came from.
	Output(ctx context.Context, run, cmd string, from uint64, fn func(seq uint64, agent string, out schema.Output) error) error
}

// Deliveries are the webhooks that came in.
type Deliveries interface {
	Recent(limit int) []schema.Delivery
	Get(ctx context.Context, id string) (schema.Delivery, error)
	Redeliver(ctx context.Context, by schema.Actor, id string) (schema.Delivery, error)
}

// Fleet lets agents and operators in and out.
type Fleet interface {
	// Join makes a one-time token for a server, creating the server if need be.
	Join(ctx context.Context, by schema.Actor, server string) (Join, error)
	// Revoke makes the server's agent unknown.
	Revoke(ctx context.Context, by schema.Actor, server string) error
	// Operator lets a key in as an operator of the bus.
	Operator(ctx context.Context, by schema.Actor, o OperatorParams) (Operator, error)
}

// Join is an invitation to a server.
type Join struct {
	Command string `json:"command"` // to run on the server
	Expires int64  `json:"expires"` // unix ms
}

// OperatorParams names an operator and his public key.
type OperatorParams struct {
	Name string `json:"name" doc:"Name of the operator."`
	Role string `json:"role" doc:"read or exec."`
	NKey string `json:"nkey" doc:"His public nkey (U…)."`
}

// Operator is what a stock client of the bus needs to know.
type Operator struct {
	URL         string `json:"url"`
	InboxPrefix string `json:"inbox_prefix"`
	Certificate string `json:"certificate,omitempty"` // PEM; when core made it itself, so that no authority vouches for it
}

// API serves the table of requests.
type API struct {
	deps     Deps
	table    *table
	refusals refusals
	tags     tagBook
	mux      *http.ServeMux
	// clientOf are the files of the TypeScript client, made when first asked for.
	clientOf func() map[string]string
}

// New makes the table of d's kinds, actions and everything else. It panics when
// two requests share a name: a broken list, found by the first test.
func New(d Deps) *API {
	a := &API{deps: d}
	var rows []Row
	for _, part := range [][]Row{
		a.systemRows(), a.accountRows(), a.userRows(), a.permissionRows(), a.auditRows(), a.groupRows(), a.loginRows(), a.manageRows(), a.kindRows(), a.stateRows(), a.buildRows(), a.containerRows(), a.hostRows(), a.stackRows(), a.deploymentRows(), a.tagRows(),
		a.variableRows(), a.updateRows(), a.runRows(), a.applyRows(), a.fleetRows(), a.onboardingRows(), a.deliveryRows(), a.alertRows(), a.updateCheckRows(), a.scheduleRows(), a.syncRows(), a.executionRows(),
		a.swarmRows(), a.terminalRows(), a.accountsRows(), a.sourceRows(), a.extraArgsRows(),
	} {
		rows = append(rows, part...)
	}
	a.table = newTable(rows)
	a.clientOf = sync.OnceValue(func() map[string]string {
		files, err := a.typescript()
		if err != nil {
			d.Log.Error("make the TypeScript client", "err", err)
		}
		return files
	})
	a.mux = a.routes()
	return a
}

// Rows returns the table, sorted by group and name.
func (a *API) Rows() []Row { return a.table.rows }

// ServeHTTP serves /read, /write, /execute, /auth, /user, /version, /docs and
// /stream.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !a.deps.CORS.allow(w, r) {
		a.mux.ServeHTTP(w, r)
	}
}

// Routes are the patterns to mount the API at.
func Routes() []string {
	return []string{"/read", "/read/", "/write", "/write/", "/execute", "/execute/", "/auth/", "/user", "/version", "/docs", "/docs/", "/client", "/client/", "/stream/", "/ws/update", "/backup"}
}
