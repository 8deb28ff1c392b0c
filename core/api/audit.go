package api

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"berth/core/access"
	"berth/schema"
)

// Audit keeps what was done and what was refused.
type Audit interface {
	Audit(ctx context.Context, a schema.Audit) error
	// Audits calls fn with the records before a sequence number (0: all), newest
	// first, until it returns false.
	Audits(ctx context.Context, before uint64, fn func(schema.Audit) bool) error
	// FollowAudit yields records as they come.
	FollowAudit(ctx context.Context) iter.Seq[schema.Audit]
}

// auditNote is what a handler adds to the record of its request.
type auditNote struct {
	target        schema.Target
	before, after string
	entrant       *access.Entrant // who signs in, if that is it
	record        *access.Record  // what was changed of a user
	unseen        bool            // refused, though the answer is that there is no such thing
	door          bool            // whatever fails is a refusal: somebody at the door is not let in
}

type auditKey struct{}

// audited are the parameters whose values are recorded: names of things, levels and
// switches. Any other value could be a secret.
func audited() []string {
	return []string{
		"user_target", "resource_target", "resource_type", "permission", "user_id", "user", "users", "user_group", "everyone", "admin", "enabled",
		"create_servers", "create_builds", "scopes", "expires", "username", "name", "id", "target", "base_permission", "tags", "pattern", "services",
		"server", "stack", "deployment", "build", "repo", "procedure", "action", "sync", "builder", "alerter", "swarm", "run", "stage", "container", "key",
	}
}

// refusals remembers refusals, so that one that is repeated is recorded once a
// minute, and of strangers, who have as many names and addresses as they like, so many
// a minute: nobody can flood the record, which forgets its oldest.
type refusals struct {
	mu        sync.Mutex
	last      map[string]time.Time
	minute    time.Time // in which strangers are counted
	strangers int
}

const (
	maxRefusals  = 10_000
	maxStrangers = 30
)

// fresh reports whether a refusal is to be recorded.
func (r *refusals) fresh(key string, stranger bool, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.last[key]; ok && now.Sub(at) < time.Minute {
		return false
	}
	if stranger {
		if now.Sub(r.minute) >= time.Minute {
			r.minute, r.strangers = now, 0
		}
		if r.strangers++; r.strangers > maxStrangers {
			return false
		}
	}
	if r.last == nil || len(r.last) >= maxRefusals {
		r.last = map[string]time.Time{}
	}
	r.last[key] = now
	return true
}

// changes reports whether the request changes something when it is answered.
func (r *Row) changes() bool {
	return r.Group != GroupRead && !strings.HasPrefix(r.Name, "Get") && !strings.HasPrefix(r.Name, "List")
}

// audit records a request that changed something, or was refused. That it cannot be
// recorded is for the log: what was done is done.
func (a *API) audit(ctx context.Context, r *Row, raw json.RawMessage, note *auditNote, err error) {
	code := schema.Code("")
	if err != nil {
		code = schema.CodeOf(err)
	}
	if note.unseen && code == schema.NotFound {
		code = schema.Denied
	}
	refused := code == schema.Denied || code == schema.Unauthenticated || code == schema.TooMany || note.door && err != nil
	c, known := access.CallerOf(ctx)
	stranger := !known || c.Actor == schema.Actor{}
	switch {
	case a.deps.Audit == nil, !refused && !r.changes():
		return
	case !refused && err != nil && stranger: // a mistake of somebody at the door, who changed nothing
		return
	}
	now := a.deps.Now()
	if refused && !a.refusals.fresh(c.UserID+" "+c.Peer+" "+r.Name+" "+string(code), stranger, now) {
		return
	}
	rec := schema.Audit{
		At: now.UnixMilli(), Actor: c.Actor, From: c.Peer, Via: c.Via, Group: string(r.Group), Request: r.Name,
		Target: note.target, Params: safeParams(raw), Code: code, Before: note.before, After: note.after,
	}
	note.complete(&rec)
	if err != nil {
		rec.Text = schema.SafeText(err)
	}
	if err := a.deps.Audit.Audit(context.WithoutCancel(ctx), rec); err != nil {
		a.deps.Log.Error("record who did what", "request", r.Name, "err", err)
	}
}

// complete adds who came in, and what was changed of a user, to a record.
func (n *auditNote) complete(rec *schema.Audit) {
	if e := n.entrant; e != nil { // what he typed may be a password, in the wrong field
		rec.Params = nil
		if e.User.ID != "" {
			rec.Target = schema.Target{Kind: "user", ID: e.User.ID, Name: e.User.Username}
		}
		if e.In {
			rec.Actor = schema.Actor{Kind: "user", ID: e.User.ID, Name: e.User.Username}
		}
	}
	if r := n.record; r != nil && r.Target.ID != "" && rec.Before+rec.After == "" {
		rec.Before, rec.After = r.Before, r.After
		if rec.Target.ID == "" {
			rec.Target = r.Target
		}
	}
}

// safeParams are the parameters that may be recorded.
func safeParams(raw json.RawMessage) json.RawMessage {
	var keys map[string]json.RawMessage
	if json.Unmarshal(raw, &keys) != nil {
		return nil
	}
	for k, v := range keys {
		if !slices.Contains(audited(), k) || len(v) > 4096 {
			delete(keys, k)
		}
	}
	out, err := json.Marshal(keys)
	if err != nil || len(keys) == 0 {
		return nil
	}
	return out
}

// noteChange adds the change of a resource to the record of the request.
func noteChange(ctx context.Context, e schema.Edit) {
	if note, ok := ctx.Value(auditKey{}).(*auditNote); ok {
		note.target, note.before, note.after = e.Target, e.Before, e.After
	}
}

// Enter lets somebody in by a page, and records it as the request of that name does.
func (a *API) Enter(ctx context.Context, from, request string, in func(ctx context.Context) error) error {
	note := &auditNote{}
	ctx = access.WithCaller(ctx, access.Caller{Peer: from, Via: "click"})
	ctx, note.entrant = access.WithEntrant(ctx)
	ctx, note.record = access.WithRecord(ctx)
	err := in(ctx)
	a.audit(ctx, &Row{Group: GroupLogin, Name: request}, nil, note, err)
	return err
}

// comeBack takes a browser back from a provider and records that it failed, or what it
// changed: that somebody came for the first time, that he got a login or a role. That
// he is let in is the record of what follows.
func (a *API) comeBack(ctx context.Context, v access.Visit, k access.UserKind, query url.Values) (access.Away, error) {
	note := &auditNote{door: true}
	ctx = access.WithCaller(ctx, access.Caller{Peer: v.From, Via: "click"})
	ctx, note.entrant = access.WithEntrant(ctx)
	ctx, note.record = access.WithRecord(ctx)
	to, err := a.deps.Gate.ComeBack(ctx, v, k, query)
	if err != nil || note.record.Target.ID != "" {
		a.audit(ctx, &Row{Group: GroupLogin, Name: string(k) + "Callback"}, nil, note, err)
	}
	return to, err
}

// Own records what somebody changed about himself on a page, or was refused to, as the
// request of that name does.
func (a *API) Own(ctx context.Context, request string, err error) {
	a.audit(ctx, &Row{Group: GroupManage, Name: request}, nil, &auditNote{record: access.RecordOf(ctx)}, err)
}

// Start starts a run for whoever looks at a page: checked and recorded as the request
// of that name.
func (a *API) Start(ctx context.Context, action string, params json.RawMessage) (*schema.Run, error) {
	found, err := a.table.find(GroupExecute, action)
	if err != nil {
		return nil, err
	}
	row := *found
	row.handle = func(ctx context.Context, params json.RawMessage) (any, error) {
		r, err := a.startOn(ctx, action, schema.Target{}, params)
		if note, ok := ctx.Value(auditKey{}).(*auditNote); ok && err == nil {
			note.target = r.Target
		}
		return r, err
	}
	v, err := a.call(ctx, &row, params)
	if err != nil {
		return nil, err
	}
	r, _ := v.(*schema.Run)
	return r, nil
}

type auditQuery struct {
	Actor   string `json:"actor,omitempty" doc:"Only of this user: name or id."`
	Target  string `json:"target,omitempty" doc:"Only about this resource: name or id."`
	Request string `json:"request,omitempty" doc:"Only this request."`
	Refused bool   `json:"refused,omitempty" doc:"Only what was refused."`
	From    int64  `json:"from,omitempty" doc:"Only since then, unix ms."`
	To      int64  `json:"to,omitempty" doc:"Only until then, unix ms."`
	Before  uint64 `json:"before,omitempty" doc:"Only before this record: next of the page before."`
	Limit   int    `json:"limit,omitempty" doc:"How many; 100 when absent, at most 1000."`
}

type auditPage struct {
	Records []schema.Audit `json:"records"`
	Next    uint64         `json:"next"` // before, for the next page; 0 when there is none
}

func (q auditQuery) wants(a schema.Audit) bool {
	return (q.Actor == "" || a.Actor.ID == q.Actor || a.Actor.Name == q.Actor || strings.HasPrefix(a.Actor.Name, q.Actor+" (")) &&
		(q.Target == "" || a.Target.ID == q.Target || a.Target.Name == q.Target) && (q.Request == "" || a.Request == q.Request) &&
		(!q.Refused || a.Code == schema.Denied || a.Code == schema.Unauthenticated || a.Code == schema.TooMany) && (q.To == 0 || a.At <= q.To)
}

func (a *API) auditRows() []Row {
	if a.deps.Audit == nil {
		return nil
	}
	return []Row{Read(spec{
		name: "ListAudit", own: true, doc: "List what was done and what was refused, newest first.", needs: access.IsAdmin, example: map[string]any{"actor": "ada", "limit": 20},
	}, func(ctx context.Context, q auditQuery) (auditPage, error) {
		limit := min(q.Limit, 1000)
		if limit <= 0 {
			limit = 100
		}
		out := auditPage{Records: []schema.Audit{}}
		err := a.deps.Audit.Audits(ctx, q.Before, func(rec schema.Audit) bool {
			switch {
			case rec.At < q.From:
				return false
			case !q.wants(rec):
			case len(out.Records) == limit:
				out.Next = out.Records[limit-1].Seq
				return false
			default:
				out.Records = append(out.Records, rec)
			}
			return ctx.Err() == nil
		})
		return out, err
	})}
}

// streamAudit follows what is done and refused: one JSON object per line, or
// server-sent events when the client accepts those; for administrators.
func (a *API) streamAudit(w http.ResponseWriter, r *http.Request) {
	row := &Row{Group: GroupRead, Name: "ListAudit", Needs: access.IsAdmin}
	who, err := a.caller(r, row)
	ctx := access.WithCaller(r.Context(), who)
	if err == nil {
		err = access.Permit(ctx, access.IsAdmin, schema.Target{})
	}
	if err == nil && a.deps.Audit == nil {
		err = schema.Errorf(schema.Unsupported, "nothing is recorded here")
	}
	if err != nil {
		a.audit(ctx, row, nil, &auditNote{}, err)
		a.fail(w, r, err)
		return
	}
	sse := strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	out := newStreamWriter(w, sse)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	records := pump(ctx, a.deps.Audit.FollowAudit(ctx))
	tick := time.NewTicker(streamBeat)
	defer tick.Stop()
	for err := out.beat(); err == nil; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if who, err = a.deps.Gate.Authenticate(ctx, r.Header, who.Peer); err == nil && who.Admin {
				err = out.beat()
			} else {
				return
			}
		case rec, ok := <-records:
			if !ok {
				return
			}
			text, _ := json.Marshal(rec) // plain values
			if sse {
				err = out.write("data: " + string(text) + "\n\n")
			} else {
				err = out.write(string(text) + "\n")
			}
		}
	}
}
