package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"berth/core/api"
	"berth/schema"
)

func (p *program) keyCommand() *cobra.Command {
	c := &cobra.Command{Use: "key", Aliases: []string{"k"}, Short: "Your API keys; pairs of keys"}
	var days int
	create := &cobra.Command{
		Use: "create NAME", Short: "Make an API key; its secret is shown this once", Args: cobra.ExactArgs(1),
		Example: "  berth key create ci --expires 90",
		RunE: func(c *cobra.Command, args []string) error {
			params := map[string]any{"name": args[0], "expires": expiry(days)}
			var k struct {
				Key    string `json:"key"`
				Secret string `json:"secret"`
			}
			if err := p.call(c.Context(), api.GroupManage, "CreateApiKey", params, &k); err != nil {
				return err
			}
			if p.asJSON {
				return p.printJSON(k)
			}
			fmt.Fprintf(p.out, "BERTH_KEY=%s\nBERTH_SECRET=%s\n", k.Key, k.Secret)
			return nil
		},
	}
	create.Flags().IntVarP(&days, "expires", "e", 0, "days until it expires; 0 is never")
	list := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List your API keys", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			type key struct {
				Key     string `json:"key"`
				Name    string `json:"name"`
				Created int64  `json:"created_at"`
				Expires int64  `json:"expires"`
			}
			l := listing{"ListApiKeys", nil, []string{"Name", "Key", "Created", "Expires"}}
			return show(c.Context(), p, l, func(k key) []string { return []string{k.Name, k.Key, when(k.Created), when(k.Expires)} })
		},
	}
	remove := &cobra.Command{
		Use: "rm KEY", Short: "Delete an API key", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.call(c.Context(), api.GroupManage, "DeleteApiKey", map[string]string{"key": args[0]}, nil)
		},
	}
	c.AddCommand(create, list, remove, p.keyGenerate(), p.keyCompute())
	return c
}

// keyPair is a pair as it is printed.
type keyPair struct {
	Private string `json:"private_key"`
	Public  string `json:"public_key"`
}

// keyGenerate makes a pair of X25519 keys, as Komodo's agents and core have them.
func (p *program) keyGenerate() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "generate", Aliases: []string{"gen", "g"}, Short: "Make a pair of X25519 keys", Args: cobra.NoArgs,
		Long: `Make a pair of X25519 keys, as Komodo has them: PKCS #8 and SPKI, in base64. Berth's
own agents make their keys themselves and need none.`,
		Example: "  berth key generate\n  berth key generate -f json",
		RunE: func(*cobra.Command, []string) error {
			private, err := ecdh.X25519().GenerateKey(rand.Reader)
			if err != nil {
				return schema.Wrap(schema.Internal, err, "make a key")
			}
			return p.printPair(private, format)
		},
	}
	c.Flags().StringVarP(&format, "format", "f", "standard", "standard, json or json-pretty")
	return c
}

func (p *program) keyCompute() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "compute PRIVATE_KEY", Aliases: []string{"comp", "c"}, Short: "Print the public key of a private X25519 key", Args: cobra.ExactArgs(1),
		Example: "  berth key compute \"$(cat periphery.key)\"",
		RunE: func(_ *cobra.Command, args []string) error {
			private, err := readKey(args[0])
			if err != nil {
				return err
			}
			return p.printPair(private, format)
		},
	}
	c.Flags().StringVarP(&format, "format", "f", "standard", "standard, json or json-pretty")
	return c
}

// readKey reads a private key: PEM, base64 of that or of the bare key, or 32 characters
// that are one.
func readKey(text string) (*ecdh.PrivateKey, error) {
	text = strings.TrimSpace(text)
	bad := schema.Errorf(schema.Invalid, "that is no private X25519 key: want PKCS #8 as PEM or in base64, or 32 characters")
	if len(text) == 32 {
		if k, err := ecdh.X25519().NewPrivateKey([]byte(text)); err == nil {
			return k, nil
		}
	}
	der, err := base64.StdEncoding.DecodeString(text)
	if block, _ := pem.Decode([]byte(text)); block != nil {
		der, err = block.Bytes, nil
	}
	if err != nil {
		return nil, bad
	}
	if len(der) == 32 {
		if k, err := ecdh.X25519().NewPrivateKey(der); err == nil {
			return k, nil
		}
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, bad
	}
	if k, ok := parsed.(*ecdh.PrivateKey); ok && k.Curve() == ecdh.X25519() {
		return k, nil
	}
	return nil, bad
}

func (p *program) printPair(k *ecdh.PrivateKey, format string) error {
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return schema.Wrap(schema.Internal, err, "write a key")
	}
	public, err := x509.MarshalPKIXPublicKey(k.PublicKey())
	if err != nil {
		return schema.Wrap(schema.Internal, err, "write a key")
	}
	pair := keyPair{base64.StdEncoding.EncodeToString(private), base64.StdEncoding.EncodeToString(public)}
	switch format {
	case "standard", "s":
		if p.asJSON {
			return p.printJSON(pair)
		}
		fmt.Fprintf(p.out, "Private Key: %s\nPublic Key: %s\n", pair.Private, pair.Public)
		return nil
	case "json-pretty", "jp":
		return p.printJSON(pair)
	case "json", "j":
		b, err := json.Marshal(pair)
		if err != nil {
			return schema.Wrap(schema.Internal, err, "write JSON")
		}
		fmt.Fprintln(p.out, string(b))
		return nil
	}
	return schema.Errorf(schema.Invalid, "--format %q: want standard, json or json-pretty", format)
}
