package periphery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"berth/bus"
	"berth/schema"
)

// coreKey is what core proves itself by: its public nkey, and the pins of its TLS key.
type coreKey struct {
	Key string   `json:"key"`
	Pin []string `json:"pin,omitempty"`
}

// learnCoreKey remembers the key that core is about to use: from then on either is
// believed. Told that core uses it now, the agent has core prove it and forgets the
// one before.
func (a *Agent) learnCoreKey(ctx context.Context, _ *Job, req schema.CoreKeyReq) (struct{}, error) {
	if !req.Now {
		a.joining.Lock()
		defer a.joining.Unlock()
		a.join.Next = &coreKey{Key: req.Key, Pin: req.Pin}
		return struct{}{}, a.saveJoin()
	}
	if _, err := bus.VerifyCore(ctx, a.conn, req.Key); err != nil {
		return struct{}{}, err
	}
	return struct{}{}, a.promoteCore(req.Key)
}

// promoteCore makes the next key of core the only one.
func (a *Agent) promoteCore(key string) error {
	a.joining.Lock()
	defer a.joining.Unlock()
	next := a.join.Next
	if next == nil || next.Key != key {
		return nil // it is already
	}
	a.join.Key, a.join.Pin, a.join.Next = next.Key, next.Pin, nil
	return a.saveJoin()
}

// corePins are the pins of core's TLS key that are good now.
func (a *Agent) corePins() []string {
	a.joining.Lock()
	defer a.joining.Unlock()
	pins := a.join.Pin
	if next := a.join.Next; next != nil && len(pins) > 0 {
		pins = append(append([]string{}, pins...), next.Pin...)
	}
	return pins
}

// verifyCore has core prove that it holds a key this agent knows.
func (a *Agent) verifyCore(ctx context.Context, conn *bus.Conn) (schema.HelloResp, error) {
	a.joining.Lock()
	key, next := a.join.Key, a.join.Next
	a.joining.Unlock()
	hello, err := bus.VerifyCore(ctx, conn, key)
	if schema.CodeOf(err) != schema.Denied || next == nil {
		return hello, err
	}
	if hello, second := bus.VerifyCore(ctx, conn, next.Key); second == nil {
		return hello, a.promoteCore(next.Key)
	}
	return hello, err
}

// saveJoin writes what is remembered of the join; the caller holds joining.
func (a *Agent) saveJoin() error {
	data, err := json.MarshalIndent(a.join, "", "  ")
	if err != nil {
		return fmt.Errorf("encode join: %w", err)
	}
	if err := errors.Join(bus.WritePrivate(filepath.Join(a.cfg.Data, "core.json"), data), a.syncData()); err != nil {
		return fmt.Errorf("remember join: %w", err)
	}
	return nil
}
