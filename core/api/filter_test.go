package api

import (
	"encoding/json"
	"testing"

	"berth/schema"
)

func TestFilter(t *testing.T) {
	doc := map[string]any{}
	if err := json.Unmarshal([]byte(`{"operation":"DeployStack","success":true,"start_ts":1000,"target":{"type":"Stack","id":"x"},"tags":["a","b"],"other":null}`), &doc); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]bool{
		`null`:                                           true,
		`{}`:                                             true,
		`{"operation":"DeployStack"}`:                    true,
		`{"operation":"PullRepo"}`:                       false,
		`{"target.type":"Stack"}`:                        true,
		`{"target":{"type":"Stack"}}`:                    false,
		`{"target.type":"Stack","x":1}`:                  false,
		`{"tags":"a"}`:                                   true,
		`{"tags":"c"}`:                                   false,
		`{"success":{"$ne":true}}`:                       false,
		`{"success":{"$eq":true}}`:                       true,
		`{"operation":{"$in":["A","B"]}}`:                false,
		`{"operation":{"$nin":["A"]}}`:                   true,
		`{"start_ts":{"$gt":1,"$lt":2000}}`:              true,
		`{"start_ts":{"$gte":1001}}`:                     false,
		`{"start_ts":{"$lte":1000}}`:                     true,
		`{"operation":{"$gt":5}}`:                        false,
		`{"other":{"$exists":false}}`:                    true,
		`{"success":{"$exists":true}}`:                   true,
		`{"operation":{"$regex":"^Dep"}}`:                true,
		`{"operation":{"$not":{"$regex":"^Dep"}}}`:       false,
		`{"$or":[{"operation":"X"},{"success":true}]}`:   true,
		`{"$and":[{"operation":"X"},{"success":true}]}`:  false,
		`{"$nor":[{"operation":"X"},{"success":false}]}`: true,
		`{"$or":[{"target.id":{"$in":["x"]}},{"$and":[{"success":false}]}]}`: true,
	} {
		f, err := parseFilter(json.RawMessage(query))
		if err != nil {
			t.Errorf("%s: %v", query, err)
		} else if f(doc) != want {
			t.Errorf("%s: %t", query, !want)
		}
	}
	for _, query := range []string{`5`, `"x"`, `{"$where":"1"}`, `{"$or":[]}`, `{"$or":[5]}`, `{"a":{"$in":5}}`, `{"a":{"$regex":"("}}`, `{"a":{"$near":1}}`} {
		if _, err := parseFilter(json.RawMessage(query)); schema.CodeOf(err) != schema.Invalid {
			t.Errorf("%s: %v", query, err)
		}
	}
}
