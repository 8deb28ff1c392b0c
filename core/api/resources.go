package api

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"berth/core/access"
	"berth/core/resource"
	"berth/schema"
)

// oid is how a document names itself; everywhere else an id is a plain string.
type oid struct {
	OID string `json:"$oid"`
}

// target is a resource as requests name it: {"type": "Stack", "id": …}.
type target struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// typeName turns a kind into the word of the wire: stack, Stack.
func typeName(kind string) string {
	if kind == "" || kind == "system" {
		return "System"
	}
	var b strings.Builder
	for part := range strings.SplitSeq(kind, "_") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// kindOf is the reverse of typeName for the kinds there are.
func (a *API) kindOf(name string) (resource.Any, error) {
	for _, k := range a.deps.Kinds.Kinds() {
		if typeName(k.Name()) == name || k.Name() == name {
			return k, nil
		}
	}
	return nil, schema.Errorf(schema.Invalid, "unknown resource type %q", cut(name, 60))
}

// envelope is a resource as Komodo's clients read it. Ours are further members.
type envelope struct {
	ID          oid             `json:"_id"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Template    bool            `json:"template"`
	Tags        []string        `json:"tags"`
	Info        any             `json:"info"`
	Config      json.RawMessage `json:"config"`
	Base        any             `json:"base_permission"` // a word, or {level, specific}
	Updated     int64           `json:"updated_at"`
}

// listItem is a resource in a list.
type listItem struct {
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Name     string   `json:"name"`
	Template bool     `json:"template"`
	Tags     []string `json:"tags"`
	Info     any      `json:"info"`
}

// info is what a kind shows beside its settings.
type info struct {
	full any // of Get and ListFull
	item any // of List
	// state is what lists can be filtered by.
	state string
	// bucket is what summaries count it as, when the state alone does not say.
	bucket string
}

// infoOf looks up what belongs to resources, to those with the ids at least; missing
// ones are zero.
type infoOf func(ctx context.Context, ids []string) (map[string]info, error)

type rawResource = schema.Resource[json.RawMessage]

func readResource(raw json.RawMessage) (rawResource, error) {
	var r rawResource
	err := json.Unmarshal(raw, &r)
	return r, err
}

func (a *API) envelope(r rawResource, i info) envelope {
	return envelope{
		ID: oid{r.ID}, Name: r.Name, Description: r.Description, Template: r.Template, Tags: a.tagIDs(r.Tags),
		Info: i.full, Config: r.Config, Base: levelWire(r.Base), Updated: r.Updated,
	}
}

// kindRows are the rows that every kind has, except variables, which have their own.
func (a *API) kindRows() []Row {
	var rows []Row
	for _, k := range a.deps.Kinds.Kinds() {
		if k.Name() == "variable" {
			continue
		}
		b := kindAPI{a: a, k: k, name: typeName(k.Name()), info: a.infos(k.Name())}
		if k.Name() == "user_group" { // clients know the others in another shape
			own := b.update()
			own.Own, own.Needs = true, access.IsAdmin
			rows = append(rows, own, adminOnly(b.listFull()), adminOnly(b.copy()))
			continue
		}
		rows = append(rows, b.get(), b.list(), b.listFull(), b.create(), b.copy(), b.update(), b.rename(), b.remove())
	}
	return append(rows, a.metaRow())
}

// adminOnly is a row of ours that is for administrators.
func adminOnly(r Row) Row {
	r.Own, r.Needs, r.Filters, r.Creates = true, access.IsAdmin, false, ""
	return r
}

// kindAPI makes the rows of one kind.
type kindAPI struct {
	a    *API
	k    resource.Any
	name string
	info infoOf
}

// refParam is the parameter that names a resource of the kind; id and name are
// taken for it too.
func refParam(kind string) Param {
	return Param{Name: paramName(kind), Aliases: []string{"id", "name"}, Type: "string", Required: true, Doc: "Name or id."}
}

// paramName is what requests call a resource of the kind.
func paramName(kind string) string {
	if kind == "resource_sync" {
		return "sync"
	}
	return kind
}

// refOf reads it from the parameters of a request.
func refOf(request string, raw json.RawMessage, kind string) (string, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", schema.Errorf(schema.Invalid, "%s: the parameters are not a JSON object", request)
	}
	for _, key := range []string{paramName(kind), "id", "name"} {
		var s string
		if json.Unmarshal(m[key], &s) == nil && s != "" {
			return s, nil
		}
	}
	return "", of(request, lacking(paramName(kind), []Param{refParam(kind)}, m))
}

func (b kindAPI) show(ctx context.Context, raw json.RawMessage) (envelope, error) {
	r, err := readResource(raw)
	if err != nil {
		return envelope{}, err
	}
	infos, err := b.info(ctx, []string{r.ID})
	return b.a.envelope(r, infos[r.ID]), err
}

// full lists every resource that the caller may read with its info, sorted by name.
func (b kindAPI) full(ctx context.Context) ([]rawResource, map[string]info, error) {
	list, err := b.k.Raw()
	if err != nil {
		return nil, nil, err
	}
	list = readableResources(ctx, b.k.Name(), list)
	ids := make([]string, len(list))
	for i, r := range list {
		ids[i] = r.ID
	}
	infos, err := b.info(ctx, ids)
	return list, infos, err
}

func (b kindAPI) example() map[string]any {
	return map[string]any{paramName(b.k.Name()): "my-" + b.k.Name()}
}

func (b kindAPI) get() Row {
	return Row{
		Group: GroupRead, Name: "Get" + b.name, Doc: "Show " + named(b.k.Name()) + ".", Needs: access.CanRead, Kind: b.k.Name(),
		Params: []Param{refParam(b.k.Name())}, Example: b.example(), Result: b.shape,
		handle: func(ctx context.Context, raw json.RawMessage) (any, error) {
			key, err := refOf("Get"+b.name, raw, b.k.Name())
			if err != nil {
				return nil, err
			}
			doc, err := b.k.Show(ctx, key)
			if err != nil {
				return nil, err
			}
			return b.show(ctx, doc)
		},
	}
}

// listParams are the parameters of a list.
type listParams struct {
	Query    resourceQuery `json:"query,omitzero" doc:"Which resources: terms, names, tags, tag_behavior, templates, specific."`
	Page     int           `json:"page,omitempty" doc:"Page, from 0."`
	Limit    *int          `json:"limit,omitempty" doc:"Resources per page; 50 when absent, all when 0."`
	SortBy   string        `json:"sort_by,omitempty" doc:"Name, State where there is one, or another member that the kind's lists can be sorted by."`
	SortDesc bool          `json:"sort_desc,omitempty" doc:"Last first."`
}

func (b kindAPI) list() Row {
	r := row(GroupRead, spec{
		name: "List" + b.name + "s", doc: "List " + b.k.Name() + "s, page by page.", needs: access.CanRead, filters: true,
		example: map[string]any{"query": map[string]any{"tags": []string{"prod"}}},
	}, func(ctx context.Context, p listParams) ([]listItem, error) {
		list, infos, err := b.selected(ctx, p)
		if err != nil {
			return nil, err
		}
		out := make([]listItem, 0, len(list))
		for _, r := range list {
			out = append(out, listItem{
				ID: r.ID, Type: b.name, Name: r.Name, Template: r.Template, Tags: b.a.tagIDs(r.Tags), Info: infos[r.ID].item,
			})
		}
		return out, nil
	})
	r.Result = func(s *shapes) any { return listShape(b.itemShape(s)) }
	return r
}

func (b kindAPI) listFull() Row {
	r := row(GroupRead, spec{
		name: "ListFull" + b.name + "s", doc: "List " + b.k.Name() + "s with all their settings.", needs: access.CanRead, filters: true,
		example: map[string]any{"limit": 0},
	}, func(ctx context.Context, p listParams) ([]envelope, error) {
		p.SortBy, p.SortDesc, p.Query.Specific.Update = "Name", false, false
		list, infos, err := b.selected(ctx, p)
		if err != nil {
			return nil, err
		}
		out := make([]envelope, 0, len(list))
		for _, r := range list {
			out = append(out, b.a.envelope(r, infos[r.ID]))
		}
		return out, nil
	})
	r.Result = func(s *shapes) any { return listShape(b.shape(s)) }
	return r
}

// selected filters, sorts and cuts out the page.
func (b kindAPI) selected(ctx context.Context, p listParams) ([]rawResource, map[string]info, error) {
	list, infos, err := b.full(ctx)
	if err != nil {
		return nil, nil, err
	}
	match, err := b.a.matcher(ctx, p.Query)
	if err != nil {
		return nil, nil, err
	}
	list = slices.DeleteFunc(list, func(r rawResource) bool { return !match(r, infos[r.ID]) })
	if err := sortBy(b.k.Name(), p.SortBy, p.SortDesc, list, infos); err != nil {
		return nil, nil, err
	}
	list, err = pageOf(list, p.Page, p.Limit)
	return list, infos, err
}

// newResource are the parameters of Create.
type newResource struct {
	Name   string          `json:"name" doc:"Its name."`
	Config json.RawMessage `json:"config,omitempty" doc:"Settings; those not given have their default."`
}

// copiedResource are the parameters of Copy.
type copiedResource struct {
	Name string `json:"name" doc:"Name of the new one."`
	ID   string `json:"id" doc:"Name or id of the one to copy."`
}

func (b kindAPI) create() Row {
	s := spec{
		name: "Create" + b.name, doc: "Create " + named(b.k.Name()) + ".", needs: access.CanCreate, creates: b.k.Name(),
		example: map[string]any{"name": "my-" + b.k.Name(), "config": map[string]any{}},
	}
	if b.hasAgent() {
		return b.withSettings(Write(s, func(ctx context.Context, p newServer) (envelope, error) {
			return b.added(ctx, "Create", "", b.withAgent(ctx, p.PublicKey, func() (json.RawMessage, error) { return b.k.Create(ctx, p.Name, p.Config) }))
		}))
	}
	return b.withSettings(Write(s, func(ctx context.Context, p newResource) (envelope, error) {
		return b.added(ctx, "Create", "", func() (json.RawMessage, error) { return b.k.Create(ctx, p.Name, p.Config) })
	}))
}

// added makes a resource, of another one if key names it.
func (b kindAPI) added(ctx context.Context, verb, key string, do func() (json.RawMessage, error)) (envelope, error) {
	raw, _, err := b.a.edited(ctx, verb, b.k, key, do)
	if err != nil {
		return envelope{}, err
	}
	return b.show(ctx, raw)
}

// copyNeeds is what one must be allowed on a resource to copy it: settings of some
// kinds are not for everybody who may look at them.
func copyNeeds(kind string) access.Level {
	switch kind {
	case "action", "alerter", "builder", "procedure", "resource_sync":
		return access.CanEdit
	}
	return access.CanRead
}

func (b kindAPI) copy() Row {
	s := spec{
		name: "Copy" + b.name, doc: "Create " + named(b.k.Name()) + " with the settings of another.", needs: copyNeeds(b.k.Name()), kind: b.k.Name(), creates: b.k.Name(),
		example: map[string]any{"name": "another", "id": "my-" + b.k.Name()},
	}
	r := Write(s, func(ctx context.Context, p copiedResource) (envelope, error) {
		return b.added(ctx, "Copy", p.ID, func() (json.RawMessage, error) { return b.k.Copy(ctx, p.ID, p.Name) })
	})
	if b.hasAgent() {
		r = Write(s, func(ctx context.Context, p copiedServer) (envelope, error) {
			return b.added(ctx, "Copy", p.ID, b.withAgent(ctx, p.PublicKey, func() (json.RawMessage, error) { return b.k.Copy(ctx, p.ID, p.Name) }))
		})
	}
	r.Result = b.shape
	return r
}

func (b kindAPI) update() Row {
	type params struct {
		ID     string          `json:"id" doc:"Name or id."`
		Config json.RawMessage `json:"config" doc:"Settings to change; the others stay."`
	}
	r := Write(spec{
		name: "Update" + b.name, doc: "Change settings of " + named(b.k.Name()) + ".", needs: access.CanEdit, kind: b.k.Name(),
		example: map[string]any{"id": "my-" + b.k.Name(), "config": map[string]any{"links": []string{"https://example.com"}}},
	}, func(ctx context.Context, p params) (envelope, error) {
		raw, _, err := b.a.edited(ctx, "Update", b.k, p.ID, func() (json.RawMessage, error) { return b.k.Update(ctx, p.ID, p.Config) })
		if err != nil {
			return envelope{}, err
		}
		return b.show(ctx, raw)
	})
	return b.withSettings(r)
}

func (b kindAPI) rename() Row {
	type params struct {
		ID   string `json:"id" doc:"Name or id."`
		Name string `json:"name" doc:"The new name."`
	}
	return Write(spec{
		name: "Rename" + b.name, doc: "Give " + named(b.k.Name()) + " another name; whatever refers to it still does.", needs: access.CanEdit, kind: b.k.Name(),
		example: map[string]any{"id": "my-" + b.k.Name(), "name": "better-name"},
	}, func(ctx context.Context, p params) (Update, error) {
		_, u, err := b.a.edited(ctx, "Rename", b.k, p.ID, func() (json.RawMessage, error) { return b.renamed(ctx, p.ID, p.Name) })
		return u, err
	})
}

// renamed gives a resource another name, and a deployment's container with it.
func (b kindAPI) renamed(ctx context.Context, key, name string) (json.RawMessage, error) {
	if b.k.Name() != "deployment" || b.a.deps.Sources == nil {
		return b.k.Rename(ctx, key, name)
	}
	t, err := b.k.Find(key)
	if err != nil {
		return nil, err
	}
	if other, err := b.k.Find(name); err == nil && other.ID != t.ID {
		return nil, schema.Errorf(schema.Conflict, "there is a deployment %q already: choose another name", other.Name)
	}
	undo, err := b.a.deps.Sources.RenameContainer(ctx, t, name)
	if err != nil {
		return nil, err
	}
	raw, err := b.k.Rename(ctx, key, name)
	if err != nil {
		undo(context.WithoutCancel(ctx))
	}
	return raw, err
}

func (b kindAPI) remove() Row {
	type params struct {
		ID string `json:"id" doc:"Name or id."`
	}
	r := Write(spec{
		name: "Delete" + b.name, doc: "Delete " + named(b.k.Name()) + " that nothing refers to. What it deployed keeps running.", needs: access.CanEdit, kind: b.k.Name(),
		example: map[string]any{"id": "my-" + b.k.Name()},
	}, func(ctx context.Context, p params) (envelope, error) {
		raw, err := b.k.Show(ctx, p.ID)
		if err != nil {
			return envelope{}, err
		}
		was, err := b.show(ctx, raw)
		if err != nil {
			return was, err
		}
		_, _, err = b.a.edited(ctx, "Delete", b.k, was.ID.OID, func() (json.RawMessage, error) { return nil, b.k.Delete(ctx, was.ID.OID) })
		return was, err
	})
	r.Result = b.shape
	return r
}

// named is the name of a kind with its article, as sentences have it.
func named(kind string) string {
	words := strings.ReplaceAll(kind, "_", " ")
	if strings.ContainsRune("aeio", rune(words[0])) {
		return "an " + words
	}
	return "a " + words
}
