package periphery

import (
	"bytes"
	"context"
	"slices"

	"berth/periphery/docker"
	"berth/schema"
)

// maxLog bounds what an answer holds of each stream, in bytes; maxTail how many
// lines are read of each container.
const (
	maxLog  = 384 << 10
	maxTail = 5000
)

// stackLog reads the newest lines of a stack's containers, each line marked with
// its container's name.
func (a *Agent) stackLog(ctx context.Context, req schema.StackLogReq) (schema.StackLogResp, error) {
	var resp schema.StackLogResp
	list, err := a.engine.Containers(ctx, req.Project)
	if err != nil {
		return resp, err
	}
	if len(list) == 0 {
		return resp, schema.Errorf(schema.NotFound, "project %q has no containers on this server", req.Project)
	}
	if req.Tail <= 0 || req.Tail > maxTail {
		req.Tail = maxTail
	}
	var stdout, stderr bytes.Buffer
	for _, c := range list {
		if len(req.Services) > 0 && !slices.Contains(req.Services, c.Service) {
			continue
		}
		var o, e bytes.Buffer
		if err := a.engine.Logs(ctx, c.ID, docker.LogOptions{Tail: req.Tail, Timestamps: req.Timestamps}, &o, &e); err != nil {
			return resp, err
		}
		mark(&stdout, c.Name, o.Bytes())
		mark(&stderr, c.Name, e.Bytes())
	}
	return schema.StackLogResp{Stdout: last(stdout.Bytes()), Stderr: last(stderr.Bytes())}, nil
}

// containerLog reads the newest lines of one container.
func (a *Agent) containerLog(ctx context.Context, req schema.ContainerLogReq) (schema.StackLogResp, error) {
	if req.Tail <= 0 || req.Tail > maxTail {
		req.Tail = maxTail
	}
	var stdout, stderr bytes.Buffer
	err := a.engine.Logs(ctx, req.Container, docker.LogOptions{Tail: req.Tail, Timestamps: req.Timestamps}, &stdout, &stderr)
	if err != nil {
		return schema.StackLogResp{}, missing(err, schema.EngineContainers, req.Container)
	}
	return schema.StackLogResp{Stdout: last(stdout.Bytes()), Stderr: last(stderr.Bytes())}, nil
}

func mark(to *bytes.Buffer, name string, text []byte) {
	for line := range bytes.Lines(text) {
		to.WriteString(name + " | ")
		to.Write(bytes.TrimRight(line, "\r\n"))
		to.WriteByte('\n')
	}
}

// last keeps the end of a text that is too long.
func last(b []byte) string {
	if len(b) > maxLog {
		b = b[len(b)-maxLog:]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[i+1:]
		}
	}
	return string(bytes.ToValidUTF8(b, []byte("�")))
}
