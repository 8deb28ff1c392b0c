package hub

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"berth/schema"
)

// serverLog takes the server's log lines into slog.
type serverLog struct {
	log   *slog.Logger
	who   func(nkey string) (Identity, bool) // of a connection that is up; may be nil
	limit limiter
	fatal atomic.Pointer[string]
	lost  chan error // the store cannot be written to any more; holds one
}

// Noticef logs what the server finds worth a notice: of no interest by default.
func (l *serverLog) Noticef(format string, v ...any) { l.line(slog.LevelDebug, format, v) }

// Warnf logs a warning.
func (l *serverLog) Warnf(format string, v ...any) { l.line(slog.LevelWarn, format, v) }

// Errorf logs an error; refused logins and forbidden subjects arrive here.
// So does a failed write, after which the server does not write to that stream
// again, whatever becomes of the disk.
func (l *serverLog) Errorf(format string, v ...any) {
	if strings.Contains(format, "ritical write error") {
		select {
		case l.lost <- schema.Errorf(schema.Unavailable, "core's store cannot be written to (%s): see that its disk has space, then start core again", cause(v)):
		default:
		}
	}
	l.line(slog.LevelError, format, v)
}

// cause is the innermost error among a line's arguments, which names no path.
func cause(args []any) error {
	for _, a := range args {
		if err, ok := a.(error); ok {
			for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(next) {
				err = next
			}
			return err
		}
	}
	return errors.New("the reason is in the log")
}

// Debugf logs details.
func (l *serverLog) Debugf(format string, v ...any) { l.line(slog.LevelDebug, format, v) }

// Tracef drops the protocol trace.
func (l *serverLog) Tracef(string, ...any) {}

// Fatalf keeps the reason; whoever started the server finds it. It must not exit.
func (l *serverLog) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.fatal.CompareAndSwap(nil, &text)
	l.log.Error("nats", "text", text)
}

func (l *serverLog) cause() error {
	if text := l.fatal.Load(); text != nil {
		return errors.New(*text)
	}
	return errors.New("the server is not ready")
}

func (l *serverLog) line(level slog.Level, format string, v []any) {
	text := fmt.Sprintf(format, v...)
	if strings.Contains(text, "authentication error") || strings.Contains(text, "Websocket not configured with TLS") {
		return // logged with its reason by the authenticator; of a listener that only this machine reaches
	}
	if level > slog.LevelDebug && !l.limit.allow() {
		return
	}
	l.log.Log(nil, level, "nats", "text", l.named(text)) //nolint:staticcheck // the server's callbacks have no context
}

// named says who a line is about, which the server knows by his key only: whoever
// tries what he may not is to be found in the log by his id.
func (l *serverLog) named(text string) string {
	const mark = "/nkey:"
	_, after, found := strings.Cut(text, mark)
	if !found || l.who == nil {
		return text
	}
	key, _, _ := strings.Cut(after, `"`)
	id, known := l.who(key)
	if !known {
		return text
	}
	return strings.Replace(text, mark+key, fmt.Sprintf("/%s:%s", id.Kind, id.ID), 1)
}

// limiter lets 60 lines a minute pass, so that a storm does not fill the log.
type limiter struct {
	mu    sync.Mutex
	since time.Time
	n     int
}

func (l *limiter) allow() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.since) > time.Minute {
		l.since, l.n = now, 0
	}
	l.n++
	return l.n <= 60
}
