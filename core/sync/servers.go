package sync

import (
	"fmt"
	"strings"

	"berth/core/resource"
	"berth/schema"
)

// joined reports whether something is a server with an agent, and whether that is
// here.
func (s *Syncer) joined(kind, id string) (joined, online bool) {
	if kind != "server" || id == "" || s.cfg.Joined == nil {
		return false, false
	}
	return s.cfg.Joined(id)
}

// shutsOut warns of the delete of a server that an agent has joined, and says so in
// its reason.
func (s *Syncer) shutsOut(x *schema.SyncChange) *schema.SyncIssue {
	joined, online := s.joined(x.Kind, x.ID)
	if !joined {
		return nil
	}
	x.Reason += "; its agent is shut out"
	state := "has joined"
	if online {
		state = "is connected"
	}
	return &schema.SyncIssue{Key: "server." + x.Name, Warning: true, Text: fmt.Sprintf(
		"is not declared, so it is deleted, although its agent %s: the agent is shut out and has to join again; to keep it, declare [[server]] name = %q with config.enabled = true", state, x.Name)}
}

// disabled warns of servers with an agent that files switch off, most likely without
// meaning to: a server that does not say enabled is not. text is a change's table in
// its file, where that is known.
func (s *Syncer) disabled(changes []resource.Change, text func(c resource.Change) string) []resource.Issue {
	var out []resource.Issue
	for _, c := range changes {
		if c.Op != resource.OpUpdate || text != nil && strings.Contains(text(c), "enabled") {
			continue
		}
		if joined, _ := s.joined(c.Kind, c.ID); !joined {
			continue
		}
		for _, f := range c.Fields {
			if strings.TrimPrefix(f.Key, "config.") == "enabled" && f.New == "false" {
				out = append(out, resource.Issue{
					File: c.File, Line: c.Line, Key: "server." + c.Name, Warning: true,
					Text: "an agent has joined it, and this switches it off: a [[server]] without enabled is disabled; add config.enabled = true",
				})
			}
		}
	}
	return out
}
