package core

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"berth/bus"
	"berth/core/execution"
	"berth/schema"
)

// What core proves itself by to agents: the hub's own key until it was changed the
// first time, then that of identityFile. While it is changed, the key and the TLS
// certificate to come lie in files of the same names with a suffix; once commitFile
// is there, they take the place of those in use, whatever stops core in between.
const (
	identityFile = "identity.nk"
	nextSuffix   = ".next"
	commitFile   = "identity.commit"
)

// signer is the key that core proves itself by.
type signer struct {
	mu     sync.Mutex
	seed   []byte
	public string
}

// Seed returns the key that is in use now.
func (s *signer) Seed() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seed
}

// Public returns its public half.
func (s *signer) Public() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.public
}

// load reads the key of dir; hub is the one to use when there is none.
func (s *signer) load(dir string, hub []byte) error {
	seed, err := bus.LoadSeed(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		seed, err = hub, nil
	}
	if err != nil {
		return err
	}
	public, err := bus.PublicKey(seed)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seed, s.public = seed, public
	return nil
}

// committed are the files that are changed together.
func committed() []string { return []string{identityFile, "tls.crt", "tls.key"} }

// finishKeys completes a change that was decided.
func finishKeys(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, commitFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("look for a change of core's key: %w", err)
	}
	for _, name := range committed() {
		path := filepath.Join(dir, name)
		if err := os.Rename(path+nextSuffix, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("change core's key: %w", err)
		}
	}
	if err := os.Remove(filepath.Join(dir, commitFile)); err != nil {
		return fmt.Errorf("change core's key: %w", err)
	}
	return nil
}

// makeNext writes the keys to come and returns their public halves.
func (c *core) makeNext() (execution.CoreKeys, error) {
	seed, err := bus.NewSeed()
	if err != nil {
		return execution.CoreKeys{}, err
	}
	out := execution.CoreKeys{}
	if out.Key, err = bus.PublicKey(seed); err != nil {
		return out, err
	}
	if err := bus.WritePrivate(filepath.Join(c.dir(), identityFile+nextSuffix), append(bytes.Clone(seed), '\n')); err != nil {
		return out, fmt.Errorf("write core's next key: %w", err)
	}
	if !c.tls.own { // a given certificate is renewed by whoever gave it
		return out, nil
	}
	out.Pin, err = writeCertificate(filepath.Join(c.dir(), "tls.crt"+nextSuffix), filepath.Join(c.dir(), "tls.key"+nextSuffix))
	return out, err
}

// useNext puts the keys to come in the place of those in use. It refuses others than
// those named: they were made anew since.
func (c *core) useNext(key string) error {
	if c.signer.Public() == key {
		return nil // it was done before core was stopped
	}
	seed, err := bus.LoadSeed(filepath.Join(c.dir(), identityFile+nextSuffix))
	if err != nil {
		return schema.Wrap(schema.Failed, err, "read core's next key: %v", err)
	}
	if have, err := bus.PublicKey(seed); err != nil || have != key {
		return schema.Errorf(schema.Conflict, "core's next key was made anew since: run it again")
	}
	if err := bus.WritePrivate(filepath.Join(c.dir(), commitFile), []byte(key+"\n")); err != nil {
		return schema.Wrap(schema.Failed, err, "change core's key: %v", err)
	}
	if err := finishKeys(c.dir()); err != nil {
		return schema.Wrap(schema.Failed, err, "%v", err)
	}
	if err := c.signer.load(c.dir(), c.hub.Seed()); err != nil {
		return schema.Wrap(schema.Failed, err, "read core's new key: %v", err)
	}
	return c.tls.renew()
}
