package periphery

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/schema"
)

// socketFile is where a running agent is asked on its own server, by whoever may
// open it: mode 0600.
const socketFile = "agent.sock"

// said is a line of the answer: output, or the end.
type said struct {
	Entry  *schema.Entry   `json:"entry,omitempty"`
	Why    string          `json:"why,omitempty"` // with the end: why core had no part in it
	Result *schema.Result  `json:"result,omitempty"`
	Error  *schema.Problem `json:"error,omitempty"`
}

// inFolder calls fn with a short way to a file of a folder: the names of sockets
// are limited to 108 bytes, those of folders are not.
func inFolder(dir, name string, fn func(path string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return fn(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name))
}

// serveLocal answers on the socket until ctx ends.
func (a *Agent) serveLocal(ctx context.Context) error {
	path := a.path(socketFile)
	_ = os.Remove(path) // of an earlier process: this one holds the journal's lock
	var l *net.UnixListener
	err := inFolder(a.cfg.Data, socketFile, func(short string) error {
		var err error
		if l, err = net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"}); err == nil {
			l.SetUnlinkOnClose(false)   // the way to it is gone by then
			err = os.Chmod(path, 0o600) // the folder is 0700
		}
		return err
	})
	if err != nil { // the agent works without
		a.log.Warn("open the socket for deploys without core", "err", err)
		return nil
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer os.Remove(path)
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			if ctx.Err() == nil {
				a.log.Warn("the socket for deploys without core is closed", "err", err)
			}
			return nil
		}
		wg.Go(func() { a.answerLocal(ctx, c) })
	}
}

// answerLocal does what one connection asks for. When it ends, so does the work.
func (a *Agent) answerLocal(life context.Context, c *net.UnixConn) {
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithCancelCause(life)
	defer cancel(nil)
	stop := context.AfterFunc(life, func() { _ = c.SetReadDeadline(time.Now()) })
	defer stop()
	var req LocalReq
	in := json.NewDecoder(bufio.NewReader(c))
	if err := in.Decode(&req); err != nil {
		return
	}
	req.By = cmp.Or(peer(c), req.By)
	gone := make(chan struct{})
	go func() { // ends when the connection does
		defer close(gone)
		_, _ = c.Read(make([]byte, 1))
		cancel(schema.Errorf(schema.Canceled, "canceled by %s", req.By))
	}()
	var mu sync.Mutex
	out := json.NewEncoder(c)
	say := func(s said) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(s) // who does not listen any more cancels
	}
	why := a.whyWithout()
	res, err := a.up(ctx, life, req, why, func(e schema.Entry) { say(said{Entry: &e}) })
	if err != nil {
		say(said{Error: schema.ProblemOf(err)})
	} else {
		say(said{Result: &res, Why: why})
	}
	_ = c.Close()
	<-gone
}

// peer names the user at the other end of a socket.
func peer(c *net.UnixConn) string {
	raw, err := c.SyscallConn()
	if err != nil {
		return ""
	}
	var cred *unix.Ucred
	if err := raw.Control(func(fd uintptr) { cred, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || cred == nil {
		return ""
	}
	return userName(int(cred.Uid))
}

func userName(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	if uid == 0 {
		return "root"
	}
	return "uid " + id
}

// Up deploys a stack on this server without core, with what the agent kept of its
// last deploy: the running agent does it, or, when none runs, this process. show
// sees the output as it comes. The result's problem is how the deploy failed; an
// error is why there was none. why says, for people, why core had no part in it.
// Errors: NotFound for a stack that was never deployed here, or for values that
// only core has; Conflict while an agent runs that does not answer.
func Up(ctx context.Context, cfg Config, req LocalReq, show func(schema.Entry)) (res schema.Result, why string, err error) {
	var c net.Conn
	err = inFolder(cfg.Data, socketFile, func(short string) error {
		var err error
		c, err = (&net.Dialer{}).DialContext(ctx, "unix", short)
		return err
	})
	switch {
	case err == nil:
		return askAgent(ctx, c, req, show)
	case errors.Is(err, os.ErrPermission):
		return res, "", schema.Errorf(schema.Denied, "open %s: permission denied: run this as the user of the agent (root)", filepath.Join(cfg.Data, socketFile))
	case !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED):
		return res, "", schema.Wrap(schema.Failed, err, "ask the agent: %v", err)
	}
	if !Joined(cfg.Data) {
		return res, "", schema.Errorf(schema.NotFound, "no agent has worked in %s: name its folder with --data", filepath.Dir(cfg.Data))
	}
	a, err := open(ctx, cfg)
	if err != nil {
		return res, "", err
	}
	defer a.close()
	req.By = userName(os.Getuid())
	why = a.whyWithout()
	res, err = a.up(ctx, ctx, req, why, show)
	return res, why, err
}

// askAgent has the running agent do it.
func askAgent(ctx context.Context, c net.Conn, req LocalReq, show func(schema.Entry)) (res schema.Result, why string, err error) {
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if err := json.NewEncoder(c).Encode(req); err != nil {
		return res, "", schema.Wrap(schema.Unavailable, err, "ask the agent: %v", err)
	}
	in := json.NewDecoder(bufio.NewReader(c))
	for {
		var s said
		if err := in.Decode(&s); err != nil {
			if ctx.Err() != nil {
				return res, "", schema.Errorf(schema.Canceled, "canceled")
			}
			return res, "", schema.Errorf(schema.Interrupted, "the agent went away before it had answered: look at its log")
		}
		switch {
		case s.Entry != nil:
			show(*s.Entry)
		case s.Error != nil:
			return res, "", s.Error.Err()
		case s.Result != nil:
			return *s.Result, s.Why, nil
		}
	}
}
