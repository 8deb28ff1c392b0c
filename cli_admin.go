package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"berth/bus"
	"berth/core/api"
	"berth/schema"
)

func (p *program) serverCommand() *cobra.Command {
	c := &cobra.Command{Use: "server", Short: "Let servers in and out"}
	join := &cobra.Command{
		Use: "join-token NAME", Aliases: []string{"join"}, Short: "Print the one line that lets a server in", Args: cobra.ExactArgs(1),
		Long:    "Print the one line to run on a server, creating the server if it is not declared yet. The token in it is good once and for an hour.",
		Example: "  berth server join-token vault\n  ssh vault \"$(berth server join-token vault)\"",
		RunE: func(c *cobra.Command, args []string) error {
			var j api.Join
			if err := p.call(c.Context(), api.GroupWrite, "CreateJoinToken", map[string]string{"server": args[0]}, &j); err != nil {
				return err
			}
			if p.asJSON {
				return p.printJSON(j)
			}
			fmt.Fprintln(p.out, j.Command)
			if terminal(p.err) {
				fmt.Fprintf(p.err, "Good once, until %s.\n", when(j.Expires))
			}
			return nil
		},
	}
	list := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List the servers", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := p.list(c.Context(), kindTables()[0], listFlags{all: true}, false)
			return err
		},
	}
	var yes bool
	revoke := &cobra.Command{
		Use: "revoke NAME", Short: "Shut a server's agent out, at once", Args: cobra.ExactArgs(1), ValidArgsFunction: p.names("ListServers"),
		RunE: func(c *cobra.Command, args []string) error {
			// Before the question: nobody agrees to what is not there.
			var server struct{ Name string }
			if err := p.call(c.Context(), api.GroupRead, "GetServer", map[string]string{"server": args[0]}, &server); err != nil {
				return err
			}
			if !yes {
				if err := p.confirm("Shut out " + server.Name + "?"); err != nil {
					return err
				}
			}
			if err := p.call(c.Context(), api.GroupWrite, "RevokeServer", map[string]string{"server": args[0]}, nil); err != nil {
				return err
			}
			if p.asJSON {
				return p.printJSON(map[string]string{"revoked": args[0]})
			}
			fmt.Fprintln(p.out, "Shut out.")
			return nil
		},
	}
	revoke.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.AddCommand(join, list, revoke, p.confirmCommand())
	return c
}

// confirmCommand lets in an agent that lost its key.
func (p *program) confirmCommand() *cobra.Command {
	return &cobra.Command{
		Use: "confirm SERVER KEY", Short: "Let in an agent that asks to be a server's, with the key it shows", Args: cobra.ExactArgs(2),
		Long: `Let in an agent that asks to be a server's: one that lost its key, or a new one that was
started with connect_as. It prints its key, as does the server's page; compare the two.
An agent that the server had before is shut out.`,
		Example: "  berth server confirm nexus UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
		RunE: func(c *cobra.Command, args []string) error {
			if err := p.call(c.Context(), api.GroupWrite, "UpdateServerPublicKey", map[string]any{"server": args[0], "public_key": args[1]}, nil); err != nil {
				return err
			}
			fmt.Fprintf(p.out, "%s: the agent with this key is let in\n", args[0])
			return nil
		},
	}
}

// natsContext is a context file of the stock nats client.
type natsContext struct {
	Description string `json:"description"`
	URL         string `json:"url"`
	NKey        string `json:"nkey"`
	InboxPrefix string `json:"inbox_prefix"`
	CA          string `json:"ca,omitempty"`
}

func (p *program) operatorCommand() *cobra.Command {
	c := &cobra.Command{Use: "operator", Short: "Let people look into the bus with the stock nats client"}
	var role, dir string
	create := &cobra.Command{
		Use: "create NAME --role read|exec", Short: "Make a key and a context of the nats client", Args: cobra.ExactArgs(1),
		Long:    "Make a key, let it in, and write it with a context for the stock nats client. The key never leaves this machine.",
		Example: "  berth operator create ada --role read\n  nats --context berth-ada req berth.api.read.ListStacks '{}'\n  nats --context berth-ada stream ls",
		RunE: func(c *cobra.Command, args []string) error {
			if role != "read" && role != "exec" {
				return schema.Errorf(schema.Invalid, "--role %q: want read or exec", role)
			}
			return p.createOperator(c, args[0], role, dir)
		},
	}
	create.Flags().StringVar(&role, "role", "", "read or exec")
	create.Flags().StringVar(&dir, "out", "", "folder to write into; that of the nats client without")
	c.AddCommand(create)
	return c
}

func (p *program) createOperator(c *cobra.Command, name, role, dir string) error {
	seed, err := bus.NewSeed()
	if err != nil {
		return schema.Wrap(schema.Internal, err, "make a key")
	}
	public, err := bus.PublicKey(seed)
	if err != nil {
		return schema.Wrap(schema.Internal, err, "make a key")
	}
	var o api.Operator
	if err := p.call(c.Context(), api.GroupWrite, "CreateOperator", api.OperatorParams{Name: name, Role: role, NKey: public}, &o); err != nil {
		return err
	}
	if dir == "" {
		dir = home(p.env, "nats", "context")
	}
	keyFile, contextFile := filepath.Join(dir, "berth-"+name+".nk"), filepath.Join(dir, "berth-"+name+".json")
	file := natsContext{Description: "Berth, " + role, URL: o.URL, NKey: keyFile, InboxPrefix: o.InboxPrefix}
	if o.Certificate != "" && strings.HasPrefix(o.URL, "tls:") {
		file.CA = filepath.Join(dir, "berth-"+name+".crt")
		if err := bus.WritePrivate(file.CA, []byte(o.Certificate)); err != nil {
			return schema.Errorf(schema.Failed, "write core's certificate: %v", err)
		}
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err == nil {
		err = bus.WritePrivate(keyFile, append(seed, '\n'))
	}
	if err == nil {
		err = bus.WritePrivate(contextFile, append(text, '\n'))
	}
	if err != nil {
		return schema.Errorf(schema.Failed, "write the context: %v", err)
	}
	if p.asJSON {
		return p.printJSON(map[string]string{"context": "berth-" + name, "file": contextFile, "key": keyFile, "url": o.URL})
	}
	fmt.Fprintf(p.out, "nats --context berth-%s stream ls\n", name)
	return nil
}

func (p *program) hooksCommand() *cobra.Command {
	c := &cobra.Command{Use: "hooks", Aliases: []string{"deliveries"}, Short: "Webhook deliveries and their verdicts"}
	var limit int
	list := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List deliveries, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l := listing{"ListDeliveries", map[string]int{"limit": limit}, []string{"Delivery", "When", "Verdict", "Target", "From", "Event", "Why"}}
			return show(c.Context(), p, l, func(d schema.Delivery) []string {
				return []string{d.ID, when(d.Received), string(d.Verdict), d.Target.Name, d.Forge, d.Event, brief(cmp.Or(d.Reason, d.Cause.Message))}
			})
		},
	}
	list.Flags().IntVar(&limit, "limit", 20, "how many")
	again := &cobra.Command{
		Use: "redeliver DELIVERY", Short: "Handle a delivery as if it came again", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var d schema.Delivery
			if err := p.call(c.Context(), api.GroupExecute, "Redeliver", map[string]string{"id": args[0]}, &d); err != nil {
				return err
			}
			if p.asJSON {
				return p.printJSON(d)
			}
			fmt.Fprintf(p.out, "%s %s %s\n", d.Verdict, d.Reason, d.Run)
			return nil
		},
	}
	c.AddCommand(list, again)
	return c
}
