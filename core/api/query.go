package api

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"berth/core/access"
	"berth/schema"
)

// resourceQuery selects resources of a kind; zero fields do not restrict.
type resourceQuery struct {
	Terms     schema.StrList `json:"terms"`
	Names     schema.StrList `json:"names"`
	Tags      schema.StrList `json:"tags"`
	Behavior  string         `json:"tag_behavior"` // All, Any
	Templates string         `json:"templates"`    // Include, Exclude, Only
	Specific  specificQuery  `json:"specific"`
}

// specificQuery are the members that kinds add; each is a list of what is wanted.
type specificQuery struct {
	States      []string       `json:"states"`
	ServerIDs   schema.StrList `json:"server_ids"`
	LinkedRepos schema.StrList `json:"linked_repos"`
	Repos       schema.StrList `json:"repos"`
}

// UnmarshalJSON takes null and an empty list for nothing: clients send both.
func (q *resourceQuery) UnmarshalJSON(b []byte) error {
	type plain resourceQuery
	if string(b) == "null" {
		return nil
	}
	return json.Unmarshal(b, (*plain)(q))
}

// matcher returns the test of a query. An unknown tag is NotFound.
func (a *API) matcher(q resourceQuery) (func(r rawResource, i info) bool, error) {
	tags := make([]string, len(q.Tags))
	for i, t := range q.Tags {
		tags[i] = t
		if !schema.IsID(t) {
			tags[i] = tagID(t)
		}
	}
	servers, err := a.idsOf("server", q.Specific.ServerIDs)
	if err != nil {
		return nil, err
	}
	linked, err := a.idsOf("repo", q.Specific.LinkedRepos)
	if err != nil {
		return nil, err
	}
	return func(r rawResource, i info) bool {
		var c struct {
			Server string `json:"server_id"`
			Linked string `json:"linked_repo"`
			Repo   string `json:"repo"`
		}
		_ = json.Unmarshal(r.Config, &c) // kinds without these members have none
		return q.named(r) && tagged(r.Tags, tags, q.Behavior) && wanted(q.Specific.States, i.state) &&
			wanted(servers, c.Server) && wanted(linked, c.Linked) && wanted(q.Specific.Repos, c.Repo)
	}, nil
}

func (q resourceQuery) named(r rawResource) bool {
	name := strings.ToLower(r.Name)
	for _, t := range q.Terms {
		if !strings.Contains(name, strings.ToLower(t)) {
			return false
		}
	}
	switch {
	case len(q.Names) > 0 && !slices.Contains(q.Names, r.Name) && !slices.Contains(q.Names, r.ID):
		return false
	case q.Templates == "Exclude" && r.Template, q.Templates == "Only" && !r.Template:
		return false
	}
	return true
}

func tagged(have, want []string, behavior string) bool {
	if len(want) == 0 {
		return true
	}
	ids := tagIDs(have)
	n := 0
	for _, t := range want {
		if slices.Contains(ids, t) {
			n++
		}
	}
	return n == len(want) || behavior == "Any" && n > 0
}

func wanted[T ~[]string](list T, v string) bool { return len(list) == 0 || slices.Contains(list, v) }

// idsOf turns names or ids into ids.
func (a *API) idsOf(kind string, keys []string) ([]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	k, err := a.deps.Kinds.Kind(kind)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(keys))
	for i, key := range keys {
		t, err := k.Find(key)
		if err != nil {
			return nil, err
		}
		out[i] = t.ID
	}
	return out, nil
}

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

// document is v as a filter sees it.
func document(v any) map[string]any {
	var m map[string]any
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return nil
	}
	return m
}
