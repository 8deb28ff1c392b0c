package periphery

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"berth/git"
	"berth/mask"
	"berth/periphery/compose"
	"berth/periphery/docker"
	"berth/periphery/secrets"
	"berth/schema"
)

// twinOf is the container that finishes a deploy.
func twinOf(d *deployment, g guard, program string) docker.Twin {
	id := d.job.cmd.ID
	return docker.Twin{
		Of: g.Agent, Name: "berth-finish-" + id[max(0, len(id)-12):], Path: program, Args: finishVerb(d.a.handFile(id, "begun")),
		Labels: map[string]string{labelFinish: id, labelAgent: d.a.join.Server, docker.LabelRun: d.job.cmd.Run},
		Folder: d.a.cfg.Data, Online: d.req.Config.PostDeploy.Command != "",
	}
}

// Finish does what an agent hands over on in: it brings a deploy to its end that
// replaces the agent's own container, or back to what was before, and leaves word
// of it in the agent's data folder. It is the program of a container of its own. In
// note it notes that it has begun: when it finds that, it was killed meanwhile, and
// brings back what was before.
func Finish(ctx context.Context, in io.Reader, note string, log *slog.Logger) error {
	if b, err := loadJSON[begun](note); err == nil {
		return undo(ctx, b, log)
	}
	t, err := hear(ctx, in)
	if err != nil {
		return err
	}
	b := &begun{Data: t.Data, Engine: t.Engine, Version: t.Version, Server: t.Server, Command: t.Command.ID, Keep: t.Guard.ids()}
	a, err := opened(b, log)
	if err != nil {
		return err
	}
	if err := keepJSON(note, b); err != nil {
		return err
	}
	defer a.close()
	if t.Deadline > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, time.UnixMilli(t.Deadline))
		defer stop()
	}
	masker := mask.NewMasker()
	for _, h := range t.Hidden {
		masker.Add(h.Name, h.Value)
	}
	kept := &shelf{}
	job := &Job{a: a, cmd: t.Command, mask: masker, out: newOutput(ctx, kept, masker, t.Command), life: ctx, began: time.Now()}
	d := &deployment{a: a, job: job, req: t.Req, know: &known{t.Know}, root: t.Root, dir: t.Dir, spec: t.Spec, base: t.Base, resp: t.Resp}
	err = d.finish(ctx, t)
	if err != nil {
		log.Error("deploy", "stack", t.Req.Name, "err", masker.Mask(schema.SafeText(err)))
	}
	job.out.finish(context.WithoutCancel(ctx), nil)
	v := verdict{Resp: d.resp, Problem: schema.ProblemOf(err), Phases: job.phases(), Entries: kept.entries()}
	if v.Problem != nil {
		v.Problem.Text = masker.Mask(v.Problem.Text)
	}
	return keepJSON(a.handFile(t.Command.ID, "verdict"), v)
}

// hearTime is how long the agent has to say what is to be done.
const hearTime = 30 * time.Second

// hear reads what is to be done.
func hear(ctx context.Context, in io.Reader) (task, error) {
	var t task
	heard := make(chan error, 1)
	go func() { heard <- json.NewDecoder(in).Decode(&t) }() //nolint:musttag // written by the same program; ends with in, or with the process
	select {
	case err := <-heard:
		return t, schema.Wrap(schema.Invalid, err, "read what is to be finished: this verb is for agents that replace themselves")
	case <-time.After(hearTime):
		return task{}, schema.Errorf(schema.Expired, "nobody says what is to be finished: this verb is for agents that replace themselves")
	case <-ctx.Done():
		return task{}, ctx.Err()
	}
}

// undo brings back what was there before a deploy in which this was killed, unless
// it had come to its end.
func undo(ctx context.Context, b *begun, log *slog.Logger) error {
	a, err := opened(b, log)
	if err != nil {
		return err
	}
	defer a.close()
	path := a.handFile(b.Command, "verdict")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	said, err := a.deploy.Restore(ctx, b.Keep)
	if schema.CodeOf(err) == schema.NotFound { // those before had been let go of
		return nil
	}
	if err != nil {
		return err
	}
	log.Info("killed before the deploy was finished: it is rolled back", "done", said)
	return keepJSON(path, verdict{Problem: schema.ProblemOf(schema.Errorf(schema.Interrupted,
		"what finished the deploy was killed before its end: rolled back to the image before: %s", strings.Join(said, ", ")))})
}

// opened is as much of the agent as a deploy needs that has all it must know.
func opened(t *begun, log *slog.Logger) (*Agent, error) {
	a := &Agent{cfg: Config{Data: t.Data, Engine: t.Engine, Version: t.Version, Log: log}, log: log, started: time.Now(), git: git.New(log)}
	a.join.Server = t.Server
	var err error
	if a.digests, err = secrets.OpenDigester(filepath.Join(t.Data, DigestKey)); err != nil {
		return nil, err
	}
	if a.engine, err = docker.Open(t.Engine); err != nil {
		return nil, err
	}
	a.deploy = compose.New(a.engine, []byte(a.digests.Digest([]byte("inputs of deploys"))), log)
	return a, nil
}

// finish loads the project as the agent had prepared it, and carries it out.
func (d *deployment) finish(ctx context.Context, t task) (err error) {
	defer func() {
		if p := recover(); p != nil {
			d.a.log.Error("panic", "panic", d.job.mask.Mask(fmt.Sprint(p)))
			err = schema.Errorf(schema.Internal, "internal error while the deploy was finished")
		}
	}()
	if t.Tracked {
		if err := d.tracked(ctx); err != nil {
			return err
		}
	}
	d.spec.Before = d.intend
	plan, err := d.a.deploy.Load(ctx, d.spec)
	if err != nil {
		return err
	}
	return d.carryOut(ctx, plan, t.Guard)
}

// shelf keeps output instead of sending it.
type shelf struct {
	mu   sync.Mutex // guards list
	list []schema.Entry
}

// Emit takes a chunk.
func (s *shelf) Emit(_ context.Context, out schema.Output) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, out.Entries...)
	return nil
}

// Flush has nothing to wait for.
func (*shelf) Flush(context.Context) error { return nil }

func (s *shelf) entries() []schema.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list
}
