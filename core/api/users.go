package api

import (
	"context"
	"maps"
	"slices"

	"berth/core/access"
)

// userRows are about users, for administrators; each about oneself is for anybody.
func (a *API) userRows() []Row {
	who := map[string]any{"user": "ada"}
	return []Row{
		Read(spec{name: "ListUsers", doc: "List the users.", needs: access.IsAdmin, example: map[string]any{"service_users": "Exclude"}}, a.listUsers),
		Read(spec{name: "FindUser", doc: "Show a user.", needs: access.IsAdmin, example: who}, func(_ context.Context, p oneUser) (user, error) {
			u, err := a.deps.Gate.FindUser(p.User)
			return userOf(u), err
		}),
		Write(spec{name: "CreateLocalUser", doc: "Make a user with a password.", needs: access.IsAdmin, example: map[string]any{"username": "ada", "password": "correct horse battery"}},
			func(ctx context.Context, p newUser) (user, error) {
				u, err := a.deps.Gate.CreateUser(ctx, p.Username, p.Password)
				return userOf(u), err
			}),
		Write(spec{name: "CreateServiceUser", doc: "Make a user who has API keys and never signs in.", needs: access.IsAdmin, example: map[string]any{"username": "ci", "description": "Builds."}},
			func(ctx context.Context, p serviceUser) (user, error) {
				u, err := a.deps.Gate.CreateServiceUser(ctx, p.Username, p.Description)
				return userOf(u), err
			}),
		Write(spec{name: "UpdateServiceUserDescription", doc: "Say what a service user is for.", needs: access.IsAdmin, example: map[string]any{"username": "ci", "description": "Builds."}},
			func(ctx context.Context, p serviceUser) (user, error) {
				u, err := a.deps.Gate.DescribeServiceUser(ctx, p.Username, p.Description)
				return userOf(u), err
			}),
		Write(spec{name: "DeleteUser", doc: "Delete a user with his keys, sessions and permissions.", needs: access.IsAdmin, example: who},
			func(ctx context.Context, p oneUser) (user, error) {
				u, err := a.deps.Gate.DeleteUser(ctx, p.User)
				return userOf(u), err
			}),
		Write(spec{name: "UpdateUserAdmin", doc: "Make a user an administrator, or not; for super administrators.", needs: access.IsAdmin, example: map[string]any{"user_id": "ada", "admin": true}},
			func(ctx context.Context, p userAdmin) (None, error) {
				return None{}, a.deps.Gate.SetAdmin(ctx, p.UserID, p.Admin)
			}),
		Write(spec{name: "UpdateUserBasePermissions", doc: "Enable a user, and let him create servers and builds.", needs: access.IsAdmin, example: map[string]any{"user_id": "ada", "enabled": true}},
			func(ctx context.Context, p userBase) (None, error) {
				return None{}, a.deps.Gate.SetBase(ctx, p.UserID, access.BaseRights{Enabled: p.Enabled, CreateServers: p.CreateServers, CreateBuilds: p.CreateBuilds})
			}),
		Write(spec{name: "PushRecentlyViewed", doc: "Remember that one looked at a resource.", needs: access.AnyUser, example: map[string]any{"resource": map[string]any{"type": "Stack", "id": "my-stack"}}}, a.viewed),
		Write(spec{name: "SetLastSeenUpdate", doc: "Remember that one looked at the updates just now.", needs: access.AnyUser, example: map[string]any{}},
			func(ctx context.Context, _ None) (None, error) { return None{}, a.deps.Gate.SawUpdates(ctx) }),
		Read(spec{name: "ListApiKeysForServiceUser", doc: "List the API keys of a service user.", needs: access.IsAdmin, example: map[string]any{"user": "ci"}},
			func(_ context.Context, p oneUser) ([]apiKey, error) {
				u, err := a.deps.Gate.ServiceUser(p.User)
				if err != nil {
					return nil, err
				}
				return keysOf(a.deps.Gate.Keys(u.ID)), nil
			}),
		Write(spec{name: "CreateApiKeyForServiceUser", doc: "Make an API key of a service user; the secret is shown this once.", needs: access.IsAdmin, example: map[string]any{"user_id": "ci", "name": "builds"}},
			func(ctx context.Context, p serviceKey) (newKeyAnswer, error) {
				u, err := a.deps.Gate.ServiceUser(p.UserID)
				if err != nil {
					return newKeyAnswer{}, err
				}
				k, s, err := a.deps.Gate.NewKey(ctx, u.ID, p.Name, p.Expires, p.Scopes...)
				return newKeyAnswer{k, s}, err
			}),
		Write(spec{name: "DeleteApiKeyForServiceUser", doc: "Delete an API key of a service user.", needs: access.IsAdmin, example: map[string]any{"key": "K_…_K"}}, a.deleteServiceKey),
	}
}

type oneUser struct {
	User string `json:"user" doc:"Username or id."`
}

type newUser struct {
	Username string `json:"username" doc:"Username."`
	Password string `json:"password" doc:"Password."`
}

type serviceUser struct {
	Username    string `json:"username" doc:"Username."`
	Description string `json:"description" doc:"What it is for."`
}

type userAdmin struct {
	UserID string `json:"user_id" doc:"Id or username."`
	Admin  bool   `json:"admin" doc:"Whether he is one."`
}

type userBase struct {
	UserID        string `json:"user_id" doc:"Id or username."`
	Enabled       *bool  `json:"enabled,omitempty" doc:"Whether he is let in; stays when absent."`
	CreateServers *bool  `json:"create_servers,omitempty" doc:"Whether he may create servers; stays when absent."`
	CreateBuilds  *bool  `json:"create_builds,omitempty" doc:"Whether he may create builds; stays when absent."`
}

type userQuery struct {
	ServiceUsers string `json:"service_users,omitempty" doc:"Include (default), Exclude or Only."`
}

type serviceKey struct {
	UserID  string   `json:"user_id" doc:"Id or username of the service user."`
	Name    string   `json:"name" doc:"What it is for."`
	Expires int64    `json:"expires,omitempty" doc:"Unix milliseconds; 0 or absent is never."`
	Scopes  []string `json:"scopes,omitempty" doc:"What it is limited to: Read, Execute or Write, or one of them for a type as in Stack:Execute."`
}

type viewedParams struct {
	Resource target `json:"resource" doc:"The resource."`
}

func (a *API) listUsers(_ context.Context, p userQuery) ([]user, error) {
	out := []user{}
	for _, u := range a.deps.Gate.Users() {
		service := u.Kind == access.ServiceUser
		if p.ServiceUsers == "Exclude" && service || p.ServiceUsers == "Only" && !service {
			continue
		}
		out = append(out, userOf(u))
	}
	return out, nil
}

func (a *API) viewed(ctx context.Context, p viewedParams) (None, error) {
	k, err := a.kindOf(p.Resource.Type)
	if err != nil {
		return None{}, err
	}
	t, err := a.permitted(ctx, k, p.Resource.ID, access.CanRead)
	if err != nil {
		return None{}, err
	}
	return None{}, a.deps.Gate.Viewed(ctx, typeName(k.Name()), t.ID)
}

func (a *API) deleteServiceKey(ctx context.Context, p struct {
	Key string `json:"key" doc:"The key (K_…_K)."`
},
) (None, error) {
	k, err := a.deps.Gate.KeyOf(p.Key)
	if err != nil {
		return None{}, err
	}
	if _, err := a.deps.Gate.ServiceUser(k.User); err != nil {
		return None{}, err
	}
	return None{}, a.deps.Gate.DeleteKey(ctx, k.User, p.Key)
}

func keysOf(list []access.Key) []apiKey {
	out := []apiKey{}
	for _, k := range list {
		scopes := slices.Clone(k.Scopes)
		if scopes == nil {
			scopes = []string{}
		}
		out = append(out, apiKey{Key: k.Key, UserID: k.User, Name: k.Name, Created: k.Created, Expires: k.Expires, Used: k.Used, Scopes: scopes})
	}
	return out
}

// userOf is a user without anything secret.
func userOf(u access.User) user {
	out := user{
		ID: oid{u.ID}, Username: u.Username, Enabled: u.Enabled, SuperAdmin: u.IsSuper(), Admin: u.Admin,
		CreateServers: u.CreateServers, CreateBuilds: u.CreateBuilds, Config: loginOf(u, u.Kind),
		Linked: map[string]userConfig{}, TOTP: userTOTP{Codes: []string{}}, Skip2FA: u.Skip2FA, LastView: u.LastView,
		Recents: map[string][]string{}, All: map[string]any{}, Updated: max(u.Updated, u.Created),
	}
	for kind := range u.Logins {
		if kind != u.Kind {
			out.Linked[string(kind)] = loginOf(u, kind)
		}
	}
	if u.Hash != "" && u.Kind != access.LocalUser && u.Kind != "" {
		out.Linked[string(access.LocalUser)] = loginOf(u, access.LocalUser)
	}
	if u.TOTP != nil {
		out.TOTP.Confirmed = u.TOTP.Confirmed
	}
	if u.Passkey != nil {
		out.Passkey.Created = u.Passkey.Created
	}
	maps.Copy(out.Recents, u.Recents)
	for t, l := range u.All {
		out.All[t] = levelWire(l)
	}
	return out
}

// loginOf is one way in which a user signs in.
func loginOf(u access.User, kind access.UserKind) userConfig {
	x := u.Logins[kind]
	switch kind {
	case access.GoogleUser:
		return userConfig{string(kind), map[string]string{"google_id": x.ID, "avatar": x.Avatar}}
	case access.GithubUser:
		return userConfig{string(kind), map[string]string{"github_id": x.ID, "avatar": x.Avatar}}
	case access.OIDCUser:
		return userConfig{string(kind), map[string]string{"provider": x.Provider, "user_id": x.ID}}
	case access.ServiceUser:
		return userConfig{string(kind), map[string]string{"description": u.Description}}
	case access.LocalUser:
	}
	password := ""
	if u.Hash != "" {
		password = "########"
	}
	return userConfig{string(access.LocalUser), map[string]string{"password": password}}
}
