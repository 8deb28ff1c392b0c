package bus

import (
	"sync"

	"github.com/nats-io/nats.go"
)

// keyring is the key a connection logs in with. The client library keeps the
// public half among its options and reads it when it connects; it is replaced
// there, just before, on the goroutine that connects and under the library's lock.
type keyring struct {
	mu     sync.Mutex
	public string
	sign   nats.SignatureHandler
	next   *keyring // the key of the next login; nil keeps this one
}

// signNonce answers the server's challenge with the key that is in use.
func (k *keyring) signNonce(nonce []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sign(nonce)
}

// turn takes the next key into use, if there is one, and returns its public half.
func (k *keyring) turn() (public string, turned bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.next == nil {
		return "", false
	}
	k.public, k.sign, k.next = k.next.public, k.next.sign, nil
	return k.public, true
}

// beforeReconnect is called by the library before each attempt to connect again;
// it leaves the choice of the server to the library.
func (c *Conn) beforeReconnect() {
	if public, turned := c.key.turn(); turned {
		c.nc.Opts.Nkey = public
	}
}

// Key returns the public half of the key of the newest login.
func (c *Conn) Key() string {
	c.key.mu.Lock()
	defer c.key.mu.Unlock()
	return c.key.public
}

// UseKey makes the next login use another key. The connection as it stands is left
// alone.
func (c *Conn) UseKey(seed []byte) error {
	public, sign, err := signer(seed)
	if err != nil {
		return err
	}
	c.key.mu.Lock()
	defer c.key.mu.Unlock()
	c.key.next = &keyring{public: public, sign: sign}
	return nil
}

// Rekey logs in anew with another key, at once. What is subscribed stays so; who
// waits for an answer is told that the line was lost. Wait tells when it is through.
func (c *Conn) Rekey(seed []byte) error {
	if err := c.UseKey(seed); err != nil {
		return err
	}
	return unreachable(c.nc.ForceReconnect(), "log in with another key")
}
