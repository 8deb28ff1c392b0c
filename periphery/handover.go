package periphery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"berth/bus"
	"berth/periphery/compose"
	"berth/periphery/journal"
	"berth/schema"
)

// A deploy that would end the agent that does it is finished by a container of its
// own, of the same image and with the same volumes. What it needs to know, secrets
// included, it is told on standard input. What became of it, it leaves in the
// agent's data folder, where the agent of then, new or old, finds and reports it.

// The labels of such a container.
const (
	labelFinish = "berth.finish" // id of the command
	labelAgent  = "berth.agent"  // id of the agent's server
)

const (
	handPause = 250 * time.Millisecond // between two looks for what became of it
	handLook  = 2 * time.Second        // between two looks whether it still runs
	helloTime = 2 * time.Second        // for core to say that it is there
	lifeFile  = "alive.json"
)

// finishVerb are the arguments of the program that finishes a deploy.
func finishVerb(note string) []string { return []string{"periphery", "finish", "--note", note} }

// task is what the one who finishes a deploy is told. It holds secrets and is
// never written down.
type task struct {
	Data     string             `json:"data"`
	Engine   string             `json:"engine"`
	Version  string             `json:"version"`
	Server   string             `json:"server"`
	Deadline int64              `json:"deadline"` // unix ms; 0 is none
	Command  schema.Command     `json:"command"`
	Req      schema.StackUpReq  `json:"req"`
	Resp     schema.StackUpResp `json:"resp"`
	Know     schema.SecretsResp `json:"know"`
	Hidden   []hiddenValue      `json:"hidden"`
	Root     string             `json:"root"`
	Dir      string             `json:"dir"`
	Spec     compose.Spec       `json:"spec"`
	Tracked  bool               `json:"tracked"` // files are known by git
	Base     map[string]string  `json:"base"`
	Guard    guard              `json:"guard"`
}

// hiddenValue is a value that no output shows.
type hiddenValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// handover is what is noted of a command that was handed over.
type handover struct {
	Container string         `json:"container"` // that finishes it
	First     int            `json:"first"`     // index of its first entry in the output
	Started   int64          `json:"started"`   // unix ms
	Phases    []schema.Phase `json:"phases"`    // before
}

// begun is what the one who finishes a deploy notes when it begins: when it is
// killed and started again, it brings back what was there before.
type begun struct {
	Data    string   `json:"data"`
	Engine  string   `json:"engine"`
	Version string   `json:"version"`
	Server  string   `json:"server"`
	Command string   `json:"command"`
	Keep    []string `json:"keep"`
}

// verdict is what became of it; masked.
type verdict struct {
	Resp    schema.StackUpResp `json:"resp"`
	Problem *schema.Problem    `json:"problem,omitempty"`
	Phases  []schema.Phase     `json:"phases"`
	Entries []schema.Entry     `json:"entries"`
}

// life is a sign of life of an agent.
type life struct {
	Container string `json:"container"`
	Version   string `json:"version"`
	At        int64  `json:"at"` // unix ms: when it began to ask core, which answered
}

func (a *Agent) handFile(command, kind string) string {
	return filepath.Join(a.cfg.Data, "handover", folder(command)+"."+kind+".json")
}

// keepJSON writes a file of a handover; loadJSON reads one, fs.ErrNotExist for none.
func keepJSON(path string, what any) error {
	data, err := json.Marshal(what)
	if err == nil {
		err = bus.WritePrivate(path, data)
	}
	return schema.Wrap(schema.Failed, err, "write %s: check the disk", path)
}

func loadJSON[T any](path string) (*T, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := new(T)
	return out, json.Unmarshal(data, out)
}

// handOver has another container finish the deploy, and takes over what became of
// it, if this agent is still there then.
func (d *deployment) handOver(ctx context.Context, g guard) error {
	var h handover
	var give func([]byte) error
	err := d.job.phase(ctx, "hand over", func(ctx context.Context) (string, error) {
		program, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("find this program: %w", err)
		}
		h.Container, give, err = d.a.engine.Twin(ctx, twinOf(d, g, program))
		return "this agent's own container may be replaced: another one finishes it", err
	})
	if err != nil {
		return err
	}
	h.Started, h.Phases, h.First = d.job.began.UnixMilli(), d.job.phases(), d.job.out.count()
	record := d.a.handFile(d.job.cmd.ID, "handover")
	if err = keepJSON(record, h); err == nil {
		var data []byte
		if data, err = json.Marshal(d.task(ctx, g)); err == nil { //nolint:musttag // read by the same program
			d.job.handed.Store(true)
			err = give(data)
		}
	}
	if err != nil {
		d.job.handed.Store(false)
		return errors.Join(err, d.a.engine.Discard(context.WithoutCancel(ctx), h.Container), os.Remove(record))
	}
	v, err := d.a.awaitVerdict(d.job.life, d.job.cmd.ID, h) //nolint:contextcheck // what was handed over cannot be canceled
	if err != nil {
		return err
	}
	d.job.handed.Store(false)
	for _, e := range v.Entries {
		d.job.out.add(e)
	}
	d.job.took(v.Phases)
	d.resp = v.Resp
	return v.Problem.Err()
}

// task is what the other one has to know.
func (d *deployment) task(ctx context.Context, g guard) task {
	t := task{
		Data: d.a.cfg.Data, Engine: d.a.cfg.Engine, Version: d.a.cfg.Version, Server: d.a.join.Server,
		Command: d.job.cmd, Req: d.req, Resp: d.resp, Know: d.know.SecretsResp, Hidden: d.job.hidden,
		Root: d.root, Dir: d.dir, Spec: d.spec, Tracked: d.spec.Tracked != nil, Base: d.base, Guard: g,
	}
	t.Spec.Pull = t.Spec.Pull && !d.req.IfChanged // it is done
	if end, ok := ctx.Deadline(); ok {
		t.Deadline = end.UnixMilli()
	}
	return t
}

// awaitVerdict waits until a command that was handed over has come to its end, and
// lets the one who finishes it know that this agent hears from core. An error says
// that it ended without a word; life's end ends the wait only.
func (a *Agent) awaitVerdict(life context.Context, command string, h handover) (*verdict, error) {
	looked := time.Now()
	for {
		v, err := loadJSON[verdict](a.handFile(command, "verdict"))
		if err == nil {
			return v, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, schema.Wrap(schema.Interrupted, err, "what became of the deploy cannot be read: %v", err)
		}
		if time.Since(looked) > handLook {
			looked = time.Now()
			if a.hasEnded(life, h.Container) {
				v, err := loadJSON[verdict](a.handFile(command, "verdict"))
				return v, schema.Wrap(schema.Interrupted, err, "the container that was to finish the deploy ended without a word")
			}
		}
		a.showLife(life)
		if err := bus.Sleep(life, handPause); err != nil {
			return nil, err
		}
	}
}

// hasEnded reports whether a container is known to have ended.
func (a *Agent) hasEnded(ctx context.Context, id string) bool {
	c, err := a.engine.Inspect(ctx, id)
	return schema.CodeOf(err) == schema.NotFound || err == nil && (c.State == "exited" || c.State == "dead")
}

// showLife notes that this agent hears from core, if it does.
func (a *Agent) showLife(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	s := life{Container: self(), Version: a.cfg.Version, At: time.Now().UnixMilli()}
	if _, err := bus.VerifyCore(ctx, a.conn, a.join.Key); err != nil {
		return
	}
	if err := keepJSON(filepath.Join(a.cfg.Data, "handover", lifeFile), s); err != nil {
		a.log.Warn("note that core answers", "err", schema.SafeText(err))
	}
}

func (a *Agent) signOfLife() (*life, error) {
	return loadJSON[life](filepath.Join(a.cfg.Data, "handover", lifeFile))
}

// takeOver reports what became of a command that an earlier process handed over;
// false if it did not.
func (a *Agent) takeOver(ctx context.Context, e journal.Entry, cmd schema.Command) (schema.Result, bool) {
	h, err := loadJSON[handover](a.handFile(cmd.ID, "handover"))
	if err != nil {
		return schema.Result{}, false
	}
	leave, err := a.gate.enter(ctx)
	if err != nil {
		return schema.Result{}, false
	}
	defer leave()
	keep, stop := context.WithCancel(ctx)
	defer stop()
	renewed := make(chan struct{})
	go func() { defer close(renewed); a.renew(keep, cmd.ID, e.Fence) }()
	v, err := a.awaitVerdict(ctx, cmd.ID, *h)
	stop()
	<-renewed
	if err != nil {
		a.log.Warn("a deploy that was handed over", "command", cmd.ID, "err", schema.SafeText(err))
		return schema.Result{}, false // what is there says more
	}
	out := a.newJob(ctx, cmd).out
	out.skip(h.First)
	for _, entry := range v.Entries {
		out.add(entry)
	}
	lines, cut := out.finish(context.WithoutCancel(ctx), v.Problem.Err())
	res := schema.Result{
		Command: cmd.ID, Run: cmd.Run, Step: cmd.Step, Problem: v.Problem, Phases: append(h.Phases, v.Phases...),
		Took: time.Now().UnixMilli() - h.Started, Lines: lines, Cut: cut,
	}
	if res.Problem == nil {
		if res.Value, err = json.Marshal(v.Resp); err != nil {
			res.Problem = schema.ProblemOf(err)
		}
	}
	return res, true
}

// forgetHandover removes what a command that was handed over left behind.
func (a *Agent) forgetHandover(ctx context.Context, command string) {
	h, err := loadJSON[handover](a.handFile(command, "handover"))
	if err != nil {
		return
	}
	if err := a.engine.Discard(ctx, h.Container); err != nil {
		a.log.Warn("remove the container that finished a deploy; the next start does", "err", schema.SafeText(err))
		return
	}
	_ = os.Remove(a.handFile(command, "verdict")) // cleanHandovers takes what is left
	_ = os.Remove(a.handFile(command, "begun"))
	_ = os.Remove(a.handFile(command, "handover"))
	_ = os.Remove(filepath.Join(a.cfg.Data, "handover", lifeFile))
}

// cleanHandovers removes containers and notes of commands that are not open.
func (a *Agent) cleanHandovers(ctx context.Context, open []journal.Entry) {
	isOpen := func(id string) bool {
		for _, e := range open {
			if e.ID == id {
				return true
			}
		}
		return false
	}
	list, err := a.engine.Labelled(ctx, labelAgent, a.join.Server)
	if err != nil {
		return // the next start does
	}
	for id, labels := range list {
		if command := labels[labelFinish]; command != "" && !isOpen(command) {
			a.log.Info("remove a container that was to finish a deploy", "command", command)
			_ = a.engine.Discard(ctx, id) // the next start does
		}
	}
	files, _ := filepath.Glob(filepath.Join(a.cfg.Data, "handover", "*.json"))
	for _, f := range files {
		if id, _, _ := strings.Cut(filepath.Base(f), "."); !isOpen(id) {
			_ = os.Remove(f) // the next start does
		}
	}
}
