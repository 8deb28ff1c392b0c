package api

import (
	"context"
	"encoding/json"

	"berth/core/access"
	"berth/schema"
)

// Call makes a request within core as a client would post it: by the same row,
// with the same checks of parameters and of what the caller may do. group is read,
// write, execute, auth/manage, or user, whose one request is GetUser. Errors are
// those of the request.
func (a *API) Call(ctx context.Context, who access.Caller, group, request string, params json.RawMessage) (json.RawMessage, error) {
	ctx = access.WithCaller(ctx, who)
	if group == "user" {
		return json.Marshal(userOf(access.User{ID: who.UserID, Username: who.Username, Enabled: true, Admin: who.Admin}))
	}
	found, err := a.table.find(Group(group), request)
	if err != nil {
		return nil, err
	}
	if found.Group == GroupLogin {
		return nil, schema.Errorf(schema.Denied, "%s is for those who are not signed in yet", request)
	}
	v, err := a.call(ctx, found, params)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
