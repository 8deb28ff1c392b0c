package api

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"berth/core/access"
	"berth/schema"
)

// Group is where a request is posted: /read, /write, /execute, /auth/….
type Group string

// The groups.
const (
	GroupRead    Group = "read"
	GroupWrite   Group = "write"
	GroupExecute Group = "execute"
	GroupLogin   Group = "auth/login"  // before anybody is known
	GroupManage  Group = "auth/manage" // one's own account
)

// Row is one request.
type Row struct {
	Group   Group
	Name    string
	Aliases []string // older names
	Doc     string   // one sentence
	Needs   access.Level
	Also    access.Specific // what is needed on the resource besides the level, if anything
	Own     bool            // not one of Komodo's
	Kind    string          // of the resource that a parameter names, if any: Needs and Also are about it
	// Creates is the kind of which the request creates a resource, if any: whoever
	// asks must be allowed to.
	Creates string
	// Filters says that what the request needs is not about one resource: its handler
	// itself leaves out or refuses what the caller may not. Without it, and without a
	// Kind, a request that needs Read, Execute or Write is for administrators.
	Filters bool
	Params  []Param
	Result  func(s *shapes) any // JSON schema of the answer
	Example map[string]any      // parameters
	handle  func(ctx context.Context, params json.RawMessage) (any, error)
}

// None is the type of no parameters and of no result: {}.
type None struct{}

// spec is what a row says about itself.
type spec struct {
	name    string
	aliases []string
	doc     string
	needs   access.Level
	also    access.Specific
	kind    string
	creates string
	filters bool
	own     bool
	example map[string]any
}

func row[P, R any](g Group, s spec, h func(ctx context.Context, p P) (R, error)) Row {
	return Row{
		Group: g, Name: s.name, Aliases: s.aliases, Doc: s.doc, Needs: s.needs, Also: s.also, Kind: s.kind, Creates: s.creates, Filters: s.filters, Own: s.own, Example: s.example,
		Params: paramsOf(reflect.TypeFor[P]()), Result: func(s *shapes) any { return s.of(reflect.TypeFor[R]()) },
		handle: func(ctx context.Context, raw json.RawMessage) (any, error) {
			p, err := decodeParams[P](raw)
			if err != nil {
				return nil, of(s.name, err)
			}
			return h(ctx, p)
		},
	}
}

// of puts a request's name before what is wrong with its parameters. It is one text:
// many clients show the outermost only.
func of(request string, err error) error {
	if err == nil {
		return nil
	}
	return schema.Errorf(schema.CodeOf(err), "%s: %s", request, schema.SafeText(err))
}

// Read makes a row of requests that change nothing.
func Read[P, R any](s spec, h func(ctx context.Context, p P) (R, error)) Row {
	return row(GroupRead, s, h)
}

// Write makes a row of requests that change what is declared.
func Write[P, R any](s spec, h func(ctx context.Context, p P) (R, error)) Row {
	return row(GroupWrite, s, h)
}

// Execute makes a row of requests that make something happen and are not
// executions of the engine.
func Execute[P, R any](s spec, h func(ctx context.Context, p P) (R, error)) Row {
	return row(GroupExecute, s, h)
}

// Login makes a row of requests of somebody who is not known yet.
func Login[P, R any](s spec, h func(ctx context.Context, p P) (R, error)) Row {
	return row(GroupLogin, s, h)
}

// Manage makes a row of requests about one's own account.
func Manage[P, R any](s spec, h func(ctx context.Context, p P) (R, error)) Row {
	return row(GroupManage, s, h)
}

// table finds rows.
type table struct {
	rows []Row
	by   map[Group]map[string]*Row
}

func newTable(rows []Row) *table {
	t := &table{rows: rows, by: map[Group]map[string]*Row{}}
	slices.SortStableFunc(t.rows, func(a, b Row) int {
		if a.Group != b.Group {
			return slices.Index(groups(), a.Group) - slices.Index(groups(), b.Group)
		}
		return strings.Compare(a.Name, b.Name)
	})
	for i := range t.rows {
		r := &t.rows[i]
		if t.by[r.Group] == nil {
			t.by[r.Group] = map[string]*Row{}
		}
		for _, name := range append([]string{r.Name}, r.Aliases...) {
			if t.by[r.Group][name] != nil {
				panic("request registered twice: " + string(r.Group) + "/" + name)
			}
			t.by[r.Group][name] = r
		}
	}
	return t
}

func groups() []Group {
	return []Group{GroupRead, GroupWrite, GroupExecute, GroupLogin, GroupManage}
}

// find returns the row of that name; NotFound with the nearest name, or with the
// group in which the name is.
func (t *table) find(g Group, name string) (*Row, error) {
	if r := t.by[g][name]; r != nil {
		return r, nil
	}
	for _, other := range groups() {
		if t.by[other][name] != nil {
			return nil, schema.Errorf(schema.NotFound, "unknown %s request %q: it is posted to /%s", g, name, other)
		}
	}
	var names []string
	for n := range t.by[g] {
		names = append(names, n)
	}
	slices.Sort(names)
	if near := schema.Nearest(name, names); near != "" {
		return nil, schema.Errorf(schema.NotFound, "unknown %s request %q: did you mean %s?", g, cut(name, 80), near)
	}
	return nil, schema.Errorf(schema.NotFound, "unknown %s request %q: the requests are listed at /docs", g, cut(name, 80))
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
