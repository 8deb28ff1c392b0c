package core

import "berth/schema"

// hosts are what agents last said, as actions see it.
type hosts struct{ c *core }

// Host returns what a server's agent last said of itself; nil when it was not here
// since core started.
func (h hosts) Host(server string) *schema.AgentStatus { return h.c.monitor.Server(server).Status }
