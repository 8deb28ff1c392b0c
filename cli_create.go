package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"berth/core/api"
	"berth/schema"
)

// createCommand makes what is shown once.
func (p *program) createCommand() *cobra.Command {
	c := &cobra.Command{Use: "create", Aliases: []string{"new", "cr"}, Short: "Make an API key or an onboarding key"}
	c.AddCommand(p.createAPIKey(), p.createOnboardingKey())
	return c
}

// expiry is the time in so many days, in milliseconds; 0 is never.
func expiry(days int) int64 {
	if days <= 0 {
		return 0
	}
	return time.Now().AddDate(0, 0, days).UnixMilli()
}

// nameOr is the one argument, or a name of our own.
func nameOr(args []string, usual string) string {
	if len(args) == 1 {
		return args[0]
	}
	return usual
}

func (p *program) createAPIKey() *cobra.Command {
	var user string
	var days int
	c := &cobra.Command{
		Use: "api-key [NAME]", Aliases: []string{"ak"}, Short: "Make an API key; its secret is shown this once", Args: cobra.MaximumNArgs(1),
		Example: "  berth create api-key ci --expires 90\n  berth create api-key deploys --for robot",
		RunE: func(c *cobra.Command, args []string) error {
			var k struct {
				Key    string `json:"key"`
				Secret string `json:"secret"`
			}
			if err := p.makeAPIKey(c.Context(), user, map[string]any{"name": nameOr(args, "km on "+hostName()), "expires": expiry(days)}, &k); err != nil {
				return err
			}
			if p.asJSON {
				return p.printJSON(k)
			}
			fmt.Fprintf(p.out, "Key: %s\nSecret: %s\n", k.Key, k.Secret)
			return nil
		},
	}
	c.Flags().StringVarP(&user, "for", "f", "", "of this service user instead of your own")
	c.Flags().IntVarP(&days, "expires", "e", 0, "days until it expires; 0 is never")
	c.Flags().BoolP("use-api", "a", true, "accepted for scripts: it is always so")
	_ = c.Flags().MarkHidden("use-api") // it is there
	return c
}

func (p *program) makeAPIKey(ctx context.Context, user string, params map[string]any, out any) error {
	if user == "" {
		return p.call(ctx, api.GroupManage, "CreateApiKey", params, out)
	}
	id, err := p.userID(ctx, user)
	if err != nil {
		return err
	}
	params["user_id"] = id
	return p.call(ctx, api.GroupWrite, "CreateApiKeyForServiceUser", params, out)
}

// userID finds a user by name or id.
func (p *program) userID(ctx context.Context, user string) (string, error) {
	var u struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
	}
	err := p.call(ctx, api.GroupRead, "FindUser", map[string]any{"user": user}, &u)
	return u.ID.OID, err
}

func (p *program) createOnboardingKey() *cobra.Command {
	var q struct {
		Name       string   `json:"name"`
		Expires    int64    `json:"expires"`
		PrivateKey string   `json:"private_key,omitempty"`
		Tags       []string `json:"tags"`
		Privileged bool     `json:"privileged"`
		CopyServer string   `json:"copy_server"`
		Builder    bool     `json:"create_builder"`
	}
	var days int
	c := &cobra.Command{
		Use: "onboarding-key [NAME]", Aliases: []string{"ok"}, Short: "Make a key with which servers let themselves in", Args: cobra.MaximumNArgs(1),
		Long: `Make a key with which servers let themselves in, any number of them until it expires.
For a single server "berth server join-token NAME" is the smaller right to give away.`,
		Example: "  berth create onboarding-key rack-2 --expires 7 --tag rack\n  berth create onboarding-key --copy-server template",
		RunE: func(c *cobra.Command, args []string) error {
			q.Name, q.Expires, q.Tags = nameOr(args, "made by km on "+hostName()), expiry(days), append([]string{}, q.Tags...)
			var k struct {
				PrivateKey string         `json:"private_key"`
				Created    map[string]any `json:"created"`
			}
			if err := p.call(c.Context(), api.GroupWrite, "CreateOnboardingKey", q, &k); err != nil {
				return err
			}
			if p.asJSON {
				return p.printJSON(k)
			}
			fmt.Fprintf(p.out, "Onboarding Key: %s\nPublic Key: %v\n", k.PrivateKey, k.Created["public_key"])
			return nil
		},
	}
	fs := c.Flags()
	fs.IntVarP(&days, "expires", "e", 0, "days until it expires; 0 is never")
	fs.StringVarP(&q.PrivateKey, "private-key", "k", "", "this private key instead of a new one")
	fs.StringSliceVarP(&q.Tags, "tag", "t", nil, "tag of the servers that are made with it")
	fs.BoolVarP(&q.Privileged, "privileged", "p", false, "it may also let a new agent in for a server that there is")
	fs.StringVarP(&q.CopyServer, "copy-server", "s", "", "server whose settings new ones get")
	fs.BoolVarP(&q.Builder, "create-builder", "b", false, "make a builder of each server too")
	fs.StringVar(&q.PrivateKey, "pk", "", "the same as --private-key")
	fs.StringVar(&q.CopyServer, "copy", "", "the same as --copy-server")
	fs.StringVar(&q.CopyServer, "server", "", "the same as --copy-server")
	fs.BoolVar(&q.Builder, "builder", false, "the same as --create-builder")
	for _, other := range []string{"pk", "copy", "server", "builder"} {
		_ = fs.MarkHidden(other) // it is there
	}
	return c
}

// laterTerminals is the answer to what needs a terminal.
func laterTerminals() error {
	return schema.Errorf(schema.Unsupported, "terminals are not in this version; until they are, use ssh, and `docker exec -it` on the server")
}

// withTerminal makes a command that needs a terminal on a server.
func withTerminal(use, short string, args cobra.PositionalArgs, aliases ...string) *cobra.Command {
	return &cobra.Command{
		Use: use, Aliases: aliases, Short: short + " (later)", Args: args,
		RunE: func(*cobra.Command, []string) error { return laterTerminals() },
	}
}

func (p *program) connectCommand() *cobra.Command {
	c := withTerminal("connect SERVER [COMMAND]", "Open a shell on a server", cobra.RangeArgs(1, 2), "ssh")
	c.Flags().StringP("name", "n", "ssh", "name of the terminal")
	c.Flags().BoolP("recreate", "r", false, "a new one, even where there is one of that name")
	return c
}

func (p *program) execCommand() *cobra.Command {
	c := withTerminal("exec CONTAINER SHELL", "Open a shell in a container", cobra.ExactArgs(2))
	c.Flags().StringP("server", "s", "", "server of the container")
	c.Flags().BoolP("recreate", "r", false, "a new one, even where there is one of that name")
	return c
}

func (p *program) attachCommand() *cobra.Command {
	c := withTerminal("attach CONTAINER", "Attach to a container", cobra.ExactArgs(1))
	c.Flags().StringP("server", "s", "", "server of the container")
	c.Flags().BoolP("recreate", "r", false, "a new one, even where there is one of that name")
	return c
}
