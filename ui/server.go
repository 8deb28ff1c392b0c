package ui

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"

	"berth/schema"
	"berth/ui/asset"
	"berth/ui/live"
	"berth/ui/page"
)

//go:embed all:static
var staticFiles embed.FS

//go:embed css/*.css
var styleFiles embed.FS

// Server serves the pages.
type Server struct {
	Deps
	assets *asset.Set
	hub    *live.Hub
	tail   *live.Tail
	views  *http.ServeMux // pages by address, see view
	mux    http.Handler
	dirty  chan struct{} // has room for one: something may look different

	mu     sync.Mutex                           // guards phases
	phases map[string]map[string][]schema.Phase // of runs that go on: by run, by step
}

// New returns the server of all pages; it is to be mounted at "/". Run must be
// called for pages to update by themselves.
func New(d Deps) (*Server, error) {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	static, err := fs.Sub(staticFiles, "static")
	if err != nil {
		return nil, fmt.Errorf("open the embedded bundle: %w", err)
	}
	styles, err := fs.Sub(styleFiles, "css")
	if err != nil {
		return nil, fmt.Errorf("open the embedded styles: %w", err)
	}
	set, err := asset.New(static, styles, []string{"tokens", "base", "shell", "parts", "pages"})
	if err != nil {
		return nil, err
	}
	s := newServer(d, set)
	if !set.Built() {
		d.Log.Warn("built without the browser bundle: pages work, but nothing updates by itself; run `go tool task gen` and build again")
	}
	return s, nil
}

func newServer(d Deps, set *asset.Set) *Server {
	s := &Server{
		Deps: d, assets: set, hub: live.NewHub(live.Options{Epoch: schema.NewID()[:8]}), tail: live.NewTail(),
		dirty: make(chan struct{}, 1), phases: map[string]map[string][]schema.Phase{},
	}
	s.views = s.viewRoutes()
	s.mux = s.secure(s.routes())
	return s
}

// Bundled reports whether the browser bundle is in this program.
func (s *Server) Bundled() bool { return s.assets.Built() }

// ServeHTTP answers any request for a page.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mux.ServeHTTP(w, r.WithContext(asset.With(r.Context(), s.assets)))
}

// routes is everything that is not a page to look at.
func (s *Server) routes() http.Handler {
	m := http.NewServeMux()
	m.Handle("GET "+asset.Prefix, s.assets)
	m.HandleFunc("GET /favicon.svg", favicon)
	m.Handle("GET /licenses", s.open(s.licenses))

	m.Handle("GET /login", s.open(s.loginPage))
	m.Handle("POST /login", s.open(s.login))
	m.Handle("POST /login/second", s.open(s.second))
	m.Handle("GET /login/back", s.open(s.back))
	m.Handle("POST /logout", s.open(s.logout))
	m.Handle("GET /setup", s.open(s.setupPage))
	m.Handle("POST /setup", s.open(s.setup))
	m.Handle("POST /prefs/theme", s.open(s.theme))

	m.Handle("GET /{path...}", s.user(s.page))
	m.Handle("GET /profile", s.user(s.profile))
	m.Handle("POST /profile/{what}", s.user(s.changeProfile))
	m.Handle("GET /events", s.user(s.events))
	m.Handle("GET /palette", s.user(s.palette))
	m.Handle("GET /runs/{id}/output", s.user(s.output))
	m.Handle("GET /runs/{id}/output.txt", s.user(s.outputText))
	m.Handle("POST /runs/{id}/cancel", s.user(s.cancel))
	m.Handle("POST /runs/{id}/again", s.user(s.again))
	m.Handle("POST /runs/{id}/approve", s.user(s.approve))
	m.Handle("POST /new/{kind}", s.user(s.create))
	m.Handle("POST /describe/{kind}/{name}", s.user(s.describe))
	m.Handle("POST /rename/{kind}/{name}", s.user(s.rename))
	m.Handle("POST /copy/{kind}/{name}", s.user(s.copy))
	m.Handle("POST /syncs/{name}/run", s.user(s.runSync))
	m.Handle("POST /actions/{name}/run", s.user(s.runAction))
	m.Handle("POST /alerts/{id}/close", s.user(s.closeAlert))
	m.Handle("GET /export.toml", s.user(s.export))
	m.Handle("POST /do/{action}", s.user(s.do))
	m.Handle("POST /servers/join", s.user(s.join))
	m.Handle("POST /servers/{name}/revoke", s.user(s.revoke))
	m.Handle("POST /config/{kind}/{name}", s.user(s.save))
	m.Handle("POST /delete/{kind}/{name}", s.user(s.remove))
	m.Handle("POST /variables", s.user(s.saveVariable))
	m.Handle("POST /webhooks/{id}/again", s.user(s.redeliver))
	m.Handle("POST /apply", s.user(s.apply))
	return m
}

// viewRoutes is the pages: each is also a topic that can be listened to.
func (s *Server) viewRoutes() *http.ServeMux {
	m := http.NewServeMux()
	m.Handle("GET /{$}", view(s.overview))
	m.Handle("GET /runs", view(s.runs))
	m.Handle("GET /runs/{id}", view(s.run))
	m.Handle("GET /runs/{id}/again", view(s.againAsk))
	m.Handle("GET /servers", view(s.servers))
	m.Handle("GET /servers/join", view(s.joinAsk))
	m.Handle("GET /servers/{name}", view(s.server))
	m.Handle("GET /servers/{name}/revoke", view(s.revokeAsk))
	m.Handle("GET /stacks", view(s.stacks))
	m.Handle("GET /stacks/{name}", view(s.stack))
	m.Handle("GET /repos", view(s.repos))
	m.Handle("GET /repos/{name}", view(s.repo))
	m.Handle("GET /procedures", view(s.procedures))
	m.Handle("GET /procedures/{name}", view(s.procedure))
	for _, k := range page.Kinds() {
		switch k.Kind {
		case "server", "stack", "repo", "procedure":
			continue // above
		case "variable":
		default:
			m.Handle("GET "+k.Path, view(s.things(k.Kind)))
		}
		m.Handle("GET "+k.Path+"/{name}", view(s.thing(k.Kind)))
	}
	m.Handle("GET /new/{kind}", view(s.createAsk))
	m.Handle("GET /alerts", view(s.alerts))
	m.Handle("GET /schedules", view(s.schedules))
	m.Handle("GET /variables", view(s.variables))
	m.Handle("GET /webhooks", view(s.webhooks))
	m.Handle("GET /apply", view(s.applyPage))
	m.Handle("GET /do/{action}", view(s.doAsk))
	m.Handle("GET /delete/{kind}/{name}", view(s.removeAsk))
	m.Handle("GET /more", view(s.more))
	return m
}

// Run keeps pages current until ctx ends. It ends all open streams then.
func (s *Server) Run(ctx context.Context) error {
	ctx, err := s.enter(ctx, schema.Actor{}, "")
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.watch(ctx) })
	wg.Go(func() { s.follow(ctx) })
	wg.Go(func() { s.render(ctx) })
	<-ctx.Done()
	s.hub.Close()
	wg.Wait()
	return nil
}
