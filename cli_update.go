package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"berth/core/api"
	"berth/schema"
)

// updateCommand changes single settings.
func (p *program) updateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "update", Aliases: []string{"set"}, Short: "Change single settings of a resource, a variable or a user",
		Long: `Change single settings. What is declared in files is better changed there: the next
sync or "berth apply" brings the files' values back.`,
	}
	for _, k := range []struct{ kind, typ, alias string }{
		{"build", "Build", "bld"}, {"deployment", "Deployment", "dep"}, {"repo", "Repo", ""}, {"server", "Server", "srv"}, {"stack", "Stack", "stk"}, {"sync", "ResourceSync", ""},
	} {
		c.AddCommand(p.updateKind(k.kind, k.typ, k.alias))
	}
	c.AddCommand(p.updateVariable(), p.updateUser())
	return c
}

func (p *program) updateKind(kind, typ, alias string) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: kind + " NAME \"KEY=VALUE&KEY=VALUE\"", Short: "Change settings of a " + kind, Args: cobra.ExactArgs(2), ValidArgsFunction: p.names("List" + typ + "s"),
		Long: "Change settings of a " + kind + `: written as the query of an address, so that & in a value
is %26. Lists are given by naming the key several times, or as JSON.`,
		Example: "  berth update " + kind + " web \"branch=next&auto_update=true\" -y\n  berth update " + kind + " web 'links=[\"https://web.lan\"]'",
		RunE: func(c *cobra.Command, args []string) error {
			return p.updateResource(c.Context(), kind, typ, args[0], args[1], yes)
		},
	}
	if alias != "" {
		c.Aliases = []string{alias}
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func (p *program) updateResource(ctx context.Context, kind, typ, name, query string, yes bool) error {
	given, err := url.ParseQuery(query)
	if err != nil || len(given) == 0 {
		return schema.Errorf(schema.Invalid, "settings %q: write them as \"key=value&key=value\"", query)
	}
	var raw json.RawMessage
	if err := p.call(ctx, api.GroupRead, "Get"+typ, map[string]any{kind: name}, &raw); err != nil {
		return err
	}
	now, err := schema.ReadJSON(raw)
	if err != nil {
		return schema.Wrap(schema.Internal, err, "read the answer of Get%s", typ)
	}
	config, _ := now["config"].(map[string]any) // without, no key is known
	change := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		old, known := config[key]
		if !known {
			hint := ""
			if near := schema.Nearest(key, slices.Collect(maps.Keys(config))); near != "" {
				hint = ": did you mean " + near + "?"
			}
			return schema.Errorf(schema.Invalid, "a %s has no setting %q%s", kind, key, hint)
		}
		if change[key], err = settingOf(key, given[key], old); err != nil {
			return err
		}
	}
	if !p.asJSON {
		for _, key := range slices.Sorted(maps.Keys(change)) {
			fmt.Fprintf(p.out, "%s %s: %s = %s\n", kind, name, key, brief(fmt.Sprint(change[key])))
		}
	}
	if !yes {
		if err := p.confirm("Change it?"); err != nil {
			return err
		}
	}
	var out map[string]any
	if err := p.call(ctx, api.GroupWrite, "Update"+typ, map[string]any{"id": name, "config": change}, &out); err != nil {
		return err
	}
	if p.asJSON {
		return p.printJSON(out)
	}
	fmt.Fprintln(p.out, "Changed.")
	return nil
}

// settingOf reads a value as what the setting holds now.
func settingOf(key string, values []string, old any) (any, error) {
	text := values[len(values)-1]
	bad := func(want string) error { return schema.Errorf(schema.Invalid, "%s=%s: want %s", key, text, want) }
	switch old.(type) {
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, bad("true or false")
		}
		return b, nil
	case int64, float64, json.Number:
		var n json.Number
		if json.Unmarshal([]byte(text), &n) != nil {
			return nil, bad("a number")
		}
		return n, nil
	case []any, map[string]any:
		if !strings.HasPrefix(text, "[") && !strings.HasPrefix(text, "{") {
			if _, list := old.([]any); !list {
				return nil, bad("JSON")
			}
			return values, nil
		}
		var v any
		if json.Unmarshal([]byte(text), &v) != nil {
			return nil, bad("JSON")
		}
		return v, nil
	}
	return text, nil
}

func (p *program) updateVariable() *cobra.Command {
	var yes bool
	var secret string
	c := &cobra.Command{
		Use: "variable NAME VALUE", Aliases: []string{"var"}, Short: "Give a variable a value; it is made if there is none", Args: cobra.ExactArgs(2),
		ValidArgsFunction: p.names("ListVariables"),
		Example:           "  berth set variable DOMAIN example.org -y\n  berth set var TOKEN \"$(pass token)\" --secret true -y",
		RunE: func(c *cobra.Command, args []string) error {
			if secret != "" {
				if _, err := strconv.ParseBool(secret); err != nil {
					return schema.Errorf(schema.Invalid, "--secret %q: want true or false", secret)
				}
			}
			if !yes {
				if err := p.confirm("Set " + args[0] + "?"); err != nil {
					return err
				}
			}
			return p.setVariable(c.Context(), args[0], args[1], secret)
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().StringVarP(&secret, "secret", "s", "", "true or false: whether it is for nobody's eyes; as it was without")
	return c
}

func (p *program) setVariable(ctx context.Context, name, value, secret string) error {
	var old struct {
		IsSecret bool `json:"is_secret"`
	}
	hide := secret == "true" || secret == "1" || secret == "t"
	err := p.call(ctx, api.GroupRead, "GetVariable", map[string]any{"name": name}, &old)
	switch {
	case schema.CodeOf(err) == schema.NotFound:
		if err := p.call(ctx, api.GroupWrite, "CreateVariable", map[string]any{"name": name, "value": value, "is_secret": hide}, nil); err != nil {
			return err
		}
		return p.said("Made.", map[string]any{"name": name, "created": true})
	case err != nil:
		return err
	}
	change := func() error {
		if secret == "" || hide == old.IsSecret {
			return nil
		}
		return p.call(ctx, api.GroupWrite, "UpdateVariableIsSecret", map[string]any{"name": name, "is_secret": hide, "value": value}, nil)
	}
	if hide { // hidden before it has its value
		if err := change(); err != nil {
			return err
		}
	}
	if err := p.call(ctx, api.GroupWrite, "UpdateVariableValue", map[string]any{"name": name, "value": value}, nil); err != nil {
		return err
	}
	if !hide {
		if err := change(); err != nil {
			return err
		}
	}
	return p.said("Set.", map[string]any{"name": name, "created": false})
}

// said prints a word, or what it means as JSON.
func (p *program) said(text string, v any) error {
	if p.asJSON {
		return p.printJSON(v)
	}
	fmt.Fprintln(p.out, text)
	return nil
}
