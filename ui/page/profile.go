package page

// ProfileView is what somebody sees of his own user.
type ProfileView struct {
	Profile
	Error, Done string
	URI, PNG    string   // of an authenticator that is being enrolled
	Codes       []string // recovery codes, shown this once
	Passkey     string   // what the browser needs to make a passkey, as JSON
	Leave       Provider // to which the browser goes on to link a login
}

// Profile is somebody's own user.
type Profile struct {
	Name      string
	Locked    bool // he cannot change how he signs in
	Password  bool // he has one
	TOTP      bool
	Recovery  int // recovery codes left
	Passkey   bool
	Linked    []Provider
	Linkable  []Provider
	Sessions  []ProfileSession
	OnlyLogin bool // there is one way in, which cannot be taken away
}

// ProfileSession is one of his sign-ins.
type ProfileSession struct {
	ID, Kind, How, From, Agent string
	Created                    int64 // unix ms
	Current                    bool
}

// ProfilePage is that page.
func ProfilePage(v ProfileView) View {
	return View{Title: "Profile", Key: "profile", Crumbs: []Crumb{{Label: "Profile"}}, Body: profile(v)}
}
