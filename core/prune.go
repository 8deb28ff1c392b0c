package core

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"berth/core/run"
	"berth/schema"
)

// pruneHour is when servers that ask for it are tidied, in core's time zone.
const pruneHour = 4

// pruneServers removes the unused images of servers with auto_prune once a day. A
// day's run has its id from server and date: it is started once, whatever restarts.
func (c *core) pruneServers(ctx context.Context) error {
	again := time.NewTicker(10 * time.Minute)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
		if now := time.Now().In(c.zone()); now.Hour() == pruneHour {
			c.pruneOn(ctx, now)
		}
	}
}

func (c *core) pruneOn(ctx context.Context, day time.Time) {
	list, err := c.kinds.servers.All()
	if err != nil {
		c.cfg.Log.Error("list the servers to prune", "err", err)
		return
	}
	for _, s := range list {
		online, _ := c.monitor.Online(s.ID)
		if !s.Config.Enabled || !s.Config.AutoPrune || s.Template || !online {
			continue
		}
		params, err := json.Marshal(map[string]string{"server": s.ID})
		if err != nil {
			return
		}
		_, err = c.engine.Start(ctx, run.StartReq{
			ID: schema.DeriveID("auto-prune", fmt.Sprintf("%s/%s", s.ID, day.Format(time.DateOnly))), Action: "PruneImages", Target: s.Target("server"),
			Params: params, Actor: schema.Actor{Kind: "system", ID: "system", Name: "auto_prune"}, Cause: schema.Cause{Kind: "schedule"},
		})
		if err != nil && ctx.Err() == nil {
			c.cfg.Log.Warn("start the daily prune", "server", s.Name, "err", err)
		}
	}
}
