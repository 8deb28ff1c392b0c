package api

import (
	"context"
	"encoding/json"
	"slices"

	"berth/core/access"
	"berth/core/resource"
	"berth/schema"
)

// allTags lists the tags in use, sorted. A tag exists while a resource has it.
func (a *API) allTags(ctx context.Context) ([]string, error) {
	var out []string
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
			out = append(out, r.Tags...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// tagNames turns names or ids of tags into names; an unknown name is a new tag.
func (a *API) tagNames(ctx context.Context, given []string) ([]string, error) {
	known, err := a.allTags(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(given))
	for i, t := range given {
		out[i] = t
		if !schema.IsID(t) {
			continue
		}
		at := slices.IndexFunc(known, func(n string) bool { return tagID(n) == t })
		if at < 0 {
			return nil, schema.Errorf(schema.NotFound, "no tag %q", t)
		}
		out[i] = known[at]
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

func (a *API) tagRows() []Row {
	type params struct {
		Query json.RawMessage `json:"query,omitempty" doc:"MongoDB filter."`
	}
	type one struct {
		Tag string `json:"tag" alias:"id,name" doc:"Name or id."`
	}
	list := func(ctx context.Context) ([]tag, error) {
		names, err := a.allTags(ctx)
		out := make([]tag, len(names))
		for i, n := range names {
			out[i] = tag{ID: oid{tagID(n)}, Name: n, Color: "Slate"}
		}
		return out, err
	}
	return []Row{
		Read(spec{name: "ListTags", doc: "List the tags in use.", needs: access.AnyUser, example: map[string]any{}},
			func(ctx context.Context, p params) ([]tag, error) {
				match, err := parseFilter(p.Query)
				if err != nil {
					return nil, err
				}
				tags, err := list(ctx)
				return slices.DeleteFunc(tags, func(t tag) bool { return !match(document(t)) }), err
			}),
		Read(spec{name: "GetTag", doc: "Show a tag.", needs: access.AnyUser, example: map[string]any{"tag": "prod"}},
			func(ctx context.Context, p one) (tag, error) {
				tags, err := list(ctx)
				for _, t := range tags {
					if t.Name == p.Tag || t.ID.OID == p.Tag {
						return t, nil
					}
				}
				if err != nil {
					return tag{}, err
				}
				return tag{}, schema.Errorf(schema.NotFound, "no tag %q", cut(p.Tag, 60))
			}),
	}
}

func (a *API) metaRow() Row {
	type params struct {
		Target      target    `json:"target" doc:"The resource."`
		Description *string   `json:"description,omitempty" doc:"Free text; stays when absent."`
		Template    *bool     `json:"template,omitempty" doc:"Only a pattern to copy from."`
		Tags        *[]string `json:"tags,omitempty" doc:"Names or ids of tags; stay when absent."`
	}
	return Write(spec{
		name: "UpdateResourceMeta", doc: "Change description, template flag and tags of a resource.", needs: access.CanEdit,
		example: map[string]any{"target": map[string]any{"type": "Stack", "id": "my-stack"}, "tags": []string{"prod"}},
	}, func(ctx context.Context, p params) (None, error) {
		k, err := a.kindOf(p.Target.Type)
		if err != nil {
			return None{}, err
		}
		if p.Tags != nil {
			names, err := a.tagNames(ctx, *p.Tags)
			if err != nil {
				return None{}, err
			}
			p.Tags = &names
		}
		_, err = k.Describe(ctx, p.Target.ID, resource.Meta{Description: p.Description, Template: p.Template, Tags: p.Tags})
		return None{}, err
	})
}
