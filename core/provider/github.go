package provider

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/oauth2"

	"berth/schema"
)

// GitHubConfig is how core is known to GitHub.
type GitHubConfig struct {
	ClientID, ClientSecret string
	URL                    string       // https://github.com when empty; else a GitHub Enterprise Server
	API                    string       // its API; empty is GitHub's, or URL's /api/v3
	HTTP                   *http.Client // nil is the usual one
}

// GitHub is github.com, or a GitHub Enterprise Server.
type GitHub struct{ cfg GitHubConfig }

// NewGitHub describes it; nothing is asked of it yet.
func NewGitHub(cfg GitHubConfig) *GitHub {
	cfg.URL, cfg.API = strings.TrimRight(cfg.URL, "/"), strings.TrimRight(cfg.API, "/")
	switch {
	case cfg.API != "":
	case cfg.URL == "", cfg.URL == "https://github.com":
		cfg.API = "https://api.github.com"
	default:
		cfg.API = cfg.URL + "/api/v3"
	}
	if cfg.URL == "" {
		cfg.URL = "https://github.com"
	}
	cfg.HTTP = client(cfg.HTTP)
	return &GitHub{cfg}
}

func (g *GitHub) oauth(callback string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: g.cfg.ClientID, ClientSecret: g.cfg.ClientSecret, RedirectURL: callback, Scopes: []string{"read:user"},
		Endpoint: oauth2.Endpoint{AuthURL: g.cfg.URL + "/login/oauth/authorize", TokenURL: g.cfg.URL + "/login/oauth/access_token", AuthStyle: oauth2.AuthStyleInParams},
	}
}

// Start returns the address to which a browser goes to sign in.
func (g *GitHub) Start(_ context.Context, t Trip) (string, error) {
	return g.oauth(t.Callback).AuthCodeURL(t.State, oauth2.S256ChallengeOption(t.Verifier)), nil
}

// Finish returns who came back with the code.
func (g *GitHub) Finish(ctx context.Context, code string, t Trip) (Identity, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, g.cfg.HTTP)
	c := g.oauth(t.Callback)
	token, err := c.Exchange(ctx, code, oauth2.VerifierOption(t.Verifier))
	if err != nil {
		return Identity{}, refused("GitHub", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.cfg.API+"/user", nil)
	if err != nil {
		return Identity{}, schema.Wrap(schema.Internal, err, "address of GitHub")
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	res, err := c.Client(ctx, token).Do(req)
	if err != nil {
		return Identity{}, schema.Wrap(schema.Unavailable, err, "GitHub cannot be asked: %v", err)
	}
	defer func() { _ = res.Body.Close() }()
	var u struct {
		ID     int64  `json:"id"`
		Login  string `json:"login"`
		Avatar string `json:"avatar_url"`
	}
	if res.StatusCode != http.StatusOK {
		return Identity{}, schema.Errorf(schema.Unavailable, "GitHub does not say who you are: %s", res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&u); err != nil || u.ID == 0 || u.Login == "" {
		return Identity{}, schema.Wrap(schema.Unauthenticated, err, "GitHub does not say who you are")
	}
	return Identity{ID: strconv.FormatInt(u.ID, 10), Avatar: u.Avatar, Names: []string{u.Login}}, nil
}
