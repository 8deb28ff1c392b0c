package api

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"berth/core/access"
	"berth/core/resource"
	"berth/schema"
)

// Tags are the documents of tags. A tag that a file brought has none until
// somebody changes it: resources carry names.
type Tags interface {
	// Changes returns another number after every change.
	Changes() uint64
	All() []schema.Tag
	Save(ctx context.Context, t schema.Tag) error
	Remove(ctx context.Context, id string) error
}

// tagBook finds tags' documents; it is read again when they change.
type tagBook struct {
	mu      sync.Mutex
	read    bool
	changes uint64
	byName  map[string]schema.Tag
	byID    map[string]schema.Tag
}

// book returns the documents by name and by id. The maps are not written to.
func (a *API) book() (byName, byID map[string]schema.Tag) {
	b := &a.tags
	if a.deps.Tags == nil {
		return nil, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := a.deps.Tags.Changes(); !b.read || now != b.changes {
		b.read, b.changes = true, now
		b.byName, b.byID = map[string]schema.Tag{}, map[string]schema.Tag{}
		for _, t := range a.deps.Tags.All() {
			b.byName[t.Name], b.byID[t.ID] = t, t
		}
	}
	return b.byName, b.byID
}

// tagID is the id that a tag has on the wire: its document's, else one made of its
// name, which a tag that was renamed may have taken along.
func (a *API) tagID(name string) string {
	byName, byID := a.book()
	if t, ok := byName[name]; ok {
		return t.ID
	}
	id := schema.DeriveID("tag", name)
	for _, taken := byID[id]; taken; _, taken = byID[id] {
		id = schema.DeriveID("tag", id)
	}
	return id
}

func (a *API) tagIDs(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = a.tagID(n)
	}
	return out
}

// allTags lists the tags that have a document and those in use, by name.
func (a *API) allTags(ctx context.Context) ([]schema.Tag, error) {
	byName, _ := a.book()
	found := map[string]schema.Tag{}
	maps.Copy(found, byName)
	for _, k := range a.deps.Kinds.Kinds() {
		list, err := k.List(ctx)
		if err != nil {
			return nil, err
		}
		for _, raw := range list {
			r, err := readResource(raw)
			if err != nil {
				return nil, err
			}
			for _, name := range r.Tags {
				if _, ok := found[name]; !ok {
					found[name] = schema.Tag{ID: a.tagID(name), Name: name, Color: schema.DefaultTagColor}
				}
			}
		}
	}
	out := make([]schema.Tag, 0, len(found))
	for _, t := range found {
		out = append(out, t)
	}
	slices.SortFunc(out, func(x, y schema.Tag) int { return cmp.Compare(x.Name, y.Name) })
	return out, nil
}

// findTag returns the tag of that name or id; NotFound with the nearest name.
func (a *API) findTag(ctx context.Context, key string) (schema.Tag, error) {
	list, err := a.allTags(ctx)
	if err != nil {
		return schema.Tag{}, err
	}
	return pickTag(list, key)
}

func pickTag(list []schema.Tag, key string) (schema.Tag, error) {
	names := make([]string, len(list))
	for i, t := range list {
		if t.Name == key || t.ID == key {
			return t, nil
		}
		names[i] = t.Name
	}
	hint := ""
	if near := schema.Nearest(key, names); near != "" {
		hint = ": did you mean " + near + "?"
	}
	return schema.Tag{}, schema.Errorf(schema.NotFound, "there is no tag %q%s", cut(key, 60), hint)
}

// tagNames turns names or ids of tags into names; what is unknown is NotFound.
func (a *API) tagNames(ctx context.Context, given []string) ([]string, error) {
	if len(given) == 0 {
		return nil, nil
	}
	list, err := a.allTags(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(given))
	for i, key := range given {
		t, err := pickTag(list, key)
		if err != nil {
			return nil, err
		}
		out[i] = t.Name
	}
	return out, nil
}

// tag is a tag as clients read it.
type tag struct {
	ID    oid    `json:"_id"`
	Name  string `json:"name"`
	Owner string `json:"owner"`
	Color string `json:"color"`
}

func tagOf(t schema.Tag) tag {
	return tag{ID: oid{t.ID}, Name: t.Name, Owner: t.Owner, Color: cmp.Or(t.Color, schema.DefaultTagColor)}
}

type (
	tagRef struct {
		Tag string `json:"tag" alias:"id,name" doc:"Name or id."`
	}
	tagQuery struct {
		Query json.RawMessage `json:"query,omitempty" doc:"MongoDB filter."`
	}
	tagCreate struct {
		Name  string `json:"name" doc:"Its name."`
		Color string `json:"color,omitempty" doc:"A hue such as Red, LightRed or DarkRed; Slate when absent."`
	}
	tagDelete struct {
		ID string `json:"id" alias:"tag,name" doc:"Name or id."`
	}
	tagRename struct {
		ID   string `json:"id" alias:"tag" doc:"Name or id."`
		Name string `json:"name" doc:"The new name."`
	}
	tagColor struct {
		Tag   string `json:"tag" alias:"id,name" doc:"Name or id."`
		Color string `json:"color" doc:"A hue such as Red, LightRed or DarkRed."`
	}
)

func (a *API) tagRows() []Row {
	rows := []Row{
		Read(spec{name: "ListTags", doc: "List the tags.", needs: access.AnyUser, example: map[string]any{}}, a.listTags),
		Read(spec{name: "GetTag", doc: "Show a tag.", needs: access.AnyUser, example: map[string]any{"tag": "prod"}},
			func(ctx context.Context, p tagRef) (tag, error) {
				t, err := a.findTag(ctx, p.Tag)
				return tagOf(t), err
			}),
	}
	if a.deps.Tags == nil {
		return rows
	}
	return append(rows,
		Write(spec{name: "CreateTag", doc: "Make a tag.", needs: access.CanCreate, creates: "tag", example: map[string]any{"name": "prod", "color": "Red"}}, a.createTag),
		Write(spec{name: "DeleteTag", doc: "Delete a tag, also from everything that carries it; for its owner and administrators.", needs: access.AnyUser, example: map[string]any{"id": "prod"}}, a.deleteTag),
		Write(spec{name: "RenameTag", doc: "Give a tag another name, also where it is carried; for its owner and administrators.", needs: access.AnyUser, example: map[string]any{"id": "prod", "name": "production"}}, a.renameTag),
		Write(spec{name: "UpdateTagColor", doc: "Change a tag's color; for its owner and administrators.", needs: access.AnyUser, example: map[string]any{"tag": "prod", "color": "Red"}}, a.colorTag),
	)
}

func (a *API) listTags(ctx context.Context, p tagQuery) ([]tag, error) {
	match, err := parseFilter(p.Query)
	if err != nil {
		return nil, err
	}
	list, err := a.allTags(ctx)
	out := []tag{}
	for _, t := range list {
		if x := tagOf(t); match(document(x)) {
			out = append(out, x)
		}
	}
	return out, err
}

// createTag makes the document of a tag that has none yet.
func (a *API) createTag(ctx context.Context, p tagCreate) (tag, error) {
	name, err := schema.TagName(p.Name)
	if err != nil {
		return tag{}, err
	}
	color, err := schema.TagColor(p.Color)
	if err != nil {
		return tag{}, err
	}
	if byName, _ := a.book(); byName[name].ID != "" {
		return tag{}, schema.Errorf(schema.Conflict, "there is a tag %q already", name)
	}
	c, _ := access.CallerOf(ctx)
	t := schema.Tag{ID: a.tagID(name), Name: name, Owner: c.UserID, Color: color}
	return tagOf(t), a.deps.Tags.Save(ctx, t)
}

// ownTag finds a tag that the caller may change.
func (a *API) ownTag(ctx context.Context, key string) (schema.Tag, error) {
	t, err := a.findTag(ctx, key)
	if err != nil {
		return t, err
	}
	if c, _ := access.CallerOf(ctx); t.Owner != "" && t.Owner == c.UserID {
		return t, nil
	}
	err = access.Permit(ctx, access.IsAdmin, schema.Target{})
	return t, schema.Wrap(schema.CodeOf(err), err, "change tag %q, which is somebody else's", t.Name)
}

// freeTags refuses to change tags on all that carries them when groups have permissions
// by them, unless the caller is an administrator.
func (a *API) freeTags(ctx context.Context, names ...string) error {
	for _, g := range a.deps.Kinds.Groups() {
		for _, p := range g.Permissions {
			if tag, ok := strings.CutPrefix(p.Target.ID, access.TagPrefix); ok && slices.Contains(names, tag) {
				err := access.Permit(ctx, access.IsAdmin, schema.Target{})
				return schema.Wrap(schema.CodeOf(err), err, "change tag %q, by which the group %q has permissions", tag, g.Name)
			}
		}
	}
	return nil
}

func (a *API) deleteTag(ctx context.Context, p tagDelete) (tag, error) {
	t, err := a.ownTag(ctx, p.ID)
	if err == nil {
		err = a.freeTags(ctx, t.Name)
	}
	if err != nil {
		return tag{}, err
	}
	if err := a.replaceTag(ctx, t.Name, ""); err != nil {
		return tag{}, err
	}
	return tagOf(t), a.deps.Tags.Remove(ctx, t.ID)
}

func (a *API) renameTag(ctx context.Context, p tagRename) (tag, error) {
	t, err := a.ownTag(ctx, p.ID)
	if err != nil {
		return tag{}, err
	}
	name, err := schema.TagName(p.Name)
	if err != nil || name == t.Name {
		return tagOf(t), err
	}
	if other, err := a.findTag(ctx, name); err == nil {
		return tag{}, schema.Errorf(schema.Conflict, "there is a tag %q already", other.Name)
	}
	if err := a.freeTags(ctx, t.Name, name); err != nil {
		return tag{}, err
	}
	was := t.Name
	t.Name = name
	if err := a.deps.Tags.Save(ctx, t); err != nil {
		return tag{}, err
	}
	return tagOf(t), a.replaceTag(ctx, was, name)
}

func (a *API) colorTag(ctx context.Context, p tagColor) (tag, error) {
	t, err := a.ownTag(ctx, p.Tag)
	if err != nil {
		return tag{}, err
	}
	if p.Color == "" {
		return tag{}, schema.Errorf(schema.Invalid, `parameter "color" is empty`)
	}
	if t.Color, err = schema.TagColor(p.Color); err != nil {
		return tag{}, err
	}
	return tagOf(t), a.deps.Tags.Save(ctx, t)
}

// replaceTag gives every resource that carries a tag another one instead, or none.
func (a *API) replaceTag(ctx context.Context, was, now string) error {
	for _, k := range a.deps.Kinds.Kinds() {
		list, err := k.List(ctx)
		if err != nil {
			return err
		}
		for _, raw := range list {
			r, err := readResource(raw)
			if err != nil {
				return err
			}
			i := slices.Index(r.Tags, was)
			if i < 0 {
				continue
			}
			if r.Tags[i] = now; now == "" {
				r.Tags = slices.Delete(r.Tags, i, i+1)
			}
			if _, err := k.Describe(ctx, r.ID, resource.Meta{Tags: &r.Tags}); err != nil {
				return schema.Wrap(schema.CodeOf(err), err, "change the tags of %s %q", k.Name(), r.Name)
			}
		}
	}
	return nil
}

// carried turns names or ids of tags into names for a resource to carry; names that
// are new become tags of the caller.
func (a *API) carried(ctx context.Context, given []string) ([]string, error) {
	out, fresh, err := a.named(ctx, given)
	if err == nil {
		err = a.makeTags(ctx, fresh)
	}
	return out, err
}

// named turns names or ids of tags into names, and says which are new.
func (a *API) named(ctx context.Context, given []string) (out, fresh []string, err error) {
	list, err := a.allTags(ctx)
	if err != nil {
		return nil, nil, err
	}
	out = make([]string, len(given))
	for i, key := range given {
		t, err := pickTag(list, strings.TrimSpace(key))
		switch {
		case err == nil:
			out[i] = t.Name
			continue
		case schema.IsID(key):
			return nil, nil, err
		}
		if out[i], err = schema.TagName(key); err != nil {
			return nil, nil, err
		}
		fresh = append(fresh, out[i])
	}
	return out, fresh, nil
}

// makeTags makes new names tags of the caller.
func (a *API) makeTags(ctx context.Context, names []string) error {
	if a.deps.Tags == nil {
		return nil
	}
	for _, name := range names {
		if _, err := a.createTag(ctx, tagCreate{Name: name}); err != nil && schema.CodeOf(err) != schema.Conflict {
			return err
		}
	}
	return nil
}

func (a *API) metaRow() Row {
	type params struct {
		Target      target          `json:"target" doc:"The resource."`
		Description *string         `json:"description,omitempty" doc:"Free text; stays when absent."`
		Template    *bool           `json:"template,omitempty" doc:"Only a pattern to copy from."`
		Tags        *schema.StrList `json:"tags,omitempty" doc:"Names or ids of tags, new names too; they stay when absent."`
		Base        *schema.Level   `json:"base_permission,omitempty" doc:"What every user may do with it; for administrators. Stays when absent."`
	}
	return Write(spec{
		name: "UpdateResourceMeta", doc: "Change description, template flag and tags of a resource.", needs: access.CanEdit, filters: true,
		example: map[string]any{"target": map[string]any{"type": "Stack", "id": "my-stack"}, "tags": []string{"prod"}},
	}, func(ctx context.Context, p params) (None, error) {
		k, err := a.kindOf(p.Target.Type)
		if err != nil {
			return None{}, err
		}
		t, err := a.permitted(ctx, k, p.Target.ID, access.CanEdit)
		if err == nil && p.Base != nil {
			err = access.Permit(ctx, access.IsAdmin, t)
		}
		if err != nil {
			return None{}, err
		}
		m := resource.Meta{Description: p.Description, Template: p.Template, Base: p.Base}
		var fresh []string
		if p.Tags != nil {
			var names []string
			if names, fresh, err = a.named(ctx, *p.Tags); err != nil {
				return None{}, err
			}
			m.Tags = &names
		}
		if _, err = k.Describe(ctx, t.ID, m); err != nil {
			return None{}, err
		}
		return None{}, a.makeTags(ctx, fresh)
	})
}
