package api

import (
	"context"
	"encoding/json"
	"slices"

	"berth/core/access"
	"berth/core/resource"
	"berth/schema"
)

// userTarget is a user or a group: {"type": "User", "id": …}.
type userTarget struct {
	Type string `json:"type"` // User, UserGroup
	ID   string `json:"id"`
}

// permission is what a user or a group may do with a resource.
type permission struct {
	ID       oid        `json:"_id"`
	User     userTarget `json:"user_target"`
	Resource target     `json:"resource_target"`
	Level    string     `json:"level"`
	Specific []string   `json:"specific"`
}

func permissionOf(who userTarget, t schema.Target, l schema.Level) permission {
	l = access.RightsOf(l).Level()
	return permission{oid{schema.DeriveID("permission", who.Type+"/"+who.ID+"/"+t.Kind+"/"+t.ID)}, who, wireTarget(t), l.Level, l.Specific}
}

func (a *API) permissionRows() []Row {
	ada, web := map[string]any{"type": "User", "id": "ada"}, map[string]any{"type": "Stack", "id": "my-stack"}
	return []Row{
		Read(spec{name: "ListPermissions", doc: "List what one was given explicitly.", needs: access.AnyUser, example: map[string]any{}},
			func(ctx context.Context, _ None) ([]permission, error) {
				u, err := a.deps.Gate.Self(ctx)
				if err != nil {
					return []permission{}, nil //nolint:nilerr // an operator or a script: nothing is given to it
				}
				return a.granted(u), nil
			}),
		Read(spec{name: "GetPermission", doc: "Say what one may do with a resource.", needs: access.AnyUser, example: map[string]any{"target": web}}, a.getPermission),
		Read(spec{name: "ListUserTargetPermissions", doc: "List what a user or a group was given explicitly.", needs: access.IsAdmin, example: map[string]any{"user_target": ada}}, a.listPermissions),
		Write(spec{
			name: "UpdatePermissionOnTarget", doc: "Say what a user or a group may do with a resource.", needs: access.IsAdmin,
			example: map[string]any{"user_target": ada, "resource_target": web, "permission": map[string]any{"level": "Execute", "specific": []string{"Logs"}}},
		}, a.setPermission),
		Write(spec{
			name: "UpdatePermissionOnResourceType", doc: "Say what a user or a group may do with every resource of a type.", needs: access.IsAdmin,
			example: map[string]any{"user_target": ada, "resource_type": "Stack", "permission": map[string]any{"level": "Read"}},
		}, a.setAll),
	}
}

func (a *API) granted(u access.User) []permission {
	out := []permission{}
	for _, g := range a.deps.Gate.Grants(u.ID) {
		out = append(out, permissionOf(userTarget{"User", u.ID}, schema.Target{Kind: g.Kind, ID: g.Resource}, g.Level))
	}
	return out
}

type getPermission struct {
	Target target `json:"target" doc:"The resource."`
}

func (a *API) getPermission(ctx context.Context, p getPermission) (any, error) {
	c, _ := access.CallerOf(ctx)
	if p.Target.Type == "System" {
		return levelWire(c.Rights("system", "system").Level()), nil
	}
	k, err := a.kindOf(p.Target.Type)
	if err != nil {
		return nil, err
	}
	t, err := k.Find(p.Target.ID)
	if err != nil && !c.Admin {
		return "None", nil // what one may not know of is what there is not
	}
	return levelWire(c.Rights(k.Name(), t.ID).Level()), err
}

type listPermissions struct {
	User userTarget `json:"user_target" doc:"The user or the group, by name or id."`
}

func (a *API) listPermissions(ctx context.Context, p listPermissions) ([]permission, error) {
	if p.User.Type == "User" {
		u, err := a.deps.Gate.FindUser(p.User.ID)
		return a.granted(u), err
	}
	g, err := a.group(ctx, p.User)
	if err != nil {
		return nil, err
	}
	out := []permission{}
	for _, x := range g.Config.Permissions { // by name or pattern: what it is about now
		about := access.Matches(x)
		k, err := a.kindOf(x.Target.Type)
		if err != nil {
			continue
		}
		all, err := k.Match("*", nil)
		if err != nil {
			return nil, err
		}
		for _, t := range all {
			if thing, ok := a.deps.Kinds.Thing(t.Kind, t.ID); ok && about(thing) {
				out = append(out, permissionOf(userTarget{"UserGroup", g.ID}, t, schema.Level{Level: x.Level, Specific: x.Specific}))
			}
		}
	}
	return out, nil
}

type setPermission struct {
	User       userTarget   `json:"user_target" doc:"The user or the group, by name or id."`
	Resource   target       `json:"resource_target" doc:"The resource, by name or id."`
	Permission schema.Level `json:"permission" doc:"A level, or {level, specific}."`
}

func (a *API) setPermission(ctx context.Context, p setPermission) (None, error) {
	k, err := a.kindOf(p.Resource.Type)
	if err != nil {
		return None{}, err
	}
	t, err := k.Find(p.Resource.ID)
	if err != nil {
		return None{}, err
	}
	if schema.TypeOf(t.Kind) == "" {
		return None{}, schema.Errorf(schema.Invalid, "there are no permissions on a %s", t.Kind)
	}
	if p.User.Type == "User" {
		u, err := a.deps.Gate.Grantable(p.User.ID)
		if err != nil {
			return None{}, err
		}
		return None{}, a.deps.Gate.SetGrant(ctx, access.Grant{User: u.ID, Kind: t.Kind, Resource: t.ID, Level: access.RightsOf(p.Permission).Level()})
	}
	g, err := a.group(ctx, p.User)
	if err != nil {
		return None{}, err
	}
	is := schema.TypeOf(t.Kind)
	list := slices.DeleteFunc(slices.Clone(g.Config.Permissions), func(x schema.GroupPermission) bool {
		return x.Target.Type == is && (x.Target.ID == t.ID || x.Target.ID == t.Name)
	})
	l := access.RightsOf(p.Permission).Level()
	list = append(list, schema.GroupPermission{Target: schema.PatternTarget{Type: is, ID: t.ID}, Level: l.Level, Specific: l.Specific})
	_, err = a.saveGroup(ctx, g.ID, map[string]any{"permissions": list})
	return None{}, err
}

type setAll struct {
	User       userTarget   `json:"user_target" doc:"The user or the group, by name or id."`
	Type       string       `json:"resource_type" doc:"Type of the resources: Stack."`
	Permission schema.Level `json:"permission" doc:"A level, or {level, specific}."`
}

func (a *API) setAll(ctx context.Context, p setAll) (None, error) {
	if schema.KindOf(p.Type) == "" {
		return None{}, schema.Errorf(schema.Invalid, "there is no type of resource %q", cut(p.Type, 60))
	}
	l := access.RightsOf(p.Permission).Level()
	if p.User.Type == "User" {
		u, err := a.deps.Gate.Grantable(p.User.ID)
		if err != nil {
			return None{}, err
		}
		return None{}, a.deps.Gate.SetAll(ctx, u.ID, p.Type, l)
	}
	g, err := a.group(ctx, p.User)
	if err != nil {
		return None{}, err
	}
	all := map[string]any{}
	for t, have := range g.Config.All {
		all[t] = have
	}
	all[p.Type] = l
	_, err = a.saveGroup(ctx, g.ID, map[string]any{"all": all})
	return None{}, err
}

// userGroup is a group as clients read it.
type userGroup struct {
	ID       oid            `json:"_id"`
	Name     string         `json:"name"`
	Everyone bool           `json:"everyone"`
	Users    []string       `json:"users"` // ids
	All      map[string]any `json:"all"`
	Updated  int64          `json:"updated_at"`
}

type groupResource = schema.Resource[schema.UserGroupConfig]

func (a *API) groupOf(r groupResource) userGroup {
	out := userGroup{ID: oid{r.ID}, Name: r.Name, Everyone: r.Config.Everyone, Users: []string{}, All: map[string]any{}, Updated: r.Updated}
	for _, name := range r.Config.Users {
		if u, err := a.deps.Gate.FindUser(name); err == nil {
			name = u.ID
		}
		out.Users = append(out.Users, name)
	}
	for t, l := range r.Config.All {
		out.All[t] = levelWire(l)
	}
	return out
}

func (a *API) groupKind() (resource.Any, error) { return a.deps.Kinds.Kind("user_group") }

// group finds a group by name or id.
func (a *API) group(ctx context.Context, t userTarget) (groupResource, error) {
	if t.Type != "UserGroup" {
		return groupResource{}, schema.Errorf(schema.Invalid, "type %q: it is User or UserGroup", cut(t.Type, 60))
	}
	k, err := a.groupKind()
	if err != nil {
		return groupResource{}, err
	}
	raw, err := k.Show(ctx, t.ID)
	if err != nil {
		return groupResource{}, err
	}
	var r groupResource
	return r, json.Unmarshal(raw, &r)
}

// saveGroup changes settings of a group.
func (a *API) saveGroup(ctx context.Context, key string, settings map[string]any) (userGroup, error) {
	patch, err := json.Marshal(settings)
	if err != nil {
		return userGroup{}, err
	}
	return a.changeGroup(ctx, "Update", key, func(k resource.Any) (json.RawMessage, error) { return k.Update(ctx, key, patch) })
}

// changeGroup makes a recorded change of a group.
func (a *API) changeGroup(ctx context.Context, verb, key string, do func(k resource.Any) (json.RawMessage, error)) (userGroup, error) {
	k, err := a.groupKind()
	if err != nil {
		return userGroup{}, err
	}
	raw, _, err := a.edited(ctx, verb, k, key, func() (json.RawMessage, error) { return do(k) })
	if err != nil {
		return userGroup{}, err
	}
	var r groupResource
	err = json.Unmarshal(raw, &r)
	return a.groupOf(r), err
}
