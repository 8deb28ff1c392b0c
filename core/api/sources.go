package api

import (
	"context"
	"encoding/json"

	"berth/core/access"
	"berth/schema"
)

// Sources are where stacks, builds and repos have their files from.
type Sources interface {
	// Refresh looks up again where a resource's sources stand.
	Refresh(ctx context.Context, t schema.Target) error
	// WriteStackFile writes a file of a stack and says what it did.
	WriteStackFile(ctx context.Context, t schema.Target, file, text, by string) (string, error)
	// WriteBuildFile writes a build's Dockerfile and says what it did.
	WriteBuildFile(ctx context.Context, t schema.Target, text, by string) (string, error)
	// RenameContainer gives the container of a deployment its new name; undo takes it back.
	RenameContainer(ctx context.Context, t schema.Target, to string) (undo func(context.Context), err error)
}

type writeStackFile struct {
	Stack    string `json:"stack" alias:"id,name" doc:"Name or id."`
	Path     string `json:"file_path" doc:"The file, relative to the run directory."`
	Contents string `json:"contents" doc:"What is to be in it."`
}

type writeBuildFile struct {
	Build    string `json:"build" alias:"id,name" doc:"Name or id."`
	Contents string `json:"contents" doc:"What is to be in the Dockerfile."`
}

// sourceRows are the requests about the files of stacks, builds and repos.
func (a *API) sourceRows() []Row {
	var rows []Row
	for _, x := range [][2]string{{"stack", "RefreshStackCache"}, {"build", "RefreshBuildCache"}, {"repo", "RefreshRepoCache"}} {
		if _, err := a.deps.Kinds.Kind(x[0]); err == nil {
			rows = append(rows, a.refreshRow(x[0], x[1]))
		}
	}
	if a.deps.Sources == nil {
		return rows
	}
	return append(rows,
		Write(spec{
			name: "WriteStackFileContents", doc: "Write one file of a stack: on its server, or as a commit to its repository.", needs: access.CanEdit, kind: "stack",
			example: map[string]any{"stack": "my-stack", "file_path": "compose.yaml", "contents": "services: {}\n"},
		}, func(ctx context.Context, p writeStackFile) (Update, error) {
			return a.written(ctx, "stack", p.Stack, "WriteStackContents", func(t schema.Target, by string) (string, error) {
				return a.deps.Sources.WriteStackFile(ctx, t, p.Path, p.Contents, by)
			})
		}),
		Write(spec{
			name: "WriteBuildFileContents", doc: "Write the Dockerfile of a build as a commit to its repository.", needs: access.CanEdit, kind: "build",
			example: map[string]any{"build": "my-build", "contents": "FROM scratch\n"},
		}, func(ctx context.Context, p writeBuildFile) (Update, error) {
			return a.written(ctx, "build", p.Build, "WriteDockerfile", func(t schema.Target, by string) (string, error) {
				return a.deps.Sources.WriteBuildFile(ctx, t, p.Contents, by)
			})
		}),
	)
}

func (a *API) refreshRow(kind, name string) Row {
	return Row{
		Group: GroupWrite, Name: name, Doc: "Look up again what the sources of " + named(kind) + " stand at.", Needs: access.CanExec, Kind: kind,
		Params: []Param{refParam(kind)}, Example: map[string]any{paramName(kind): "my-" + kind}, Result: func(*shapes) any { return map[string]any{"type": "object"} },
		handle: func(ctx context.Context, raw json.RawMessage) (any, error) {
			key, err := refOf(name, raw, kind)
			if err != nil {
				return nil, err
			}
			t, err := a.permittedTarget(ctx, kind, key, access.CanExec)
			if err != nil || a.deps.Sources == nil {
				return None{}, err
			}
			return None{}, a.deps.Sources.Refresh(ctx, t)
		},
	}
}

// permittedTarget finds a resource with which the caller may do what needs the level.
func (a *API) permittedTarget(ctx context.Context, kind, key string, needs access.Level) (schema.Target, error) {
	k, err := a.deps.Kinds.Kind(kind)
	if err != nil {
		return schema.Target{}, err
	}
	return a.permitted(ctx, k, key, needs)
}

// written writes a file and records it.
func (a *API) written(ctx context.Context, kind, key, operation string, write func(t schema.Target, by string) (string, error)) (Update, error) {
	t, err := a.permittedTarget(ctx, kind, key, access.CanEdit)
	if err != nil {
		return Update{}, err
	}
	who, _ := access.CallerOf(ctx)
	began := a.deps.Now()
	text, err := write(t, who.Username)
	if err != nil {
		return Update{}, err
	}
	return a.done(ctx, operation, t, began, text), nil
}
