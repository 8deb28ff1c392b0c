package periphery_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"berth/schema"
)

// An agent says what its machine is and uses, anew with every sample.
func TestHostIsSaid(t *testing.T) {
	y := &yard{core: newCore(t)}
	a := y.newAgent()
	a.end()
	a.cfg.Samples = 200 * time.Millisecond
	a.start()
	y.listens()
	first := a.firstStats()
	if s := first.Stats; s.MemTotal <= 0 || len(s.Disks) == 0 || s.Rate != "1-sec" || first.Host == nil || first.Host.Kernel == nil {
		t.Errorf("%+v %+v", s, first.Host)
	}
	y.untilStatus(func(st schema.AgentStatus) bool {
		return st.Stats != nil && st.Stats.At > first.Stats.At && st.Stats.CPU > 0
	})
	list, text := answers(y, schema.HostProcesses, struct{}{})
	if !slices.ContainsFunc(list, func(p schema.HostProcess) bool { return p.PID == os.Getpid() && p.Mem > 0 }) {
		t.Errorf("this process is not listed: %.300s", text)
	}
}

// untilStatus waits for a status that the agent sends.
func (c *core) untilStatus(want func(schema.AgentStatus) bool) schema.AgentStatus {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		c.mu.Lock()
		i := slices.IndexFunc(c.statuses, want)
		if i >= 0 {
			defer c.mu.Unlock()
			return c.statuses[i]
		}
		c.mu.Unlock()
	}
	c.t.Fatal("no such status came")
	return schema.AgentStatus{}
}

func (a *agent) firstStats() schema.AgentStatus {
	a.c.t.Helper()
	return a.c.untilStatus(func(st schema.AgentStatus) bool { return st.Stats != nil && st.Stats.Rate == "1-sec" })
}
