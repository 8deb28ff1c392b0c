package periphery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"berth/bus"
	"berth/schema"
)

// While the key is changed, the one to come lies in nextKeyFile. Those before stay
// in oldKeyFile, one per line, newest first: a core that was restored from a backup
// may know no other.
const (
	nextKeyFile = "key.next.nk"
	oldKeyFile  = "key.old.nk"
	oldKeys     = 30
)

// probeTime is how long core may take to let in a key that is new.
const probeTime = 30 * time.Second

func (a *Agent) path(name string) string { return filepath.Join(a.cfg.Data, name) }

// rotateKey changes the agent's key. Until it has logged in with the new one, and
// that is on disk, nothing of the old one is given up; core lets both in meanwhile.
func (a *Agent) rotateKey(ctx context.Context, _ *Job, _ schema.KeyRotateReq) (schema.KeyRotateResp, error) {
	a.keying.Lock()
	defer a.keying.Unlock()
	before := a.conn.Key()
	seed, public, err := a.makeKey()
	if err != nil {
		return schema.KeyRotateResp{}, schema.Wrap(schema.Failed, err, "make a key: %v", err)
	}
	if err := a.tryKey(ctx, seed, public); err != nil {
		err = errors.Join(err, os.Remove(a.path(nextKeyFile)))
		_, _ = bus.Request(ctx, a.conn, schema.AskKeyKeep, schema.KeyReq{NKey: before}) // also done at the next start
		return schema.KeyRotateResp{}, schema.Wrap(schema.CodeOf(err), err, "the agent keeps the key it has")
	}
	if err := a.promoteKey(); err != nil {
		return schema.KeyRotateResp{}, schema.Wrap(schema.Failed, err, "keep the new key: %v", err)
	}
	if err := a.switchKey(ctx, seed, public); err != nil {
		return schema.KeyRotateResp{}, schema.Wrap(schema.CodeOf(err), err, "log in with the new key")
	}
	a.log.Info("this agent has another key", "key", public, "before", before)
	return schema.KeyRotateResp{NKey: public, Before: before}, nil
}

// makeKey writes a new key beside the one in use.
func (a *Agent) makeKey() (seed []byte, public string, err error) {
	if seed, err = bus.NewSeed(); err != nil {
		return nil, "", err
	}
	if public, err = bus.PublicKey(seed); err != nil {
		return nil, "", err
	}
	return seed, public, errors.Join(bus.WritePrivate(a.path(nextKeyFile), append(slices.Clip(seed), '\n')), a.syncData())
}

// tryKey has core let a key in, and logs in with it once, on a line of its own.
func (a *Agent) tryKey(ctx context.Context, seed []byte, public string) error {
	if _, err := bus.Request(ctx, a.conn, schema.AskKeyAdd, schema.KeyReq{NKey: public}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	o := a.line(seed)
	o.Name += " (new key)"
	probe, err := bus.Dial(ctx, o)
	if err != nil {
		return err
	}
	defer probe.Close()
	if err := probe.Wait(ctx); err != nil {
		return err
	}
	_, err = a.verifyCore(ctx, probe)
	return err
}

// promoteKey makes the next key the agent's: each of the two steps leaves a whole
// key that core knows under keyFile.
func (a *Agent) promoteKey() error {
	now, err := bus.ReadPrivate(a.path(keyFile))
	if err != nil {
		return err
	}
	old, err := a.oldSeeds()
	if err != nil {
		return err
	}
	lines := []string{strings.TrimSpace(string(now))}
	for _, seed := range old {
		if len(lines) < oldKeys && !slices.Contains(lines, seed) {
			lines = append(lines, seed)
		}
	}
	text := []byte(strings.Join(lines, "\n") + "\n")
	return errors.Join(bus.WritePrivate(a.path(oldKeyFile), text), os.Rename(a.path(nextKeyFile), a.path(keyFile)), a.syncData())
}

// oldSeeds are the keys that the agent had before, newest first.
func (a *Agent) oldSeeds() ([]string, error) {
	text, err := bus.ReadPrivate(a.path(oldKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Fields(string(text)), err
}

// switchKey logs in with a key that core knows, and has core forget all others.
func (a *Agent) switchKey(ctx context.Context, seed []byte, public string) error {
	if err := a.conn.Rekey(seed); err != nil {
		return err
	}
	if err := a.conn.Wait(ctx); err != nil {
		return err
	}
	_, err := bus.Request(ctx, a.conn, schema.AskKeyKeep, schema.KeyReq{NKey: public})
	return err
}

// syncData puts names of files on the disk.
func (a *Agent) syncData() error {
	d, err := os.Open(a.cfg.Data)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// mindKey runs until ctx ends. After every login it sees to it that the agent's key
// is the only one that core knows of it: a change may have been cut short, and a
// restored core may have known an older key only.
func (a *Agent) mindKey(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.loggedIn:
		}
		err := a.settleKey(ctx)
		switch {
		case err == nil, ctx.Err() != nil:
		case schema.CodeOf(err) == schema.Unavailable: // again after the next login
			a.log.Debug("settle which key this agent has", "err", err)
		default:
			a.log.Warn("settle which key this agent has", "err", schema.SafeText(err))
		}
	}
}

func (a *Agent) settleKey(ctx context.Context) error {
	a.keying.Lock()
	defer a.keying.Unlock()
	if err := os.Remove(a.path(nextKeyFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a key that was not used: %w", err)
	}
	seed, public, err := a.ownKey()
	if err != nil {
		return err
	}
	if a.conn.Key() != public { // core knew the one before only
		if err := a.tryKey(ctx, seed, public); err != nil {
			return err
		}
		return a.switchKey(ctx, seed, public)
	}
	_, err = bus.Request(ctx, a.conn, schema.AskKeyKeep, schema.KeyReq{NKey: public})
	return err
}

// ownKey is the agent's key, which must be there.
func (a *Agent) ownKey() (seed []byte, public string, err error) {
	text, err := bus.ReadPrivate(a.path(keyFile))
	if err != nil {
		return nil, "", err
	}
	seed = bytes.TrimSpace(text)
	public, err = bus.PublicKey(seed)
	return seed, public, err
}

// otherKey lets the next login use the next of the keys that the agent has, and had
// before: core has refused the one that was tried.
func (a *Agent) otherKey() {
	old, err := a.oldSeeds()
	if err != nil || len(old) == 0 {
		return
	}
	own, _, err := a.ownKey()
	if err != nil {
		return
	}
	ring := append([]string{string(own)}, old...)
	at := slices.IndexFunc(ring, func(seed string) bool {
		public, err := bus.PublicKey([]byte(seed))
		return err == nil && public == a.conn.Key()
	})
	if err := a.conn.UseKey([]byte(ring[(at+1)%len(ring)])); err != nil {
		a.log.Warn("try another key", "err", schema.SafeText(err))
	}
}
