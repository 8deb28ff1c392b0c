package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"

	"berth/schema"
)

// Image is an image as the engine has it.
type Image struct {
	ID      string   // sha256:...
	Tags    []string // name:tag
	Digests []string // name@sha256:..., as registries know it
	Labels  map[string]string
	Created string // RFC 3339
	OS      string
	Arch    string
	Variant string
	Size    int64
}

// Image inspects an image by reference or id; schema.NotFound if the engine does
// not have it.
func (c *Client) Image(ctx context.Context, ref string) (Image, error) {
	res, err := c.api.ImageInspect(ctx, ref)
	if err != nil {
		return Image{}, c.Explain(err, "inspect image "+ref)
	}
	img := Image{ID: res.ID, Tags: res.RepoTags, Digests: res.RepoDigests, Created: res.Created, Size: res.Size, OS: res.Os, Arch: res.Architecture, Variant: res.Variant}
	if res.Config != nil {
		img.Labels = res.Config.Labels
	}
	return img, nil
}

// Load imports images from a tar in the form that `docker save` writes.
func (c *Client) Load(ctx context.Context, tar io.Reader) error {
	res, err := c.api.ImageLoad(ctx, tar, client.ImageLoadWithQuiet(true))
	if err != nil {
		return c.Explain(err, "load image")
	}
	defer res.Close()
	return c.Explain(drain(res), "load image")
}

// Tag gives the image source another name.
func (c *Client) Tag(ctx context.Context, source, target string) error {
	_, err := c.api.ImageTag(ctx, client.ImageTagOptions{Source: source, Target: target})
	return c.Explain(err, "tag image "+source)
}

// RemoveImage drops a name of an image, and the image with its last name. An
// image that is not there is no error.
func (c *Client) RemoveImage(ctx context.Context, ref string) error {
	_, err := c.api.ImageRemove(ctx, ref, client.ImageRemoveOptions{Force: true})
	err = c.Explain(err, "remove image "+ref)
	if schema.CodeOf(err) == schema.NotFound {
		return nil
	}
	return err
}

// drain reads a stream of messages to its end and returns the error it reports.
func drain(r io.Reader) error {
	dec := json.NewDecoder(r)
	for {
		var m jsonstream.Message
		err := dec.Decode(&m)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if m.Error != nil {
			return m.Error
		}
	}
}

// Tail is the end of a container's log: at most n lines of stdout and stderr.
func (c *Client) Tail(ctx context.Context, id string, n int) ([]string, error) {
	var buf bytes.Buffer
	if err := c.Logs(ctx, id, LogOptions{Tail: n}, &buf, &buf); err != nil {
		return nil, err
	}
	text := bytes.TrimRight(buf.Bytes(), "\n")
	if len(text) == 0 {
		return nil, nil
	}
	lines := bytes.Split(text, []byte("\n"))
	out := make([]string, 0, len(lines))
	for _, line := range lines {
		out = append(out, string(bytes.TrimRight(line, "\r")))
	}
	if len(out) > n {
		out = out[len(out)-n:]
	}
	return out, nil
}
