package ui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/a-h/templ"

	"berth/schema"
	"berth/ui/page"
)

// policy is the pages' content security policy: nothing inline, nothing foreign.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"

// secure sets the headers that every answer carries, and refuses what another
// site makes a browser send.
func (s *Server) secure(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(s.open(func(w http.ResponseWriter, r *http.Request) error {
		return schema.Errorf(schema.Denied, "This request came from another site, so it was not carried out. If Berth is behind a proxy, let the proxy pass the Host header on.")
	}))
	guarded := cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		if encrypted(r) { // browsers ignore it elsewhere, and complain
			h.Set("Cross-Origin-Opener-Policy", "same-origin")
		}
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()")
		if r.Body != nil {
			r.Body = http.MaxBytesReader(w, r.Body, 4<<20)
		}
		guarded.ServeHTTP(w, r)
	})
}

// handler answers a request or says why not.
type handler func(w http.ResponseWriter, r *http.Request) error

// open is a handler for everybody.
func (s *Server) open(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

type userKey struct{}

// actor returns who makes the request.
func actor(ctx context.Context) schema.Actor {
	a, _ := ctx.Value(userKey{}).(schema.Actor)
	return a
}

// user is a handler for those who are signed in.
func (s *Server) user(h handler) http.Handler {
	return s.open(func(w http.ResponseWriter, r *http.Request) error {
		who, err := s.who(r)
		if err != nil {
			return s.signIn(w, r, err)
		}
		ctx, err := s.enter(r.Context(), who, s.peer(r))
		if err != nil {
			return err
		}
		return h(w, r.WithContext(context.WithValue(ctx, userKey{}, who)))
	})
}

type scopeKey struct{}

// enter returns the context in which somebody acts.
func (s *Server) enter(ctx context.Context, who schema.Actor, from string) (context.Context, error) {
	inside, shared, err := s.Gate.Enter(ctx, who, from)
	if err != nil || shared {
		return inside, err
	}
	return context.WithValue(inside, scopeKey{}, who.ID), nil
}

// scoped is the name of a topic for those who see the same as whoever looks: all
// administrators do, any other user has his own.
func scoped(ctx context.Context, topic string) string {
	if id, ok := ctx.Value(scopeKey{}).(string); ok {
		return id + " " + topic
	}
	return topic
}

// unscoped is the topic, and the id of the user it is for, if of one.
func unscoped(name string) (topic, user string) {
	if user, topic, ok := strings.Cut(name, " "); ok && !strings.HasPrefix(name, "/") {
		return topic, user
	}
	return name, ""
}

// fail answers with an error: as a page, or as a fragment for a script.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody listens
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = schema.Wrap(schema.TooLarge, tooLarge, "read the form: it is larger than 4 MB")
	}
	code := schema.CodeOf(err)
	v := page.ProblemView{Status: code.HTTPStatus(), Text: schema.SafeText(err)}
	switch code {
	case schema.NotFound:
		v.Title, v.Hint = "Nothing is moored here", "It may have been renamed or removed, or the address is mistyped."
	case schema.Denied:
		v.Title = "Not allowed"
	case schema.Unavailable, schema.Expired:
		v.Title, v.Retry = "Not reachable now", retry(r)
	case schema.Internal:
		id := schema.NewID()[:8]
		s.Log.Error("serve a page", "id", id, "path", r.URL.Path, "err", err)
		v.Title, v.Text, v.Retry = "Something broke on our side", "The cause is in Berth's log under "+id+".", retry(r)
	default:
		v.Title, v.Retry = "That did not work", retry(r)
	}
	w.Header().Set("Cache-Control", "no-store")
	if fragment(r) {
		s.write(w, r, v.Status, page.Problem(v))
		return
	}
	f, ferr := s.frame(r)
	if ferr != nil || actor(r.Context()).Name == "" {
		s.write(w, r, v.Status, bareProblem(f.Theme, v))
		return
	}
	s.write(w, r, v.Status, page.Document(f, page.Trouble(v)))
}

func bareProblem(theme string, v page.ProblemView) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		return page.Bare(theme, v.Title).Render(templ.WithChildren(ctx, page.Problem(v)), w)
	})
}

func retry(r *http.Request) string {
	if r.Method == http.MethodGet {
		return r.URL.RequestURI()
	}
	return ""
}

// fragment reports whether a script asks, which wants a part and no page.
func fragment(r *http.Request) bool { return r.Header.Get("HX-Request") == "true" }

// write renders first and sends then: an error leaves no half page.
func (s *Server) write(w http.ResponseWriter, r *http.Request, status int, c templ.Component) {
	var b bytes.Buffer
	if err := c.Render(r.Context(), &b); err != nil {
		s.Log.Error("render a page", "path", r.URL.Path, "err", err)
		http.Error(w, "This page could not be drawn. The cause is in Berth's log.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// viewFunc makes a page's view from its address.
type viewFunc func(r *http.Request) (page.View, error)

type slotKey struct{}

// slot takes the view that a route of the views mux made.
type slot struct {
	found bool
	view  page.View
	err   error
}

func view(f viewFunc) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if out, ok := r.Context().Value(slotKey{}).(*slot); ok {
			out.found = true
			out.view, out.err = f(r)
		}
	})
}

// look makes the view that an address names.
func (s *Server) look(r *http.Request) (page.View, error) {
	var out slot
	s.views.ServeHTTP(nowhere{}, r.WithContext(context.WithValue(r.Context(), slotKey{}, &out)))
	if !out.found {
		return page.View{}, schema.Errorf(schema.NotFound, "There is no page %s.", r.URL.Path)
	}
	return out.view, out.err
}

// nowhere drops what the mux itself writes when it finds no route.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

// page serves any page: whole, or only its body for a script.
func (s *Server) page(w http.ResponseWriter, r *http.Request) error {
	topic := r.URL.RequestURI()
	f, err := s.frame(r)
	if err != nil {
		return err
	}
	f.Since = s.hub.Cursor(scoped(r.Context(), topic), scoped(r.Context(), shellTopic))
	v, err := s.look(r)
	if err != nil {
		return err
	}
	f.Topic = topic
	if fragment(r) && r.Header.Get("HX-Request-Type") != "full" && !strings.Contains(r.Header.Get("HX-Target"), "main") {
		s.write(w, r, http.StatusOK, v.Body)
		return nil
	}
	s.write(w, r, http.StatusOK, page.Document(f, v))
	return nil
}

// frame reads what surrounds every page.
func (s *Server) frame(r *http.Request) (page.Frame, error) {
	f := page.Frame{Theme: themeOf(r), User: actor(r.Context()), Instance: s.Instance, Version: s.Version, Path: r.URL.RequestURI()}
	if f.User.Name == "" {
		return f, nil
	}
	var err error
	f.Shell, err = s.shell(r.Context())
	return f, err
}

// redirect answers a form: the browser goes on to a page.
func redirect(w http.ResponseWriter, r *http.Request, to string) error {
	if fragment(r) {
		w.Header().Set("HX-Redirect", to)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// local returns a path of this site, or "/" for anything else.
func local(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
		return "/"
	}
	return to
}
