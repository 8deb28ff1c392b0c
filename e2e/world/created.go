package world

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/moby/moby/client"

	"berth/periphery/docker"
)

// Created lists, for every container that a server's engine was told to make for a
// compose project since a time, its service, in order.
func (w *World) Created(server, project string, since time.Time) []string {
	w.t.Helper()
	filter := client.Filters{}.Add("type", "container").Add("event", "create").Add("label", docker.LabelProject+"="+project)
	stream := w.Servers[server].Engine.API().Events(w.Context(10*time.Second), client.EventsListOptions{
		Since: stamp(since), Until: stamp(time.Now()), Filters: filter,
	})
	var out []string
	for {
		select {
		case m := <-stream.Messages:
			out = append(out, m.Actor.Attributes[docker.LabelService])
		case err := <-stream.Err:
			if err != nil && !errors.Is(err, io.EOF) {
				w.t.Fatal(err)
			}
			slices.Sort(out)
			return out
		}
	}
}

// stamp is a time as the engine's API takes it, to the nanosecond.
func stamp(t time.Time) string {
	return strconv.FormatInt(t.Unix(), 10) + "." + strconv.FormatInt(int64(t.Nanosecond())+1_000_000_000, 10)[1:]
}
