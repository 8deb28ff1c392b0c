package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"berth/core/api"
	"berth/schema"
)

// updateUser changes how a user signs in. km does it in the database; here core does
// it, for one's own account.
func (p *program) updateUser() *cobra.Command {
	c := &cobra.Command{
		Use: "user USERNAME password|super-admin|clear2fa …", Short: "Change a user's password or second factor", Args: cobra.MinimumNArgs(2),
		Long: `Change your own password, or take your second factors away:

  berth update user ada password 'new password' -y
  berth update user ada clear2fa -y

Others' passwords and factors are theirs. Who is an administrator is changed by a
super administrator: berth update user ada super-admin yes.`,
	}
	var yes, unsanitized bool
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&unsanitized, "unsanitized", false, "accepted for scripts: the password is never printed")
	c.RunE = func(c *cobra.Command, args []string) error {
		user, what, rest := args[0], args[1], args[2:]
		switch what {
		case "password", "pw":
			if len(rest) != 1 {
				return schema.Errorf(schema.Invalid, "say the new password: berth update user %s password NEW", user)
			}
			return p.ownAccount(c.Context(), user, "Change the password of "+user+"?", yes, func(ctx context.Context) error {
				return p.call(ctx, api.GroupManage, "UpdatePassword", map[string]any{"password": rest[0]}, nil)
			})
		case "clear2fa":
			if len(rest) > 0 {
				break
			}
			return p.ownAccount(c.Context(), user, "Take the second factors of "+user+" away?", yes, func(ctx context.Context) error {
				if err := p.call(ctx, api.GroupManage, "UnenrollTotp", nil, nil); err != nil {
					return err
				}
				return p.call(ctx, api.GroupManage, "UnenrollPasskey", nil, nil)
			})
		case "super-admin", "supa", "sa":
			return p.setAdmin(c.Context(), user, rest, yes)
		}
		return schema.Errorf(schema.Invalid, "%s: want password NEW, super-admin [yes|no] or clear2fa", strings.Join(args[1:], " "))
	}
	return c
}

// ownAccount does something to the account whose key is used, and to no other.
func (p *program) ownAccount(ctx context.Context, user, question string, yes bool, do func(ctx context.Context) error) error {
	var me struct {
		ID string `json:"id"`
	}
	if err := p.call(ctx, api.GroupManage, "GetUserId", nil, &me); err != nil {
		return err
	}
	var name struct {
		Username string `json:"username"`
	}
	if err := p.call(ctx, api.GroupRead, "GetUsername", map[string]any{"user_id": me.ID}, &name); err != nil {
		return err
	}
	if user != name.Username && user != me.ID {
		return schema.Errorf(schema.Denied, "the API key is %s's: %s has to do that with a key of their own", name.Username, user)
	}
	if !yes {
		if err := p.confirm(question); err != nil {
			return err
		}
	}
	if err := do(ctx); err != nil {
		return err
	}
	return p.said("Done.", map[string]string{"user": user})
}

func (p *program) setAdmin(ctx context.Context, user string, args []string, yes bool) error {
	admin := true
	switch {
	case len(args) == 0 || len(args) == 1 && slices.Contains([]string{"yes", "y", "true", "t"}, args[0]):
	case len(args) == 1 && slices.Contains([]string{"no", "n", "false", "f"}, args[0]):
		admin = false
	default:
		return schema.Errorf(schema.Invalid, "super-admin %s: want yes or no", strings.Join(args, " "))
	}
	id, err := p.userID(ctx, user)
	if err != nil {
		return err
	}
	if !yes {
		if err := p.confirm(fmt.Sprintf("Administrator %s: %t?", user, admin)); err != nil {
			return err
		}
	}
	if err := p.call(ctx, api.GroupWrite, "UpdateUserAdmin", map[string]any{"user_id": id, "admin": admin}, nil); err != nil {
		return err
	}
	return p.said("Done.", map[string]any{"user": user, "admin": admin})
}
