package periphery

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"berth/bus"
	"berth/schema"
)

// What containers were made from is secret in part: an inspection would tell it. When a
// command that knows secrets has made containers, the texts in them that hold one are
// noted by their keyed digests, with what is shown in their place. Nothing of a value
// is kept, and what no command knew as a secret is not masked.

// concealed knows which texts of which containers hold secrets.
type concealed struct {
	mu   sync.Mutex
	file string
	// by is container id → digest of a text → what is shown instead.
	by map[string]map[string]string
}

// openConcealed reads what is known. A file that cannot be read is begun anew: then
// texts of containers that are there are shown until they are deployed again.
func openConcealed(file string) (*concealed, error) {
	c := &concealed{file: file, by: map[string]map[string]string{}}
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &c.by)
	}
	if c.by == nil {
		c.by = map[string]map[string]string{}
	}
	if os.IsNotExist(err) {
		return c, nil
	}
	return c, err
}

// keep replaces what is known of containers that exist; others are forgotten.
func (c *concealed) keep(found map[string]map[string]string, exist []schema.Container) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, texts := range found {
		if c.by[id] == nil {
			c.by[id] = map[string]string{}
		}
		maps.Copy(c.by[id], texts)
	}
	maps.DeleteFunc(c.by, func(id string, _ map[string]string) bool {
		return !slices.ContainsFunc(exist, func(x schema.Container) bool { return x.ID == id })
	})
	data, err := json.Marshal(c.by)
	if err == nil {
		err = bus.WritePrivate(c.file, data)
	}
	return err
}

func (c *concealed) of(id string) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.by[id])
}

// conceal notes the texts that hold secrets of a job in the containers that it made.
func (a *Agent) conceal(ctx context.Context, j *Job, list []schema.Container) {
	if len(j.hidden) == 0 || a.secret == nil {
		return
	}
	since := j.began.Add(-2 * time.Second).Unix() // the engine says whole seconds
	found := map[string]map[string]string{}
	for _, c := range list {
		if c.Created < since {
			continue
		}
		d, err := a.engine.InspectContainer(ctx, c.ID)
		if err != nil {
			continue // it is gone again
		}
		texts := map[string]string{}
		eachText(&d, func(text string) string {
			if masked := j.mask.Mask(text); masked != text {
				texts[a.digests.Digest([]byte(text))] = masked
			}
			return text
		})
		if len(texts) > 0 {
			found[c.ID] = texts
		}
	}
	if len(found) == 0 {
		return
	}
	if err := a.secret.keep(found, list); err != nil {
		a.log.Error("note which texts of containers hold secrets", "err", err)
	}
}

// masked is an inspected container without what is known to be secret in it.
func (a *Agent) masked(d schema.ContainerDetail) schema.ContainerDetail {
	if d.ID == nil || a.secret == nil {
		return d
	}
	texts := a.secret.of(*d.ID)
	if len(texts) == 0 {
		return d
	}
	eachText(&d, func(text string) string {
		if shown, ok := texts[a.digests.Digest([]byte(text))]; ok {
			return shown
		}
		return text
	})
	return d
}

// eachText replaces the texts of a container that come from who made it: values of
// variables and labels, words of commands, mounts.
func eachText(d *schema.ContainerDetail, fn func(string) string) {
	if d.Path != nil {
		*d.Path = fn(*d.Path)
	}
	each(d.Args, fn)
	if c := d.Config; c != nil {
		for i, e := range c.Env {
			if name, value, ok := strings.Cut(e, "="); ok {
				c.Env[i] = name + "=" + fn(value)
			}
		}
		each(c.Cmd, fn)
		each(c.Entrypoint, fn)
		eachValue(c.Labels, fn)
		if c.Healthcheck != nil {
			each(c.Healthcheck.Test, fn)
		}
	}
	if h := d.HostConfig; h != nil {
		each(h.Binds, fn)
		each(h.ExtraHosts, fn)
		eachValue(h.Sysctls, fn)
		eachValue(h.Annotations, fn)
		eachValue(h.Tmpfs, fn)
		if h.LogConfig != nil {
			eachValue(h.LogConfig.Config, fn)
		}
	}
}

func each(list []string, fn func(string) string) {
	for i := range list {
		list[i] = fn(list[i])
	}
}

func eachValue(m map[string]string, fn func(string) string) {
	for name, v := range m {
		m[name] = fn(v)
	}
}

// concealedFile is where the agent keeps it.
func (a *Agent) concealedFile() string { return filepath.Join(a.cfg.Data, "concealed.json") }
