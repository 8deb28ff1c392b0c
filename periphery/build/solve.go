package build

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/platforms"
	control "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/filesync"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"berth/periphery/docker"
	"berth/schema"
)

// maxMessage bounds one message of BuildKit's, in bytes.
const maxMessage = 16 << 20

// statusGrace is how long the end of a build's progress is waited for.
const statusGrace = 3 * time.Second

// Build makes the image. Errors: schema.Failed with BuildKit's words;
// schema.Unsupported on an engine without BuildKit; schema.Unavailable when the
// engine does not answer. A canceled ctx ends the build on the engine, too.
func (b *Builder) Build(ctx context.Context, spec Spec, emit Emit) (Result, error) {
	if err := b.engine.Ping(ctx); err != nil {
		return Result{}, err
	}
	conn, err := grpc.NewClient("passthrough:///engine",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return b.engine.API().DialHijack(ctx, "/grpc", "h2c", nil)
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		return Result{}, schema.Wrap(schema.Internal, err, "build image")
	}
	defer conn.Close()
	p := newProgress(emit)
	err = b.solve(ctx, control.NewControlClient(conn), spec, p)
	p.flush()
	res := Result{Steps: p.steps, Cached: p.cached, Warnings: p.warnings}
	if err != nil {
		return res, b.explain(ctx, err)
	}
	img, err := b.engine.Image(ctx, spec.Refs[0])
	res.ID = img.ID
	return res, err
}

func (b *Builder) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	text := oneLine(strings.TrimPrefix(status.Convert(err).Message(), "failed to solve: "))
	if strings.Contains(text, "404") || strings.Contains(text, "unknown service") {
		return schema.Wrap(schema.Unsupported, err, "the engine has no BuildKit: update Docker on this server")
	}
	return schema.Wrap(schema.Failed, err, "%s", text)
}

// solve runs the build and follows its progress to the end.
func (b *Builder) solve(ctx context.Context, kit control.ControlClient, spec Spec, p *progress) error {
	req, s, err := b.request(ctx, spec)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error {
		err := s.Run(ctx, func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return b.engine.API().DialHijack(ctx, "/session", proto, meta)
		})
		if err != nil && ctx.Err() == nil {
			b.log.Debug("build session ended", "key", spec.Key, "err", err)
		}
		return nil
	})
	defer func() { cancel(); _ = s.Close(); _ = g.Wait() }()
	watch, stop := context.WithCancel(ctx)
	defer stop()
	watched := make(chan struct{})
	g.Go(func() error { defer close(watched); p.follow(watch, kit, req.Ref); return nil })
	_, err = kit.Solve(ctx, req)
	grace := time.NewTimer(statusGrace)
	defer grace.Stop()
	if ctx.Err() == nil {
		select {
		case <-watched:
		case <-grace.C:
		case <-ctx.Done():
		}
	}
	stop()
	<-watched
	return err
}

// request makes the build's request, and the session that serves what it asks for.
func (b *Builder) request(ctx context.Context, spec Spec) (*control.SolveRequest, *session.Session, error) {
	attrs, dirs, err := spec.attrs()
	if err != nil {
		return nil, nil, err
	}
	s, err := session.NewSession(ctx, spec.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("open build session: %w", err)
	}
	s.Allow(filesync.NewFSSyncProvider(dirs))
	s.Allow(secretsprovider.FromMap(spec.Secrets))
	s.Allow(&keeper{logins: spec.Logins})
	req := &control.SolveRequest{
		Ref: schema.NewID(), Session: s.ID(), Frontend: "dockerfile.v0", FrontendAttrs: attrs, Cache: &control.CacheOptions{},
		// By its old members, which old engines know, too.
		ExporterDeprecated: "moby", ExporterAttrsDeprecated: map[string]string{"name": strings.Join(spec.Refs, ",")},
	}
	for _, c := range spec.Flags.CacheTo {
		req.Cache.Exports = append(req.Cache.Exports, &control.CacheOptionsEntry{Type: c.Type, Attrs: c.Attrs})
	}
	if spec.Flags.Network == "host" {
		req.Entitlements = append(req.Entitlements, "network.host")
	}
	return req, s, nil
}

// attrs are what the Dockerfile frontend is told, and the folders it may ask for.
func (s *Spec) attrs() (map[string]string, filesync.StaticDirSource, error) {
	f := s.Flags
	folder, err := rootOwned(s.Context)
	if err != nil {
		return nil, nil, schema.Wrap(schema.Failed, err, "read build context: %v", docker.Text(err))
	}
	dirs := filesync.StaticDirSource{"context": folder, "dockerfile": s.recipe()}
	attrs := map[string]string{"filename": s.Name}
	text := map[string]string{
		"target": f.Target, "force-network-mode": f.Network, "add-hosts": strings.Join(f.Hosts, ","),
		"ulimit": strings.Join(f.Ulimits, ","), "cgroup-parent": f.CgroupParent,
	}
	for key, value := range text {
		if value != "" && value != "default" {
			attrs[key] = value
		}
	}
	if f.Platform != "" {
		p, err := platforms.Parse(f.Platform)
		if err != nil {
			return nil, nil, schema.Wrap(schema.Invalid, err, "extra_args: platform %q is not understood", f.Platform)
		}
		attrs["platform"] = platforms.Format(p)
	}
	if f.NoCache || len(f.NoCacheOf) > 0 {
		attrs["no-cache"] = strings.Join(f.NoCacheOf, ",")
	}
	if f.Pull {
		attrs["image-resolve-mode"] = "pull"
	}
	if f.Shm > 0 {
		attrs["shm-size"] = fmt.Sprint(f.Shm)
	}
	pairs(attrs, "build-arg:", f.Args, s.Args)
	pairs(attrs, "label:", f.Labels, s.Labels)
	if err := s.caches(attrs); err != nil {
		return nil, nil, err
	}
	return attrs, dirs, s.contexts(attrs, dirs)
}

// pairs adds the entries of several maps; later ones win.
func pairs(attrs map[string]string, prefix string, from ...map[string]string) {
	for _, m := range from {
		for key, value := range m {
			attrs[prefix+key] = value
		}
	}
}

func (s *Spec) caches(attrs map[string]string) error {
	var from []*control.CacheOptionsEntry
	for _, c := range s.Flags.CacheFrom {
		if c.Type == "registry" { // inline cache is read from where the image is
			from = append(from, &control.CacheOptionsEntry{Type: c.Type, Attrs: c.Attrs})
		}
	}
	if len(from) == 0 {
		return nil
	}
	text, err := json.Marshal(from)
	attrs["cache-imports"] = string(text)
	return err
}

// Remote reports whether a named context is fetched by the engine.
func Remote(where string) bool {
	return strings.Contains(where, "://") || strings.HasPrefix(where, "git@")
}

// contexts adds the named contexts; folders are served over the session.
func (s *Spec) contexts(attrs map[string]string, dirs filesync.StaticDirSource) error {
	for i, name := range slices.Sorted(maps.Keys(s.Flags.Contexts)) {
		where := s.Flags.Contexts[name]
		if Remote(where) {
			attrs["context:"+name] = where
			continue
		}
		path := where
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.Context, path)
		}
		folder, err := rootOwned(path)
		if err != nil {
			return schema.Wrap(schema.Invalid, err, "extra_args: --build-context %s=%s: no such folder (seen from the build context)", name, where)
		}
		key := fmt.Sprintf("folder%d", i)
		dirs[key], attrs["context:"+name] = folder, "local:"+key
	}
	return nil
}
