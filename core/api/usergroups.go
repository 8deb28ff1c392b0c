package api

import (
	"context"
	"encoding/json"
	"slices"

	"berth/core/access"
	"berth/core/resource"
	"berth/schema"
)

type oneGroup struct {
	Group string `json:"user_group" alias:"id,name" doc:"Name or id."`
}

type groupName struct {
	Name string `json:"name" doc:"Its name."`
}

type groupRename struct {
	ID   string `json:"id" doc:"Name or id."`
	Name string `json:"name" doc:"The new name."`
}

type groupID struct {
	ID string `json:"id" doc:"Name or id."`
}

type groupMember struct {
	Group string `json:"user_group" doc:"Name or id of the group."`
	User  string `json:"user" doc:"Username or id."`
}

type groupMembers struct {
	Group string         `json:"user_group" doc:"Name or id of the group."`
	Users schema.StrList `json:"users" doc:"Usernames or ids."`
}

type groupEveryone struct {
	Group    string `json:"user_group" doc:"Name or id of the group."`
	Everyone bool   `json:"everyone" doc:"Whether every user is in it."`
}

// groupRows are the requests about user groups in the shapes that clients know;
// UpdateUserGroup, which sets everything of a group, is ours.
func (a *API) groupRows() []Row {
	member := map[string]any{"user_group": "ops", "user": "ada"}
	return []Row{
		Read(spec{name: "GetUserGroup", doc: "Show a user group: for administrators, and those who are in it.", needs: access.AnyUser, example: map[string]any{"user_group": "ops"}}, a.getGroup),
		Read(spec{name: "ListUserGroups", doc: "List the user groups; who is no administrator sees his own.", needs: access.AnyUser, example: map[string]any{}}, a.listGroups),
		Write(spec{name: "CreateUserGroup", doc: "Make a user group.", needs: access.IsAdmin, example: map[string]any{"name": "ops"}},
			func(ctx context.Context, p groupName) (userGroup, error) {
				return a.changeGroup(ctx, "Create", "", func(k resource.Any) (json.RawMessage, error) { return k.Create(ctx, p.Name, nil) })
			}),
		Write(spec{name: "RenameUserGroup", doc: "Give a user group another name.", needs: access.IsAdmin, example: map[string]any{"id": "ops", "name": "operators"}},
			func(ctx context.Context, p groupRename) (userGroup, error) {
				return a.changeGroup(ctx, "Rename", p.ID, func(k resource.Any) (json.RawMessage, error) { return k.Rename(ctx, p.ID, p.Name) })
			}),
		Write(spec{name: "DeleteUserGroup", doc: "Delete a user group.", needs: access.IsAdmin, example: map[string]any{"id": "ops"}}, a.deleteGroup),
		Write(spec{name: "AddUserToUserGroup", doc: "Put a user into a group.", needs: access.IsAdmin, example: member},
			func(ctx context.Context, p groupMember) (userGroup, error) {
				return a.members(ctx, p.Group, []string{p.User}, func(have, given []string) []string { return append(have, given...) })
			}),
		Write(spec{name: "RemoveUserFromUserGroup", doc: "Take a user out of a group.", needs: access.IsAdmin, example: member},
			func(ctx context.Context, p groupMember) (userGroup, error) {
				return a.members(ctx, p.Group, []string{p.User}, func(have, given []string) []string {
					return slices.DeleteFunc(have, func(n string) bool { return slices.Contains(given, n) })
				})
			}),
		Write(spec{name: "SetUsersInUserGroup", doc: "Say who is in a group.", needs: access.IsAdmin, example: map[string]any{"user_group": "ops", "users": []string{"ada"}}},
			func(ctx context.Context, p groupMembers) (userGroup, error) {
				return a.members(ctx, p.Group, p.Users, func(_, given []string) []string { return given })
			}),
		Write(spec{name: "SetEveryoneUserGroup", doc: "Put every user into a group, or only those it names.", needs: access.IsAdmin, example: map[string]any{"user_group": "ops", "everyone": true}},
			func(ctx context.Context, p groupEveryone) (userGroup, error) {
				return a.saveGroup(ctx, p.Group, map[string]any{"everyone": p.Everyone})
			}),
	}
}

func (a *API) getGroup(ctx context.Context, p oneGroup) (userGroup, error) {
	r, err := a.group(ctx, userTarget{"UserGroup", p.Group})
	if err != nil {
		return userGroup{}, err
	}
	if !a.in(ctx, r) {
		return userGroup{}, schema.Errorf(schema.Denied, "only administrators see groups that they are not in")
	}
	return a.groupOf(r), nil
}

// in reports whether the caller may see a group: he is in it, or an administrator.
func (a *API) in(ctx context.Context, r groupResource) bool {
	if c, ok := access.CallerOf(ctx); ok && c.Admin {
		return true
	}
	u, err := a.deps.Gate.Self(ctx)
	return err == nil && (access.Group{UserGroupConfig: r.Config}).Has(u)
}

func (a *API) listGroups(ctx context.Context, _ None) ([]userGroup, error) {
	k, err := a.groupKind()
	if err != nil {
		return nil, err
	}
	list, err := k.List(ctx)
	out := []userGroup{}
	for _, raw := range list {
		var r groupResource
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, err
		}
		if a.in(ctx, r) {
			out = append(out, a.groupOf(r))
		}
	}
	return out, err
}

func (a *API) deleteGroup(ctx context.Context, p groupID) (userGroup, error) {
	r, err := a.group(ctx, userTarget{"UserGroup", p.ID})
	if err != nil {
		return userGroup{}, err
	}
	k, err := a.groupKind()
	if err != nil {
		return userGroup{}, err
	}
	was := a.groupOf(r)
	_, _, err = a.edited(ctx, "Delete", k, r.ID, func() (json.RawMessage, error) { return nil, k.Delete(ctx, r.ID) })
	return was, err
}

// members changes who is in a group, by username, as files have it. What is given
// are usernames or ids of users that there are.
func (a *API) members(ctx context.Context, group string, given []string, change func(have, given []string) []string) (userGroup, error) {
	r, err := a.group(ctx, userTarget{"UserGroup", group})
	if err != nil {
		return userGroup{}, err
	}
	names := []string{}
	for _, key := range given {
		u, err := a.deps.Gate.FindUser(key)
		if err != nil {
			return userGroup{}, err
		}
		names = append(names, u.Username)
	}
	return a.saveGroup(ctx, r.ID, map[string]any{"users": change(slices.Clone(r.Config.Users), names)})
}
