package docker

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/moby/moby/client"

	"berth/schema"
)

// Event says that something about a container, image, network or volume is new.
// State is read again by who cares: an event may be missed while reconnecting.
type Event struct {
	Type    string // container, image, network, volume
	Action  string // start, die, health_status: healthy, pull, ...
	ID      string // of the thing
	Name    string
	Project string // compose project, for containers
	Service string
	Labels  map[string]string
	At      time.Time
}

// Watch calls fn, from its own goroutine, one at a time, for each event the engine
// reports from now on, until ctx ends (nil) or the stream breaks
// (schema.Unavailable). A slow fn slows only this stream. ready, unless nil, is
// called once the engine has accepted the subscription.
func (c *Client) Watch(ctx context.Context, ready func(), fn func(Event)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := c.api.Events(ctx, client.EventsListOptions{
		Filters: client.Filters{}.Add("type", "container", "image", "network", "volume"),
	})
	if ready != nil {
		ready()
	}
	for {
		select {
		case m := <-stream.Messages:
			fn(Event{
				Type: string(m.Type), Action: string(m.Action), ID: m.Actor.ID, Name: m.Actor.Attributes["name"],
				Project: m.Actor.Attributes[LabelProject], Service: m.Actor.Attributes[LabelService],
				Labels: m.Actor.Attributes, At: time.Unix(0, m.TimeNano),
			})
		case err := <-stream.Err:
			if ctx.Err() != nil {
				return nil
			}
			if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return schema.Errorf(schema.Unavailable, "watch Docker engine at %s: it closed the stream", c.host)
			}
			return c.Explain(err, "watch Docker engine")
		}
	}
}
