package api

import (
	"context"
	"encoding/json"

	"berth/core/access"
	"berth/schema"
)

// terminalTarget is where a terminal is: {"type": "Server", "params": {…}}.
type terminalTarget struct {
	Type   string          `json:"type"` // Server, Container, Stack, Deployment
	Params json.RawMessage `json:"params"`
}

// Terminal is one as clients read it.
type Terminal struct {
	Name       string         `json:"name"`
	Target     terminalTarget `json:"target"`
	TargetName string         `json:"target_name,omitempty"`
	Command    string         `json:"command"`
	Size       float64        `json:"stored_size_kb"`
	Created    int64          `json:"created_at"`
}

type listTerminals struct {
	Target   *terminalTarget `json:"target,omitempty" doc:"Only terminals there; all when absent."`
	UseNames bool            `json:"use_names,omitempty" doc:"Fill target_name."`
	Terms    schema.StrList  `json:"terms,omitempty" doc:"Parts of the name that must all be there."`
	Page     int             `json:"page,omitempty" doc:"Page, from 0."`
	Limit    *int            `json:"limit,omitempty" doc:"Terminals per page; 50 when absent, all when 0."`
	SortBy   string          `json:"sort_by,omitempty" doc:"Name, Target, Command, Size or Created."`
	SortDesc bool            `json:"sort_desc,omitempty" doc:"Last first."`
}

type createTerminal struct {
	Target   terminalTarget `json:"target" doc:"Where: {type, params}."`
	Name     string         `json:"name,omitempty" doc:"Its name; made up when absent."`
	Command  string         `json:"command,omitempty" doc:"What runs in it; a shell when absent."`
	Mode     string         `json:"mode,omitempty" doc:"exec or attach, in a container."`
	Recreate string         `json:"recreate,omitempty" doc:"Never, Always or DifferentCommand."`
}

type deleteTerminal struct {
	Target   terminalTarget `json:"target" doc:"Where it is."`
	Terminal string         `json:"terminal" doc:"Its name."`
}

type serverTerminals struct {
	Server string `json:"server" doc:"Name or id of the server."`
}

type batchTerminals struct {
	Query resourceQuery `json:"query,omitzero" doc:"Which servers: terms, names, tags, tag_behavior, templates, specific."`
}

// terminalRows are understood, and not built yet.
func (a *API) terminalRows() []Row {
	where := map[string]any{"type": "Server", "params": map[string]any{"server": "my-server"}}
	s := func(name, doc string, example map[string]any) spec {
		return spec{name: name, doc: doc, needs: access.CanRead, also: access.Terminal, example: example}
	}
	filtered := func(s spec) spec { s.filters = true; return s }
	all := s("DeleteAllTerminals", "End all terminals of a server.", map[string]any{"server": "my-server"})
	all.kind = "server"
	return []Row{
		Read(filtered(s("ListTerminals", "List the terminals that are open.", map[string]any{})), later[listTerminals, []Terminal]()),
		Write(filtered(s("CreateTerminal", "Open a terminal.", map[string]any{"target": where})), func(ctx context.Context, p createTerminal) (Terminal, error) {
			return Terminal{}, a.laterThere(ctx, p.Target)
		}),
		Write(filtered(s("DeleteTerminal", "End a terminal.", map[string]any{"target": where, "terminal": "term-1"})), func(ctx context.Context, p deleteTerminal) (None, error) {
			return None{}, a.laterThere(ctx, p.Target)
		}),
		Write(all, later[serverTerminals, None]()),
		Write(filtered(s("BatchDeleteAllTerminals", "End all terminals of many servers.", map[string]any{"query": map[string]any{}})), later[batchTerminals, None]()),
	}
}

func later[P, R any]() func(context.Context, P) (R, error) {
	return func(context.Context, P) (none R, err error) { return none, notBuilt("what needs a terminal") }
}

// laterThere answers that terminals are not built yet, to who might have one there.
func (a *API) laterThere(ctx context.Context, t terminalTarget) error {
	kind := schema.KindOf(t.Type)
	if t.Type == "Container" { // which is on a server
		kind = "server"
	}
	if kind != "server" && kind != "stack" && kind != "deployment" {
		return schema.Errorf(schema.Invalid, "target.type: must be Server, Container, Stack or Deployment, not %q", cut(t.Type, 40))
	}
	k, err := a.deps.Kinds.Kind(kind)
	if err != nil {
		return err
	}
	key, err := refOf("target.params", t.Params, kind)
	if err != nil {
		return schema.Errorf(schema.Invalid, "target.params: %s is missing", kind)
	}
	if _, err := a.permittedAlso(ctx, k, key, access.CanRead, access.Terminal); err != nil {
		return err
	}
	return notBuilt("what needs a terminal")
}
