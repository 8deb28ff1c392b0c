package api

import (
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
	tags := wantedTags(q.Tags)
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

// wantedTags are the ids of tags by name or id.
func wantedTags(keys []string) []string {
	tags := make([]string, len(keys))
	for i, t := range keys {
		tags[i] = t
		if !schema.IsID(t) {
			tags[i] = tagID(t)
		}
	}
	return tags
}

// hasTerms reports whether all terms are in a text, in any case.
func hasTerms(text string, terms []string) bool {
	text = strings.ToLower(text)
	return !slices.ContainsFunc(terms, func(t string) bool { return !strings.Contains(text, strings.ToLower(t)) })
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
