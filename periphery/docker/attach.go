package docker

import (
	"context"
	"io"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// Attach follows what a container without a terminal writes: attached before its
// start, from its first word on. follow blocks until the container has ended, or
// ctx has, and returns how many bytes it was told; it must be called once.
func (c *Client) Attach(ctx context.Context, id string) (follow func(stdout, stderr io.Writer) (int64, error), err error) {
	res, err := c.api.ContainerAttach(ctx, id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, c.Explain(err, "attach to container "+id)
	}
	stop := context.AfterFunc(ctx, res.Close)
	return func(stdout, stderr io.Writer) (int64, error) {
		defer res.Close()
		defer stop()
		n, err := stdcopy.StdCopy(stdout, stderr, res.Reader)
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return n, c.Explain(err, "read from container "+id)
	}, nil
}
