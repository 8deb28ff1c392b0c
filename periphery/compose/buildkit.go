package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	control "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/buildkit/session/filesync"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// errNoSession says that the engine has no BuildKit to talk to.
var errNoSession = errors.New("the engine refuses a build session")

// builder is the build of one image through the engine's own BuildKit: files,
// secrets and logins are served to it over a session.
type builder struct {
	d       *Deployer
	p       *Plan
	j       *job
	service types.ServiceConfig
	ref     string
	names   map[string]string // step → what it does
	ended   map[string]bool
}

func (b *builder) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	config := b.service.Build
	options := b.options()
	s, err := session.NewSession(ctx, b.ref)
	if err != nil {
		return err
	}
	if remoteContext(config.Context) {
		options.RemoteContext, options.Dockerfile = config.Context, config.Dockerfile
	} else {
		drop, err := b.serveFiles(s, &options)
		defer drop()
		if err != nil {
			return err
		}
	}
	if err := b.serveSecrets(s); err != nil {
		return err
	}
	s.Allow(&logins{auths: b.p.spec.Registries})
	options.SessionID = s.ID()

	dialed := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := s.Run(ctx, func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			conn, err := b.d.engine.API().DialHijack(ctx, "/session", proto, meta)
			dialed <- err
			return conn, err
		})
		if err != nil && ctx.Err() == nil {
			b.d.log.Debug("build session ended", "image", b.ref, "error", err)
		}
	}()
	defer func() { cancel(); _ = s.Close(); <-ended }()
	if err := <-dialed; err != nil {
		if client.IsErrConnectionFailed(err) || ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("%w: %w", errNoSession, err)
	}
	res, err := b.d.engine.API().ImageBuild(ctx, nil, options)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return b.follow(json.NewDecoder(res.Body))
}

// options are those of the engine's API that a build section can ask for.
func (b *builder) options() client.ImageBuildOptions {
	config, flags := b.service.Build, b.p.build
	args := map[string]*string{}
	maps.Copy(args, config.Args)
	maps.Copy(args, flags.args)
	for name, value := range args {
		if value == nil {
			if v, ok := b.p.project.Environment[name]; ok {
				args[name] = &v
			} else {
				delete(args, name)
			}
		}
	}
	labels := map[string]string{}
	maps.Copy(labels, config.Labels)
	labels[api.VersionLabel], labels[api.ProjectLabel], labels[api.ServiceLabel] = api.ComposeVersion, b.p.project.Name, b.service.Name
	o := client.ImageBuildOptions{
		Version: build.BuilderBuildKit, RemoteContext: "client-session", Tags: append([]string{b.ref}, config.Tags...),
		BuildArgs: args, Labels: labels, Target: config.Target, NoCache: config.NoCache || flags.noCache,
		PullParent: config.Pull || flags.pull, NetworkMode: config.Network, ShmSize: int64(config.ShmSize),
		CacheFrom: config.CacheFrom, Remove: true,
		ExtraHosts: config.ExtraHosts.AsList(":"),
	}
	platform := b.service.Platform
	if len(config.Platforms) == 1 {
		platform = config.Platforms[0]
	}
	if platform != "" {
		if parsed, err := parsePlatform(platform); err == nil {
			o.Platforms = append(o.Platforms, parsed)
		}
	}
	return o
}

// serveFiles gives the build its folder and its Dockerfile. The returned function
// removes what had to be written for that.
func (b *builder) serveFiles(s *session.Session, o *client.ImageBuildOptions) (func(), error) {
	drop := func() {}
	config := b.service.Build
	folder, err := rootOwned(config.Context)
	if err != nil {
		return drop, fmt.Errorf("read build context %s: %s", b.p.spec.short(config.Context), reason(err, b.p.spec.Dir))
	}
	file := dockerfile(config)
	if config.DockerfileInline != "" {
		dir, err := os.MkdirTemp("", "berth-build-")
		if err != nil {
			return drop, err
		}
		drop = func() { _ = os.RemoveAll(dir) }
		file = filepath.Join(dir, "Dockerfile")
		if err := os.WriteFile(file, []byte(config.DockerfileInline), 0o600); err != nil {
			return drop, err
		}
	} else if _, err := os.Stat(file); err != nil {
		return drop, fmt.Errorf("read %s: %s", b.p.spec.short(file), reason(err, filepath.Dir(file)))
	}
	recipe, err := rootOwned(filepath.Dir(file))
	if err != nil {
		return drop, err
	}
	o.Dockerfile = filepath.Base(file)
	s.Allow(filesync.NewFSSyncProvider(filesync.StaticDirSource{"context": folder, "dockerfile": recipe}))
	return drop, nil
}

// rootOwned is a folder whose files all belong to root, so that an image does not
// depend on who checked it out.
func rootOwned(dir string) (fsutil.FS, error) {
	all, err := fsutil.NewFS(dir)
	if err != nil {
		return nil, err
	}
	return fsutil.NewFilterFS(all, &fsutil.FilterOpt{Map: func(_ string, st *fstypes.Stat) fsutil.MapResult {
		st.Uid, st.Gid = 0, 0
		return fsutil.MapResultKeep
	}})
}

// serveSecrets gives the build the secrets its section names; they are never
// written.
func (b *builder) serveSecrets(s *session.Session) error {
	if len(b.service.Build.Secrets) == 0 {
		return nil
	}
	values := map[string][]byte{}
	for _, ref := range b.service.Build.Secrets {
		text, err := b.p.content(types.FileObjectConfig(b.p.project.Secrets[ref.Source]))
		if err != nil {
			return fmt.Errorf("read secret %q: %s", ref.Source, reason(err, b.p.spec.Dir))
		}
		values[ref.Source] = text
		if ref.Target != "" {
			values[ref.Target] = text
		}
	}
	s.Allow(secretsprovider.FromMap(values))
	return nil
}

// follow reads the build's messages to the end and returns the error it ended with.
func (b *builder) follow(dec *json.Decoder) error {
	b.ended = map[string]bool{}
	for dec.More() {
		var m jsonstream.Message
		if err := dec.Decode(&m); err != nil {
			return err
		}
		switch {
		case m.Error != nil:
			return m.Error
		case m.ID == "moby.buildkit.trace" && m.Aux != nil:
			b.trace(*m.Aux)
		case m.Stream != "":
			b.j.line(b.service.Name, strings.TrimRight(m.Stream, "\r\n"), false)
		}
	}
	return nil
}

// trace tells what a batch of BuildKit's own progress says.
func (b *builder) trace(aux json.RawMessage) {
	var raw []byte
	var status control.StatusResponse
	if json.Unmarshal(aux, &raw) != nil || proto.Unmarshal(raw, &status) != nil {
		return
	}
	name := b.service.Name
	for _, v := range status.Vertexes {
		if b.names[v.Digest] == "" && v.Started != nil {
			b.names[v.Digest] = v.Name
			b.j.line(name, v.Name, false)
		}
		switch {
		case v.Completed == nil || b.ended[v.Digest]:
		case v.Error != "":
			b.ended[v.Digest] = true
			b.j.line(name, v.Name+": "+v.Error, true)
		case v.Cached:
			b.ended[v.Digest] = true
			b.j.line(name, v.Name+" (cached)", false)
		default:
			b.ended[v.Digest] = true
		}
	}
	for _, s := range status.Statuses {
		if s.Total > 0 {
			b.j.progress(name, "Image "+b.ref+" "+s.ID, "Building", s.Current, s.Total)
		}
	}
	for _, l := range status.Logs {
		for line := range strings.Lines(string(l.Msg)) {
			b.j.line(name, strings.TrimRight(line, "\r\n"), l.Stream == 2)
		}
	}
	for _, w := range status.Warnings {
		b.j.warn("build of %s: %s", b.ref, w.Short)
	}
}

// logins answers BuildKit's question for credentials of a registry.
type logins struct {
	auth.UnimplementedAuthServer
	auths map[string]Auth
}

// Register is part of session.Attachable.
func (l *logins) Register(s *grpc.Server) { auth.RegisterAuthServer(s, l) }

// Credentials is part of auth.AuthServer. No login is an anonymous one.
func (l *logins) Credentials(_ context.Context, q *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	for host, a := range l.auths {
		if authKey(host) == authKey(q.Host) {
			return &auth.CredentialsResponse{Username: a.User, Secret: a.Password}, nil
		}
	}
	return &auth.CredentialsResponse{}, nil
}
