package core

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"berth/core/api"
	"berth/schema"
)

// secrets answers what a begun command needs: only the variables that its own
// texts name, and those these name; only to the agent that has begun it.
func (c *core) secrets(ctx context.Context, agent string, req schema.SecretsReq) (schema.SecretsResp, error) {
	cmd, err := c.engine.Command(ctx, agent, req.Command)
	if err != nil {
		return schema.SecretsResp{}, err
	}
	resp := schema.SecretsResp{Variables: map[string]schema.VariableValue{}}
	for _, name := range req.Variables {
		if err := c.reveal(ctx, name, cmd.Args, resp.Variables); err != nil {
			return schema.SecretsResp{}, err
		}
	}
	resp.Git = tokens(c.logins(api.GitAccounts), req.Git, cmd.Args, "git_provider", "git_account", "provider", "account")
	resp.Registry = tokens(c.logins(api.RegistryAccounts), req.Registry, cmd.Args, "registry_provider", "registry_account")
	return resp, nil
}

// reveal adds a variable the command names, and the secrets its value names.
func (c *core) reveal(ctx context.Context, name string, args json.RawMessage, into map[string]schema.VariableValue) error {
	if _, done := into[name]; done || !named(string(args), name) {
		return nil
	}
	v, err := c.kinds.variables.Get(ctx, name)
	if schema.CodeOf(err) == schema.NotFound {
		return nil // unknown names stay as they stand in the text
	}
	if err != nil {
		return err
	}
	into[v.Name] = schema.VariableValue{Value: v.Config.Value, Secret: v.Config.IsSecret}
	if v.Config.IsSecret {
		return nil
	}
	inner, err := schema.Placeholders(v.Config.Value)
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "value of variable %s", name)
	}
	for _, n := range inner {
		if err := c.reveal(ctx, n, json.RawMessage(v.Config.Value), into); err != nil {
			return err
		}
	}
	return nil
}

// named reports whether a command's arguments name the variable: as [[NAME]], or
// as the holder of its deploy key.
func named(args, name string) bool {
	return strings.Contains(args, "[["+name+"]]") || names(json.RawMessage(args), "ssh_key", name) || names(json.RawMessage(args), "git_ssh_key", name)
}

// tokens returns the accounts that are wanted and that the command names, in
// fields of these names: each provider's followed by its account's.
func tokens(have []Account, want []schema.AccountRef, args json.RawMessage, fields ...string) []schema.AccountToken {
	var out []schema.AccountToken
	for _, ref := range want {
		if !slices.ContainsFunc(slices.Collect(slices.Chunk(fields, 2)), func(f []string) bool {
			return names(args, f[0], ref.Provider) && names(args, f[1], ref.Account)
		}) {
			continue
		}
		i := slices.IndexFunc(have, func(a Account) bool { return a.Provider == ref.Provider && a.Username == ref.Account })
		if i >= 0 {
			out = append(out, schema.AccountToken{AccountRef: ref, Token: have[i].Token, HTTP: have[i].HTTP})
		}
	}
	return out
}

// names reports whether a field of that name has the value, at any depth.
func names(args json.RawMessage, field, value string) bool {
	quoted, err := json.Marshal(value)
	return err == nil && strings.Contains(string(args), `"`+field+`":`+string(quoted))
}
