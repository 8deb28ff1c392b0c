package api

import (
	"context"
	"net/http"
	"strings"

	"berth/core/access"
	"berth/schema"
)

// user is the caller as clients read him, without anything secret.
type user struct {
	ID            oid                   `json:"_id"`
	Username      string                `json:"username"`
	Enabled       bool                  `json:"enabled"`
	SuperAdmin    bool                  `json:"super_admin"`
	Admin         bool                  `json:"admin"`
	CreateServers bool                  `json:"create_server_permissions"`
	CreateBuilds  bool                  `json:"create_build_permissions"`
	Config        userConfig            `json:"config"`
	Linked        map[string]userConfig `json:"linked_logins"`
	TOTP          userTOTP              `json:"totp"`
	Passkey       userPasskey           `json:"passkey"`
	Skip2FA       bool                  `json:"external_skip_2fa"`
	LastView      int64                 `json:"last_update_view"`
	Recents       map[string][]string   `json:"recents"`
	All           map[string]any        `json:"all"`
	Updated       int64                 `json:"updated_at"`
}

type userConfig struct {
	Type string            `json:"type"`
	Data map[string]string `json:"data"`
}

type userTOTP struct {
	Secret    string   `json:"secret"`
	Confirmed int64    `json:"confirmed_at"`
	Codes     []string `json:"recovery_codes"`
}

type userPasskey struct {
	Passkey *string `json:"passkey"`
	Created int64   `json:"created_at"`
}

func (a *API) user(w http.ResponseWriter, r *http.Request) {
	_, u, err := a.deps.Gate.Identify(r.Context(), r.Header, a.deps.Peers.Of(r))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.answer(w, r, userOf(u))
}

type newKey struct {
	Name    string   `json:"name" doc:"What it is for."`
	Expires int64    `json:"expires,omitempty" doc:"Unix milliseconds; 0 or absent is never."`
	Scopes  []string `json:"scopes,omitempty" doc:"What it is limited to: Read, Execute or Write, or one of them for a type as in Stack:Execute; all that one may when absent."`
}

type newKeyAnswer struct {
	Key    string `json:"key"`
	Secret string `json:"secret"` // shown this once
}

// apiKey is a key in a list; its secret is never shown again.
type apiKey struct {
	Key     string   `json:"key"`
	Secret  string   `json:"secret"`
	UserID  string   `json:"user_id"`
	Name    string   `json:"name"`
	Created int64    `json:"created_at"`
	Expires int64    `json:"expires"`
	Used    int64    `json:"last_used_at"` // ours: unix ms, 0 is never
	Scopes  []string `json:"scopes"`       // ours
}

func (a *API) accountRows() []Row {
	type key struct {
		Key string `json:"key" doc:"The key (K_…_K)."`
	}
	type id struct {
		ID string `json:"id"`
	}
	return []Row{
		Manage(spec{name: "GetUserId", doc: "Say who one is.", needs: access.AnyUser, example: map[string]any{}},
			func(ctx context.Context, _ None) (id, error) {
				c, _ := access.CallerOf(ctx)
				return id{c.UserID}, nil
			}),
		Manage(spec{name: "CreateApiKey", doc: "Make an API key with one's own rights; the secret is shown this once.", needs: access.AnyUser, example: map[string]any{"name": "ci"}},
			func(ctx context.Context, p newKey) (newKeyAnswer, error) {
				c, _ := access.CallerOf(ctx)
				k, s, err := a.deps.Gate.NewKey(ctx, c.UserID, p.Name, p.Expires, p.Scopes...)
				return newKeyAnswer{k, s}, err
			}),
		Manage(spec{name: "DeleteApiKey", doc: "Delete one of one's own API keys.", needs: access.AnyUser, example: map[string]any{"key": "K_…_K"}},
			func(ctx context.Context, p key) (None, error) {
				c, _ := access.CallerOf(ctx)
				return None{}, a.deps.Gate.DeleteKey(ctx, c.UserID, p.Key)
			}),
		Read(spec{name: "ListApiKeys", doc: "List one's own API keys.", needs: access.AnyUser, example: map[string]any{}}, a.listKeys),
		Read(spec{name: "GetUsername", doc: "Say which user has an id.", needs: access.AnyUser, example: map[string]any{"user_id": operatorWebhook}}, a.username),
	}
}

func (a *API) listKeys(ctx context.Context, _ None) ([]apiKey, error) {
	c, _ := access.CallerOf(ctx)
	return keysOf(a.deps.Gate.Keys(c.UserID)), nil
}

type userID struct {
	UserID string `json:"user_id" doc:"Id."`
}

type username struct {
	Username string  `json:"username"`
	Avatar   *string `json:"avatar"`
}

func (a *API) username(_ context.Context, p userID) (username, error) {
	for _, kind := range []string{"system", "procedure", "action", "webhook"} {
		if id, name := operatorOf(schema.Actor{Kind: kind}); id == p.UserID {
			return username{Username: name}, nil
		}
	}
	if name, isOperator := strings.CutPrefix(p.UserID, "op-"); isOperator {
		return username{Username: name}, nil
	}
	u, err := a.deps.Gate.User(p.UserID)
	return username{Username: u.Username}, err
}

type version struct {
	Version string `json:"version"`
}

type coreInfo struct {
	Title        string `json:"title"`
	Interval     string `json:"monitoring_interval"`
	WebhookBase  string `json:"webhook_base_url"`
	Transparent  bool   `json:"transparent_mode"`
	NoUIWrites   bool   `json:"ui_write_disabled"`
	NoCreate     bool   `json:"disable_non_admin_create"`
	NoConfirm    bool   `json:"disable_confirm_dialog"`
	NoReconnect  bool   `json:"disable_websocket_reconnect"`
	FancyTOML    bool   `json:"enable_fancy_toml"`
	Timezone     string `json:"timezone"`
	PublicKey    string `json:"public_key"`
	DefaultLimit int    `json:"default_pagination_limit"`
}

// request is a row as clients learn of it.
type request struct {
	Group   Group           `json:"group"`
	Name    string          `json:"name"`
	Aliases []string        `json:"aliases,omitempty"`
	Doc     string          `json:"doc"`
	Needs   access.Level    `json:"needs"`
	Also    access.Specific `json:"also,omitempty"`
	Kind    string          `json:"kind,omitempty"`
	Own     bool            `json:"own,omitempty"`
	Params  []Param         `json:"params"`
	Example map[string]any  `json:"example"`
}

func (a *API) systemRows() []Row {
	r := Read(spec{name: "ListRequests", own: true, doc: "List every request with its parameters.", needs: access.AnyUser, example: map[string]any{}},
		func(context.Context, None) ([]request, error) {
			out := []request{}
			for _, r := range a.table.rows {
				params := r.Params
				if params == nil {
					params = []Param{}
				}
				out = append(out, request{r.Group, r.Name, r.Aliases, r.Doc, r.Needs, r.Also, r.Kind, r.Own, params, r.Example})
			}
			return out, nil
		})
	return []Row{
		r,
		Read(spec{name: "GetVersion", doc: "Say which version this is.", needs: access.AnyUser, example: map[string]any{}},
			func(context.Context, None) (version, error) { return version{a.deps.Version}, nil }),
		Read(spec{name: "GetCoreInfo", doc: "Describe this installation.", needs: access.AnyUser, example: map[string]any{}},
			func(context.Context, None) (coreInfo, error) {
				return coreInfo{
					Title: a.deps.Title, Interval: "15-sec", WebhookBase: a.deps.URL, PublicKey: a.deps.PublicKey,
					Timezone: "", NoCreate: a.deps.NoCreate, Transparent: a.deps.Transparent, DefaultLimit: pageSize,
				}, nil
			}),
	}
}
