package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"berth/core/access"
	"berth/schema"
)

// Timing and limits of /ws/update.
const (
	liveLogin   = 15 * time.Second // until the first message
	livePing    = 30 * time.Second
	liveWrite   = 10 * time.Second // per message
	liveMessage = 64 << 10         // bytes of a message of the client
	liveBacklog = 1024             // changes that wait for a slow client
)

// liveLoginMessage is the first message of a client.
type liveLoginMessage struct {
	Type   string `json:"type"` // Jwt, ApiKeys
	Params struct {
		JWT    string `json:"jwt"`
		Key    string `json:"key"`
		Secret string `json:"secret"`
	} `json:"params"`
}

// header is the login as a request would carry it.
func (m liveLoginMessage) header() (http.Header, error) {
	h := http.Header{}
	switch {
	case m.Type == "Jwt" && m.Params.JWT != "":
		h.Set("Authorization", m.Params.JWT)
	case m.Type == "ApiKeys" && m.Params.Key != "":
		h.Set("X-Api-Key", m.Params.Key)
		h.Set("X-Api-Secret", m.Params.Secret)
	default:
		return nil, errLiveLogin
	}
	return h, nil
}

// errLiveLogin is answered 400 as text.
var errLiveLogin = schema.Errorf(schema.Invalid, `the first message is {"type":"Jwt","params":{"jwt":…}} or {"type":"ApiKeys","params":{"key":…,"secret":…}}`)

// liveUpdates is the websocket on which every run that is created or changes is
// told as an item of ListUpdates, to those who may read what it is about. Who it is
// says the first message: no cookie is looked at, so any origin may connect.
func (a *API) liveUpdates(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // it has answered
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(liveMessage)
	l := &live{a: a, conn: conn, peer: a.deps.Peers.Of(r), since: a.deps.Now().UnixMilli(), sent: map[string]string{}}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	// What changes from before the answer to the login on is told.
	changes, late := feed(ctx, a.news(ctx), liveBacklog)
	if !l.login(ctx) {
		return
	}
	gone := make(chan struct{})
	go func() { // ends with the connection
		defer close(gone)
		l.ignore(ctx)
	}()
	code, reason := l.tell(ctx, changes, late, gone)
	_ = conn.Close(code, reason)
	cancel()
	<-gone
}

// live is one such connection.
type live struct {
	a     *API
	conn  *websocket.Conn
	peer  string
	as    http.Header // its login
	since int64       // unix ms
	sent  map[string]string
}

// login reads the first message and answers it.
func (l *live) login(ctx context.Context) bool {
	read, cancel := context.WithTimeout(ctx, liveLogin)
	defer cancel()
	_, text, err := l.conn.Read(read)
	if err != nil {
		_ = l.conn.Close(websocket.StatusPolicyViolation, "no login")
		return false
	}
	var m liveLoginMessage
	if json.Unmarshal(text, &m) != nil {
		err = errLiveLogin
	} else if l.as, err = m.header(); err == nil {
		_, err = l.a.deps.Gate.Authenticate(ctx, l.as, l.peer)
	}
	if err == nil {
		return l.write(ctx, "LOGGED_IN") == nil
	}
	l.a.audit(access.WithCaller(ctx, access.Caller{Peer: l.peer}), &Row{Group: GroupRead, Name: "LiveUpdates"}, nil, &auditNote{}, err)
	status := schema.CodeOf(err).HTTPStatus()
	if errors.Is(err, errLiveLogin) {
		status = http.StatusBadRequest
	}
	_ = l.write(ctx, "["+strconv.Itoa(status)+" "+http.StatusText(status)+"]: "+schema.SafeText(err))
	_ = l.conn.Close(websocket.StatusPolicyViolation, "not signed in")
	return false
}

// ignore reads what the client says until the connection ends: pongs and closes
// are handled by reading.
func (l *live) ignore(ctx context.Context) {
	for {
		_, r, err := l.conn.Reader(ctx)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return
		}
	}
}

// tell tells of changes until the connection ends, and says how to close it.
func (l *live) tell(ctx context.Context, changes <-chan schema.Change, late func() bool, gone <-chan struct{}) (websocket.StatusCode, string) {
	tick := time.NewTicker(livePing)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-gone:
			return websocket.StatusNormalClosure, ""
		case <-ctx.Done():
			return websocket.StatusGoingAway, "core stops"
		case <-tick.C:
			ping, cancel := context.WithTimeout(ctx, liveWrite)
			err = l.conn.Ping(ping)
			cancel()
		case c, more := <-changes:
			switch {
			case !more && late():
				return websocket.StatusTryAgainLater, "too slow: connect again and list what was missed"
			case !more:
				return websocket.StatusGoingAway, "core stops"
			}
			err = l.look(ctx, c.ID)
		}
		if schema.CodeOf(err) == schema.Unauthenticated || schema.CodeOf(err) == schema.TooMany {
			text, _ := json.Marshal(map[string]string{"type": "INVALID_USER", "msg": schema.SafeText(err)}) // two strings
			_ = l.write(ctx, string(text))
			return websocket.StatusPolicyViolation, "not signed in any more"
		}
		if err != nil {
			return websocket.StatusTryAgainLater, "the connection broke or is too slow"
		}
	}
}

// look tells of a run if the client does not know it so and may read what it is
// about. Who is asking is looked at again each time: rights and users go.
func (l *live) look(ctx context.Context, id string) error {
	who, err := l.a.deps.Gate.Authenticate(ctx, l.as, l.peer)
	if err != nil {
		return err
	}
	r, err := l.a.deps.Engine.Get(ctx, id)
	if err != nil { // no run: a change of what is declared
		if e, err := l.a.edit(access.WithCaller(ctx, who), id); err == nil {
			return l.send(ctx, itemOfEdit(e))
		}
	}
	if err != nil || access.Permit(access.WithCaller(ctx, who), access.CanRead, r.Target) != nil {
		return nil //nolint:nilerr // forgotten since, or not for him
	}
	item := itemOf(r)
	_, known := l.sent[id]
	if item.Status == "Complete" && !known && r.Queued >= l.since {
		// It began and ended between two looks: clients count on hearing of both.
		began := item
		began.Status, began.Success = "InProgress", true
		if err := l.send(ctx, began); err != nil {
			return err
		}
	}
	if err := l.send(ctx, item); err != nil {
		return err
	}
	if item.Status == "Complete" && len(l.sent) > liveBacklog { // what has ended rarely changes
		clear(l.sent)
	}
	return nil
}

func (l *live) send(ctx context.Context, item UpdateItem) error {
	text, err := json.Marshal(item)
	if err != nil || l.sent[item.ID] == string(text) {
		return err
	}
	l.sent[item.ID] = string(text)
	return l.write(ctx, string(text))
}

func (l *live) write(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, liveWrite)
	defer cancel()
	return l.conn.Write(ctx, websocket.MessageText, []byte(text))
}

// feed turns a sequence into a channel that holds so many. When the reader is
// further behind than that the channel is closed and late is true: he is told so
// instead of missing some. Its goroutine ends with ctx.
func feed[T any](ctx context.Context, seq iter.Seq[T], size int) (ch <-chan T, late func() bool) {
	out, behind := make(chan T, size), false
	go func() {
		defer close(out)
		for v := range seq {
			select {
			case out <- v:
			case <-ctx.Done():
				return
			default:
				behind = true // read only after the channel is closed
				return
			}
		}
	}()
	return out, func() bool { return behind }
}
