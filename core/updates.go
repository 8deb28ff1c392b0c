package core

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"

	"berth/bus"
	"berth/core/api"
	"berth/core/store"
	"berth/core/update"
	"berth/schema"
)

// agentAnswers is how long an agent may take to say which images it has.
const agentAnswers = 20 * time.Second

func (c *core) openUpdates(ctx context.Context) error {
	var err error
	if c.updates, err = store.Open[schema.UpdateState](ctx, c.conn, bus.BucketUpdates, store.Options{History: 1, Log: c.cfg.Log}); err != nil {
		return err
	}
	c.checker = &update.Checker{
		Registry: update.NewRegistry(time.Now, nil), Now: time.Now,
		Images: func(ctx context.Context, server string, ids []string) (map[string]schema.LocalImage, error) {
			ctx, cancel := context.WithTimeout(ctx, agentAnswers)
			defer cancel()
			resp, err := bus.Ask(ctx, c.conn, server, schema.ImageDigests, schema.ImageDigestsReq{Images: ids})
			return resp.Images, err
		},
	}
	return nil
}

// updates looks for newer images, and remembers what it found.
type updates struct{ c *core }

// CheckStack looks at the images of a stack's services.
func (u updates) CheckStack(ctx context.Context, key string) (schema.UpdateState, error) {
	st, err := u.c.kinds.stacks.Get(ctx, key)
	if err != nil {
		return schema.UpdateState{}, err
	}
	d, err := u.c.deployed.Get(st.ID)
	if schema.CodeOf(err) == schema.NotFound {
		return schema.UpdateState{}, schema.Errorf(schema.Conflict, "stack %q was never deployed: there is nothing to compare", st.Name)
	}
	if err != nil {
		return schema.UpdateState{}, err
	}
	server, err := u.c.kinds.servers.Find(st.Config.ServerID)
	if err != nil {
		return schema.UpdateState{}, err
	}
	running, err := u.running(ctx, server, func(x schema.Container) bool { return x.Stack == st.ID })
	if err != nil {
		return schema.UpdateState{}, err
	}
	var list []update.Service
	for _, s := range d.Value.Services {
		i := slices.IndexFunc(running, func(x schema.Container) bool { return x.Service == s.Name })
		one := update.Service{Name: s.Name, Image: s.Image, Login: u.login(s.Image, st.Config.RegistryProvider, st.Config.RegistryAccount)}
		if i >= 0 {
			one.ImageID = running[i].ImageID
		}
		list = append(list, one)
	}
	return u.check(ctx, "stack", st.ID, server, list)
}

// CheckDeployment looks at the image of a deployment.
func (u updates) CheckDeployment(ctx context.Context, key string) (schema.UpdateState, error) {
	dp, err := u.c.kinds.deployments.Get(ctx, key)
	if err != nil {
		return schema.UpdateState{}, err
	}
	server, err := u.c.kinds.servers.Find(dp.Config.ServerID)
	if err != nil {
		return schema.UpdateState{}, err
	}
	if dp.Config.Image.Type != "Image" {
		return schema.UpdateState{}, schema.Errorf(schema.Conflict, "deployment %q runs what a build makes: build it to update it", dp.Name)
	}
	name := cmp.Or(dp.Config.CustomName, dp.Name)
	image := dp.Config.Image.Image.Image
	running, err := u.running(ctx, server, func(x schema.Container) bool { return strings.TrimPrefix(x.Name, "/") == name })
	if err != nil {
		return schema.UpdateState{}, err
	}
	one := update.Service{Name: dp.Name, Image: image, Login: u.login(image, "", dp.Config.ImageRegistryAccount)}
	if len(running) > 0 {
		one.ImageID = running[0].ImageID
	}
	return u.check(ctx, "deployment", dp.ID, server, []update.Service{one})
}

func (u updates) check(ctx context.Context, kind, id string, server schema.Target, list []update.Service) (schema.UpdateState, error) {
	state, err := u.c.checker.Check(ctx, server, list)
	if err != nil {
		return state, err
	}
	_, err = u.c.updates.Put(ctx, id, state)
	u.c.changes.announce(schema.Change{Topic: kind, ID: id})
	return state, err
}

// running asks a server which of its containers run and are wanted. What the monitor
// knows may be a second old: a stack that was deployed just now would have the images
// of before.
func (u updates) running(ctx context.Context, server schema.Target, want func(schema.Container) bool) ([]schema.Container, error) {
	if online, _ := u.c.monitor.Online(server.ID); !online {
		return nil, schema.Errorf(schema.Unavailable, "server %q is offline: what it runs is not known", server.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, agentAnswers)
	defer cancel()
	st, err := bus.Ask(ctx, u.c.conn, server.ID, schema.Ping, struct{}{})
	if err != nil {
		return nil, schema.Wrap(schema.CodeOf(err), err, "ask server %q what it runs", server.Name)
	}
	if st.Engine.Error != "" {
		return nil, schema.Errorf(schema.Unavailable, "server %q: what it runs is not known: %s", server.Name, st.Engine.Error)
	}
	return slices.DeleteFunc(st.Containers, func(x schema.Container) bool { return x.State != "running" || !want(x) }), nil
}

// login finds how to log in to the registry of an image: by the account that is
// set, else by the only one there is for it.
func (u updates) login(image, provider, account string) update.Login {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return update.Login{}
	}
	domain := reference.Domain(named)
	for _, a := range u.c.logins(api.RegistryAccounts) {
		if a.Provider == domain && (account == "" || provider != "" && provider != domain || a.Username == account) {
			return update.Login{Username: a.Username, Token: a.Token, HTTP: a.HTTP}
		}
	}
	return update.Login{}
}
