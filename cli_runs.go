package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"berth/core/api"
	"berth/schema"
)

func (p *program) runsCommand() *cobra.Command {
	c := &cobra.Command{Use: "runs", Aliases: []string{"history"}, Short: "What happened and what happens", Args: cobra.NoArgs}
	list := p.runsList()
	c.RunE = list.RunE
	c.Flags().AddFlagSet(list.Flags())
	c.AddCommand(list, p.runsShow(), p.runsLogs(), p.runsCancel(), p.runsApprove())
	return c
}

func (p *program) runsList() *cobra.Command {
	var q struct {
		Kind    string   `json:"kind,omitempty"`
		Target  string   `json:"target,omitempty"`
		Action  string   `json:"action,omitempty"`
		Text    string   `json:"text,omitempty"`
		Commit  string   `json:"commit,omitempty"`
		Parent  string   `json:"parent,omitempty"`
		States  []string `json:"states,omitempty"`
		Pending bool     `json:"pending,omitempty"`
		Limit   int      `json:"limit,omitempty"`
	}
	var all bool
	c := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List runs, newest first", Args: cobra.NoArgs,
		Example: "  berth runs\n  berth runs ls --kind stack --target web\n  berth runs ls --state failed --limit 10",
		RunE: func(c *cobra.Command, _ []string) error {
			for _, s := range q.States {
				if !slices.Contains(runStates(), s) {
					return schema.Errorf(schema.Invalid, "--state %q: want %s", s, strings.Join(runStates(), ", "))
				}
			}
			if !all && q.Kind == "" {
				q.Parent = "-"
			}
			l := listing{"ListRuns", q, []string{"Run", "State", "Action", "Target", "When", "Took", "By", "Why"}}
			return show(c.Context(), p, l, func(r *schema.Run) []string {
				return []string{fmt.Sprint(r.Number), string(r.State), r.Action, r.Target.Name, when(r.Queued), took(r), by(r), brief(why(r))}
			})
		},
	}
	fs := c.Flags()
	fs.StringVar(&q.Kind, "kind", "", "kind of the target")
	fs.StringVar(&q.Target, "target", "", "name of the target; needs --kind")
	fs.StringVar(&q.Action, "action", "", "name of the execution")
	fs.StringVar(&q.Text, "text", "", "part of action, target or message")
	fs.StringVar(&q.Commit, "commit", "", "beginning of the commit")
	fs.StringSliceVar(&q.States, "state", nil, strings.Join(runStates(), ", "))
	fs.BoolVar(&q.Pending, "pending", false, "only those that have not ended")
	fs.IntVar(&q.Limit, "limit", 20, "how many")
	fs.BoolVar(&all, "all", false, "also those that another run started")
	return c
}

func runStates() []string {
	return []string{"queued", "waiting", "running", "succeeded", "warning", "failed", "canceled", "superseded"}
}

func took(r *schema.Run) string {
	return r.Took(time.Now()).Round(10 * time.Millisecond).String()
}

// by says who started a run.
func by(r *schema.Run) string {
	if r.Cause.By != "" {
		return r.Cause.By + " (" + r.Cause.Kind + ")"
	}
	return r.Actor.Name
}

// why is the sentence that explains a run best.
func why(r *schema.Run) string {
	switch {
	case r.Problem != nil:
		return r.Problem.Text
	case r.Decision != nil:
		return r.Decision.Reason
	case r.Note != "":
		return r.Note
	case r.Message != "":
		return r.Message
	case r.Cause.Message != "":
		return r.Cause.Message
	}
	return "-"
}

func (p *program) runsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show RUN", Short: "Show a run with its stages and steps", Args: cobra.ExactArgs(1), Example: "  berth runs show 42",
		RunE: func(c *cobra.Command, args []string) error {
			var r schema.Run
			if err := p.call(c.Context(), api.GroupRead, "GetRun", map[string]string{"id": args[0]}, &r); err != nil {
				return err
			}
			if p.asJSON {
				return p.printJSON(r)
			}
			p.printRun(&r)
			return nil
		},
	}
}

func (p *program) printRun(r *schema.Run) {
	line := func(name, text string) {
		if text != "" && text != "-" {
			fmt.Fprintf(p.out, "%-9s %s\n", name, text)
		}
	}
	line("Run", fmt.Sprintf("#%d %s %s (%s)", r.Number, r.Action, r.Target.Name, r.ID))
	line("State", string(r.State))
	line("Why", why(r))
	line("By", by(r))
	line("Cause", strings.TrimSpace(r.Cause.Kind+" "+r.Cause.Repo+" "+r.Cause.Ref))
	line("Commit", strings.TrimSpace(r.Commit+" "+r.Message))
	line("Queued", when(r.Queued))
	line("Took", took(r))
	if r.Decision != nil {
		line("Decision", r.Decision.What+" "+strings.Join(r.Decision.Services, ", "))
		for _, ch := range r.Decision.Changes {
			line("", ch)
		}
	}
	for _, s := range r.Steps {
		name := s.Name
		if s.Stage != "" {
			name = s.Stage + " / " + name
		}
		text := string(s.State)
		if s.Problem != nil {
			text += ": " + s.Problem.Text
		} else if s.Note != "" {
			text += ": " + s.Note
		}
		fmt.Fprintf(p.out, "  %s %-30s %s\n", mark(s.State), name, text)
		for _, ph := range s.Phases {
			fmt.Fprintf(p.out, "      %-12s %-8s %s %s\n", ph.Name, ph.State, time.Duration(ph.Took)*time.Millisecond, ph.Note)
		}
	}
}

func (p *program) runsLogs() *cobra.Command {
	var follow bool
	c := &cobra.Command{
		Use: "logs RUN", Short: "Print the output of a run and of all it started", Args: cobra.ExactArgs(1),
		Example: "  berth runs logs 42\n  berth runs logs -f 42        until it ends; exits with its result",
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := p.api()
			if err != nil {
				return err
			}
			ctx := c.Context()
			f := newFollow(p)
			f.lines = p.asJSON
			var root *schema.Run
			stop := errors.New("all there is")
			err = cl.Follow(ctx, args[0], func(i api.StreamItem) error {
				if err := f.item(i); err != nil {
					return err
				}
				if r := i.Run; r != nil && (r.ID == args[0] || fmt.Sprint(r.Number) == strings.TrimPrefix(args[0], "#")) {
					root = r
					if !follow {
						return stop
					}
				}
				return nil
			})
			if errors.Is(err, stop) {
				return nil
			}
			if err != nil || root == nil || !follow {
				return err
			}
			return ended(root.State)
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the run ends")
	return c
}

func (p *program) runsApprove() *cobra.Command {
	var stage string
	c := &cobra.Command{
		Use: "approve RUN", Short: "Let a run go on that waits for an approval", Args: cobra.ExactArgs(1), Example: "  berth runs approve 42",
		RunE: func(c *cobra.Command, args []string) error {
			var u api.Update
			if err := p.call(c.Context(), api.GroupExecute, "ApproveRun", map[string]string{"id": args[0], "stage": stage}, &u); err != nil {
				return err
			}
			if p.asJSON {
				return p.printJSON(u)
			}
			fmt.Fprintln(p.out, "Approved.")
			return nil
		},
	}
	c.Flags().StringVar(&stage, "stage", "", "stage to approve; needed only when several wait")
	return c
}

func (p *program) runsCancel() *cobra.Command {
	return &cobra.Command{
		Use: "cancel RUN…", Short: "Ask runs and what they started to end", Args: cobra.MinimumNArgs(1), Example: "  berth runs cancel 42",
		RunE: func(c *cobra.Command, args []string) error {
			var done []api.Update
			for _, id := range args {
				var u api.Update
				if err := p.call(c.Context(), api.GroupExecute, "CancelRun", map[string]string{"id": id}, &u); err != nil {
					return err
				}
				done = append(done, u)
			}
			if p.asJSON {
				return p.printJSON(done)
			}
			fmt.Fprintln(p.out, "Asked to end.")
			return nil
		},
	}
}
