package main

import (
	"cmp"
	"context"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"berth/core"
	"berth/periphery"
)

// runUp serves core and an agent of this machine in one process. The agent joins
// over the in-process bus, as the server of the given name.
func runUp(ctx context.Context, cc core.Config, pc periphery.Config, server string) error {
	periphery.LogLibraries(pc.Log)
	g, gctx := errgroup.WithContext(ctx)
	up := make(chan core.Info, 1)
	ready := cc.Ready
	cc.Ready = func(i core.Info) {
		up <- i
		if ready != nil {
			ready(i)
		}
	}
	own := filepath.Join(cc.Data, "periphery")
	if pc.Data = cmp.Or(pc.Data, own); filepath.Clean(pc.Data) == own {
		// By it the agent of a restored core knows what is deployed as unchanged.
		cc.Beside = map[string]string{"periphery/" + periphery.DigestKey: filepath.Join(pc.Data, periphery.DigestKey)}
	}
	g.Go(func() error { return core.Run(gctx, cc) })
	g.Go(func() error {
		var info core.Info
		select {
		case info = <-up:
		case <-gctx.Done():
			return nil
		}
		pc.InProcess, pc.Core = info.InProcess, ""
		if !periphery.Joined(pc.Data) {
			token, err := info.Join(gctx, server)
			if err != nil {
				return err
			}
			pc.Token = token
		}
		return periphery.Run(gctx, pc)
	})
	return g.Wait()
}
