package api

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

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

// specificQuery are the members that kinds add; a list is what is wanted, and a
// kind without the member has nothing that is wanted.
type specificQuery struct {
	States      schema.StrList `json:"states"`
	ServerIDs   schema.StrList `json:"server_ids"`
	Servers     schema.StrList `json:"servers"` // of swarms
	SwarmIDs    schema.StrList `json:"swarm_ids"`
	BuildIDs    schema.StrList `json:"build_ids"`
	BuilderIDs  schema.StrList `json:"builder_ids"`
	LinkedRepos schema.StrList `json:"linked_repos"`
	Repos       schema.StrList `json:"repos"`
	Types       schema.StrList `json:"types"`            // of alerters' endpoints
	Update      bool           `json:"update_available"` // only those
	BuiltSince  int64          `json:"built_since"`      // unix ms
	Scheduled   bool           `json:"scheduled"`        // only those
	Enabled     *bool          `json:"enabled"`
}

// UnmarshalJSON takes null and an empty list for nothing: clients send both.
func (q *resourceQuery) UnmarshalJSON(b []byte) error {
	type plain resourceQuery
	if string(b) == "null" {
		return nil
	}
	return json.Unmarshal(b, (*plain)(q))
}

// matcher returns the test of a query. A tag or a resource that it names and that
// does not exist is NotFound.
func (a *API) matcher(ctx context.Context, q resourceQuery) (func(r rawResource, i info) bool, error) {
	if err := oneOf("tag_behavior", q.Behavior, "All", "Any"); err != nil {
		return nil, err
	}
	if err := oneOf("templates", q.Templates, "Include", "Exclude", "Only"); err != nil {
		return nil, err
	}
	tags, err := a.tagNames(ctx, q.Tags)
	if err != nil {
		return nil, err
	}
	specific, err := a.specificMatcher(q.Specific)
	if err != nil {
		return nil, err
	}
	return func(r rawResource, i info) bool {
		return q.named(r) && tagged(r.Tags, tags, q.Behavior) && specific(r, i)
	}, nil
}

// hasTerms reports whether all terms are in a text, in any case.
func hasTerms(text string, terms []string) bool {
	text = strings.ToLower(text)
	return !slices.ContainsFunc(terms, func(t string) bool { return !strings.Contains(text, strings.ToLower(t)) })
}

// oneOf refuses a word that is none of these; nothing is fine.
func oneOf(name, have string, words ...string) error {
	if have == "" || slices.Contains(words, have) {
		return nil
	}
	return schema.Errorf(schema.Invalid, "%s %q: it is %s", name, cut(have, 40), strings.Join(words, ", "))
}

// pointers are the settings that name other resources and that queries ask for.
type pointers struct {
	Server  string   `json:"server_id"`
	Servers []string `json:"server_ids"`
	Swarm   string   `json:"swarm_id"`
	Builder string   `json:"builder_id"`
	Linked  string   `json:"linked_repo"`
	Repo    string   `json:"repo"`
	Image   struct {
		Params struct {
			Build string `json:"build_id"`
		} `json:"params"`
	} `json:"image"`
}

func (a *API) specificMatcher(q specificQuery) (func(r rawResource, i info) bool, error) {
	type list struct {
		ids []string
		of  func(pointers) []string
	}
	one := func(f func(pointers) string) func(pointers) []string {
		return func(p pointers) []string { return []string{f(p)} }
	}
	var lists []list
	for _, x := range []struct {
		kind  string
		given []string
		of    func(pointers) []string
	}{
		{"server", q.ServerIDs, one(func(p pointers) string { return p.Server })},
		{"server", q.Servers, func(p pointers) []string { return p.Servers }},
		{"swarm", q.SwarmIDs, one(func(p pointers) string { return p.Swarm })},
		{"build", q.BuildIDs, one(func(p pointers) string { return p.Image.Params.Build })},
		{"builder", q.BuilderIDs, one(func(p pointers) string { return p.Builder })},
		{"repo", q.LinkedRepos, one(func(p pointers) string { return p.Linked })},
		{"", q.Repos, one(func(p pointers) string { return p.Repo })},
	} {
		ids, err := a.idsOf(x.kind, x.given)
		if err != nil {
			return nil, err
		}
		if len(ids) > 0 {
			lists = append(lists, list{ids, x.of})
		}
	}
	return func(r rawResource, i info) bool {
		if !wanted(q.States, i.state) || !q.shown(i) {
			return false
		}
		if len(lists) == 0 {
			return true
		}
		var p pointers
		_ = json.Unmarshal(r.Config, &p) // a kind without these members has none
		for _, l := range lists {
			if !slices.ContainsFunc(l.of(p), func(id string) bool { return slices.Contains(l.ids, id) }) {
				return false
			}
		}
		return true
	}, nil
}

// shown tests what is not in the settings.
func (q specificQuery) shown(i info) bool {
	switch item := i.item.(type) {
	case stackItem:
		return !q.Update || slices.ContainsFunc(item.Services, func(s serviceUpdate) bool { return s.Available })
	case deploymentItem:
		return !q.Update || item.Update
	case buildItem:
		return item.Built > q.BuiltSince || q.BuiltSince == 0
	case procedureItem:
		return !q.Scheduled || item.NextRun != nil
	case actionItem:
		return !q.Scheduled || item.NextRun != nil
	case alerterItem:
		return (q.Enabled == nil || *q.Enabled == item.Enabled) && wanted(q.Types, item.Endpoint)
	}
	return true
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

// tagged reports whether all tags are there that are wanted, or any of them.
func tagged(have, want []string, behavior string) bool {
	if len(want) == 0 {
		return true
	}
	n := 0
	for _, t := range want {
		if slices.Contains(have, t) {
			n++
		}
	}
	return n == len(want) || behavior == "Any" && n > 0
}

func wanted[T ~[]string](list T, v string) bool { return len(list) == 0 || slices.Contains(list, v) }

// idsOf turns names or ids into ids; without a kind they are what they are.
func (a *API) idsOf(kind string, keys []string) ([]string, error) {
	if len(keys) == 0 || kind == "" {
		return keys, nil
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

// pageSize is how many resources a page has when the client does not say.
const pageSize = 50

// pageOf cuts out a page; a limit of 0 is everything. Neither is negative.
func pageOf[T any](list []T, page int, limit *int) ([]T, error) {
	n := pageSize
	if limit != nil {
		n = *limit
	}
	switch {
	case page < 0 || n < 0:
		return nil, schema.Errorf(schema.Invalid, "page and limit are not negative")
	case n == 0:
		return list, nil
	case page > len(list)/n:
		return list[:0], nil
	}
	from := page * n
	return list[from : min(len(list)-from, n)+from], nil
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
