package bus

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"
)

// line is the connection as it stands now. An answer that was still to come over
// it does not come any more once it is lost, as when core was killed: who waits
// for one is told at once instead of at his deadline.
type line struct {
	mu  sync.Mutex
	up  context.Context //nolint:containedctx // ends with this line; the next one has its own
	end context.CancelFunc
}

// lost ends the waits of all who ask over the line, and begins the next one.
func (l *line) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		l.end()
	}
	l.up, l.end = nil, nil
}

func (l *line) now() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up == nil {
		l.up, l.end = context.WithCancel(context.Background()) //nolint:forbidigo // ends when the line is lost, not with a caller
	}
	return l.up
}

// bound returns a ctx that ends with the line as well; call done when the answer
// is there.
func (l *line) bound(ctx context.Context) (bound context.Context, done func()) {
	bound, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.now(), func() { cancel(nats.ErrDisconnected) })
	return bound, func() { stop(); cancel(nil) }
}

// whyEnded tells a wait that the line's end cut short from others.
func whyEnded(bound context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(bound), nats.ErrDisconnected) {
		return nats.ErrDisconnected
	}
	return err
}
