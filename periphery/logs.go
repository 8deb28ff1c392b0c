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
	if err := searchable(req.Search); err != nil {
		return resp, err
	}
	for _, c := range list {
		if len(req.Services) > 0 && !slices.Contains(req.Services, c.Service) {
			continue
		}
		var o, e bytes.Buffer
		if err := a.engine.Logs(ctx, c.ID, docker.LogOptions{Tail: req.Tail, Timestamps: req.Timestamps}, &o, &e); err != nil {
			return resp, err
		}
		mark(&stdout, c.Name, picked(req.Search, o.Bytes()))
		mark(&stderr, c.Name, picked(req.Search, e.Bytes()))
	}
	return schema.StackLogResp{Stdout: last(stdout.Bytes()), Stderr: last(stderr.Bytes())}, nil
}

// containerLog reads the newest lines of one container.
func (a *Agent) containerLog(ctx context.Context, req schema.ContainerLogReq) (schema.StackLogResp, error) {
	if req.Tail <= 0 || req.Tail > maxTail {
		req.Tail = maxTail
	}
	if err := searchable(req.Search); err != nil {
		return schema.StackLogResp{}, err
	}
	var stdout, stderr bytes.Buffer
	err := a.engine.Logs(ctx, req.Container, docker.LogOptions{Tail: req.Tail, Timestamps: req.Timestamps}, &stdout, &stderr)
	if err != nil {
		return schema.StackLogResp{}, missing(err, schema.EngineContainers, req.Container)
	}
	return schema.StackLogResp{Stdout: last(picked(req.Search, stdout.Bytes())), Stderr: last(picked(req.Search, stderr.Bytes()))}, nil
}

// searchable refuses a search for nothing.
func searchable(s *schema.LogSearch) error {
	if s != nil && (len(s.Terms) == 0 || slices.Contains(s.Terms, "")) {
		return schema.Errorf(schema.Invalid, "search a log: give terms, none of them empty")
	}
	return nil
}

// picked are the lines that are looked for; all when there is no search.
func picked(s *schema.LogSearch, text []byte) []byte {
	if s == nil {
		return text
	}
	var out []byte
	for line := range bytes.Lines(text) {
		if s.Picks(string(line)) {
			out = append(out, line...)
		}
	}
	return out
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
