package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"

	"berth/core/access"
	"berth/schema"
)

// MaxBody is how many bytes a request may have.
const MaxBody = 2 << 20

func (a *API) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, g := range groups() {
		mux.HandleFunc("POST /"+string(g), func(w http.ResponseWriter, r *http.Request) { a.bodyForm(w, r, g) })
		mux.HandleFunc("POST /"+string(g)+"/{type}", func(w http.ResponseWriter, r *http.Request) { a.pathForm(w, r, g) })
	}
	a.externalRoutes(mux)
	mux.HandleFunc("GET /user", a.user)
	mux.HandleFunc("GET /version", a.version)
	mux.HandleFunc("GET /auth/version", a.version)
	mux.HandleFunc("GET /docs", a.docsIndex)
	mux.HandleFunc("GET /docs/openapi.json", a.openAPI)
	mux.HandleFunc("GET /docs/schema.json", a.jsonSchema)
	mux.HandleFunc("GET /docs/kinds/{name}", a.docsKind)
	mux.HandleFunc("GET /docs/{group}/{name}", a.docsRequest)
	mux.HandleFunc("GET /docs/auth/{group}/{name}", a.docsRequest)
	mux.HandleFunc("GET /stream/runs/{id}", a.streamRun)
	mux.HandleFunc("GET /stream/audit", a.streamAudit)
	mux.HandleFunc("GET /ws/update", a.liveUpdates)
	mux.HandleFunc("GET /client", a.clientFile) // or the mux sends people to /client/
	mux.HandleFunc("GET /client/{name...}", a.clientFile)
	mux.HandleFunc("POST /backup", a.takeBackup)
	return mux
}

// bodyForm serves {"type": …, "params": …}.
func (a *API) bodyForm(w http.ResponseWriter, r *http.Request, g Group) {
	var in struct {
		Type   *string         `json:"type"`
		Params json.RawMessage `json:"params"`
	}
	body, err := readBody(w, r)
	if err == nil && json.Unmarshal(body, &in) != nil {
		err = badJSON()
	}
	switch {
	case err != nil:
	case in.Type == nil:
		err = schema.Errorf(schema.Invalid, `the body is {"type": …, "params": …}: type is missing`)
	case in.Params == nil:
		err = schema.Errorf(schema.Invalid, `the body is {"type": …, "params": …}: params is missing, {} when there are none`)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	found, err := a.table.find(g, *in.Type)
	if err != nil { // here it is a value of the body that is wrong, not the address
		err = schema.Errorf(schema.Invalid, "%s", schema.SafeText(err))
	}
	a.serve(w, r, found, in.Params, err)
}

// pathForm serves the parameters as the body.
func (a *API) pathForm(w http.ResponseWriter, r *http.Request, g Group) {
	found, err := a.table.find(g, r.PathValue("type"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	body, err := readBody(w, r)
	if err == nil && !json.Valid(body) {
		err = badJSON()
	}
	a.serve(w, r, found, body, err)
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, found *Row, params json.RawMessage, err error) {
	if err != nil {
		a.fail(w, r, err)
		return
	}
	who, err := a.caller(r, found)
	if err != nil {
		a.audit(access.WithCaller(r.Context(), access.Caller{Peer: a.deps.Peers.Of(r)}), found, params, &auditNote{}, err)
		a.fail(w, r, err)
		return
	}
	ctx := access.WithCaller(r.Context(), who)
	s := a.stepsFrom(r)
	v, err := a.call(context.WithValue(ctx, stepsKey{}, s), found, params)
	a.setSteps(w, r, s)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.answer(w, r, v)
}

// caller says who is asking.
func (a *API) caller(r *http.Request, found *Row) (access.Caller, error) {
	peer := a.deps.Peers.Of(r)
	if found.Needs == access.Public {
		return access.Caller{Peer: peer}, nil
	}
	c, err := a.deps.Gate.Authenticate(r.Context(), r.Header, peer)
	if err == nil && strings.HasPrefix(r.UserAgent(), "berth-cli/") {
		c.Via = "cli"
	}
	return c, err
}

// call runs a row's handler and records what it changed, or who was refused; a panic
// in it is an Internal error.
func (a *API) call(ctx context.Context, found *Row, params json.RawMessage) (v any, err error) {
	note, given := &auditNote{}, params
	defer func() { a.audit(ctx, found, given, note, err) }()
	ctx = context.WithValue(ctx, auditKey{}, note)
	ctx, note.record = access.WithRecord(ctx)
	if found.Group == GroupLogin {
		ctx, note.entrant = access.WithEntrant(ctx)
	}
	defer func() {
		if p := recover(); p != nil {
			a.deps.Log.Error("a request panicked", "request", found.Name, "panic", p, "stack", string(debug.Stack()))
			err = schema.Errorf(schema.Internal, "%s ran into a fault of Berth: the log says more", found.Name)
		}
	}()
	if params, err = a.permit(ctx, found, params); err != nil {
		return nil, err
	}
	return found.handle(ctx, params)
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return nil, errMediaType
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err == nil {
		return body, nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, schema.Errorf(schema.TooLarge, "the body is larger than %d MB", MaxBody>>20)
	}
	return nil, schema.Wrap(schema.Invalid, err, "the body ended early")
}

// Two failures whose HTTP status no code stands for.
var (
	errMediaType = &schema.Error{Code: schema.Invalid, Text: "content-type must be application/json"}
	errBadJSON   = &schema.Error{Code: schema.Invalid, Text: "the body is not JSON"}
)

func badJSON() error { return errBadJSON }

// problem is the body of every failure.
type problem struct {
	Error string      `json:"error"`
	Trace []string    `json:"trace"`
	Code  schema.Code `json:"code"`
}

// fail answers an error: its safe texts, outermost first.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := schema.CodeOf(err)
	status := code.HTTPStatus()
	switch {
	case errors.Is(err, errMediaType):
		status = http.StatusUnsupportedMediaType
	case errors.Is(err, errBadJSON):
		status = http.StatusBadRequest
	}
	if status >= http.StatusInternalServerError && code != schema.Unavailable && code != schema.Unsupported {
		a.deps.Log.Error("answer a request", "err", err, "path", r.URL.Path)
	}
	writeJSON(w, status, ProblemOf(err))
}

// ProblemOf is the body that tells a client of an error.
func ProblemOf(err error) any {
	texts := trail(err)
	return problem{Error: texts[0], Trace: texts[1:], Code: schema.CodeOf(err)}
}

// trail returns the safe texts of an error's chain, outermost first, at least one.
func trail(err error) []string {
	var out []string
	for err != nil {
		e, ok := errors.AsType[*schema.Error](err)
		if !ok {
			break
		}
		if e.Text != "" {
			out = append(out, e.Text)
		}
		err = e.Err
	}
	if len(out) == 0 {
		out = []string{schema.SafeText(nil)}
	}
	return out
}

// answer writes a result. Whole bodies only: a client must never take half of an
// answer for the whole.
func (a *API) answer(w http.ResponseWriter, r *http.Request, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	secure(w)
	_, _ = w.Write(body)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	secure(w)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func secure(w http.ResponseWriter) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	h.Set("Cache-Control", "no-store")
}

func (a *API) version(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	secure(w)
	_, _ = io.WriteString(w, a.deps.Version)
}
