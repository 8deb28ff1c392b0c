package ui

import (
	"net/http"

	"berth/schema"
	"berth/ui/page"
)

// profile shows somebody his own user.
func (s *Server) profile(w http.ResponseWriter, r *http.Request) error {
	return s.showProfile(w, r, http.StatusOK, page.ProfileView{})
}

func (s *Server) showProfile(w http.ResponseWriter, r *http.Request, status int, v page.ProfileView) error {
	session, err := r.Cookie(sessionCookie)
	if err != nil {
		return schema.Wrap(schema.Unauthenticated, err, "Sign in first.")
	}
	if v.Profile, err = s.Account.Profile(r.Context(), session.Value); err != nil {
		return err
	}
	f, err := s.frame(r)
	if err != nil {
		return err
	}
	s.write(w, r, status, page.Document(f, page.ProfilePage(v)))
	return nil
}

// changeProfile changes something about how somebody signs in.
func (s *Server) changeProfile(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	session, err := r.Cookie(sessionCookie)
	if err != nil {
		return schema.Wrap(schema.Unauthenticated, err, "Sign in first.")
	}
	var v page.ProfileView
	what, value := r.PathValue("what"), r.PostForm.Get("value")
	switch what {
	case "totp":
		v.URI, v.PNG, err = s.Account.BeginTOTP(r.Context(), session.Value)
	case "confirm-totp":
		v.Codes, err = s.Account.ConfirmTOTP(r.Context(), session.Value, value)
	case "passkey":
		v.Passkey, err = s.Account.BeginPasskey(r.Context(), session.Value)
	default:
		if what == "confirm-passkey" {
			value = r.PostForm.Get("passkey")
		}
		var pending string
		pending, err = s.Account.Change(r.Context(), session.Value, what, value)
		if pending != "" {
			setStep(w, r, pending)
			v.Leave = named(s.Door.Ways().Providers, value)
		}
		v.Done = "Done."
		if v.Leave.Word != "" {
			v.Done = ""
		}
	}
	if err != nil {
		if !usersFault(err) {
			return err
		}
		return s.showProfile(w, r, schema.CodeOf(err).HTTPStatus(), page.ProfileView{Error: schema.SafeText(err)})
	}
	return s.showProfile(w, r, http.StatusOK, v)
}

func named(list []page.Provider, word string) page.Provider {
	for _, p := range list {
		if p.Word == word {
			return p
		}
	}
	return page.Provider{}
}
