package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"berth/schema"
)

const (
	statsAge  = 5 * time.Second        // how long what containers use is taken for what they use now
	statsSpan = 300 * time.Millisecond // between two looks, when there was none before
	statsOld  = 2 * time.Minute        // a look before that says nothing of now
	statsLoad = 8                      // containers that are looked at at once
)

// Meter says what containers use, from two looks at the engine's figures. It looks
// only when it is asked, and asks the engine for one reading each: no stream stays
// open. It may be used by many goroutines; they wait for the same look.
type Meter struct {
	c *Client

	mu     sync.Mutex // held while it looks
	before map[string]reading
	said   []schema.ContainerUse
	at     time.Time
}

// reading is a container's figures at a time.
type reading struct {
	at    time.Time
	stats container.StatsResponse
}

// NewMeter makes a meter that has not looked yet.
func NewMeter(c *Client) *Meter { return &Meter{c: c, before: map[string]reading{}} }

// All says what every running container uses, by name.
func (m *Meter) All(ctx context.Context) ([]schema.ContainerUse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.at) < statsAge {
		return m.said, nil
	}
	now, err := m.look(ctx)
	if err != nil {
		return nil, err
	}
	if m.news(now) {
		m.keep(now)
		select {
		case <-time.After(statsSpan):
		case <-ctx.Done():
			return nil, m.c.Explain(ctx.Err(), "read what containers use")
		}
		if now, err = m.look(ctx); err != nil {
			return nil, err
		}
	}
	out := make([]schema.ContainerUse, 0, len(now))
	for id, r := range now {
		out = append(out, use(id, m.before[id].stats, r.stats))
	}
	slices.SortFunc(out, func(a, b schema.ContainerUse) int { return strings.Compare(a.Name, b.Name) })
	m.keep(now)
	m.said, m.at = out, time.Now()
	return out, nil
}

// One says what one container uses; NotFound if there is none, Conflict if it does
// not run.
func (m *Meter) One(ctx context.Context, name string) (schema.ContainerUse, error) {
	d, err := m.c.Inspect(ctx, name)
	if err != nil {
		return schema.ContainerUse{}, err
	}
	all, err := m.All(ctx)
	if err != nil {
		return schema.ContainerUse{}, err
	}
	find := func() int {
		return slices.IndexFunc(all, func(u schema.ContainerUse) bool { return u.ID == d.ID })
	}
	if find() < 0 && d.State == "running" { // it is newer than the last look
		m.mu.Lock()
		m.at = time.Time{}
		m.mu.Unlock()
		if all, err = m.All(ctx); err != nil {
			return schema.ContainerUse{}, err
		}
	}
	if i := find(); i >= 0 {
		return all[i], nil
	}
	return schema.ContainerUse{}, schema.Errorf(schema.Conflict, "container %q is not running (%s): it uses nothing that could be measured", d.Name, d.State)
}

// news reports whether there is a container of which nothing is known to compare with.
func (m *Meter) news(now map[string]reading) bool {
	for id, r := range now {
		if b, ok := m.before[id]; !ok || r.at.Sub(b.at) > statsOld || r.at.Sub(b.at) < statsSpan {
			return true
		}
	}
	return false
}

func (m *Meter) keep(now map[string]reading) { m.before = now }

// look reads the figures of all running containers. One that ends meanwhile is left
// out.
func (m *Meter) look(ctx context.Context) (map[string]reading, error) {
	list, err := m.c.api.ContainerList(ctx, client.ContainerListOptions{})
	if err != nil {
		return nil, m.c.Explain(err, "list containers")
	}
	var mu sync.Mutex // guards out
	out := map[string]reading{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(statsLoad)
	for _, item := range list.Items {
		g.Go(func() error {
			s, err := m.c.reading(gctx, item.ID)
			if err != nil {
				if schema.CodeOf(err) == schema.NotFound || schema.CodeOf(err) == schema.Conflict {
					return nil
				}
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			s.Name = Container(item).Name // not every engine says it there
			out[item.ID] = reading{time.Now(), s}
			return nil
		})
	}
	return out, g.Wait()
}

func (c *Client) reading(ctx context.Context, id string) (container.StatsResponse, error) {
	var s container.StatsResponse
	res, err := c.api.ContainerStats(ctx, id, client.ContainerStatsOptions{})
	if err != nil {
		return s, c.Explain(err, "read what container "+id+" uses")
	}
	defer res.Body.Close()
	return s, c.Explain(json.NewDecoder(res.Body).Decode(&s), "read what container "+id+" uses")
}

// use puts two readings in the words of `docker stats`.
func use(id string, before, now container.StatsResponse) schema.ContainerUse {
	out := schema.ContainerUse{ID: id}
	out.Name, out.PIDs = strings.TrimPrefix(now.Name, "/"), strconv.FormatUint(now.PidsStats.Current, 10)
	out.CPU = fmt.Sprintf("%.2f%%", cpuShare(before.CPUStats, now.CPUStats))
	used, limit := float64(memoryUsed(now.MemoryStats)), float64(now.MemoryStats.Limit)
	share := 0.0
	if limit > 0 {
		share = used / limit * 100
	}
	out.Mem, out.Usage = fmt.Sprintf("%.2f%%", share), binarySize(used)+" / "+binarySize(limit)
	var rx, tx, read, written float64
	for _, n := range now.Networks {
		rx, tx = rx+float64(n.RxBytes), tx+float64(n.TxBytes)
	}
	for _, b := range now.BlkioStats.IoServiceBytesRecursive {
		switch strings.ToLower(b.Op) {
		case "read":
			read += float64(b.Value)
		case "write":
			written += float64(b.Value)
		}
	}
	out.Net, out.Block = decimalSize(rx)+" / "+decimalSize(tx), decimalSize(read)+" / "+decimalSize(written)
	return out
}

// cpuShare is in percent of one processor.
func cpuShare(before, now container.CPUStats) float64 {
	used := float64(now.CPUUsage.TotalUsage) - float64(before.CPUUsage.TotalUsage)
	all := float64(now.SystemUsage) - float64(before.SystemUsage)
	n := float64(now.OnlineCPUs)
	if n == 0 {
		n = float64(len(now.CPUUsage.PercpuUsage))
	}
	if used <= 0 || all <= 0 {
		return 0
	}
	return used / all * n * 100
}

// memoryUsed leaves out what the kernel would give back at once.
func memoryUsed(m container.MemoryStats) uint64 {
	for _, key := range []string{"total_inactive_file", "inactive_file"} { // cgroup 1, 2
		if v, ok := m.Stats[key]; ok && v < m.Usage {
			return m.Usage - v
		}
	}
	return m.Usage
}

func binarySize(n float64) string {
	return size(n, 1024, "%.4g%s", []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"})
}

func decimalSize(n float64) string {
	return size(n, 1000, "%.3g%s", []string{"B", "kB", "MB", "GB", "TB", "PB"})
}

func size(n, base float64, format string, units []string) string {
	i := 0
	for ; n >= base && i < len(units)-1; i++ {
		n /= base
	}
	return fmt.Sprintf(format, n, units[i])
}
