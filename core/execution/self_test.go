package execution

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

// seen is what agents said last, by server.
type seen map[string]*schema.AgentStatus

func (s seen) Host(server string) *schema.AgentStatus { return s[server] }

// someStacks are stacks named after their ids, on the server "here" unless told.
type someStacks struct {
	Stacks
	servers  map[string]string
	projects map[string]string // they were deployed as
}

func (s someStacks) Stack(_ context.Context, id string) (schema.Resource[schema.StackConfig], error) {
	server, ok := s.servers[id]
	if !ok {
		return schema.Resource[schema.StackConfig]{}, schema.Errorf(schema.NotFound, "no stack %q", id)
	}
	return schema.Resource[schema.StackConfig]{ID: id, Name: id, Config: schema.StackConfig{ServerID: server}}, nil
}

func (s someStacks) Deployed(_ context.Context, id string) (*schema.Deployed, error) {
	if p := s.projects[id]; p != "" {
		return &schema.Deployed{Project: p}, nil
	}
	return nil, nil //nolint:nilnil // it was never deployed
}

// TestRow02StacksOfAgentsAreLast finds the stacks that contain the agent that deploys
// them; the same containers on another server are somebody else's.
func TestRow02StacksOfAgentsAreLast(t *testing.T) {
	d := &Deps{
		Stacks: someStacks{
			servers:  map[string]string{"agent": "here", "renamed": "there", "web": "here", "gone": "away", "silent": "silent"},
			projects: map[string]string{"renamed": "old-name"},
		},
		Hosts: seen{
			"here":   {Self: "c1", Containers: []schema.Container{{ID: "c0", Project: "web"}, {ID: "c1", Project: "agent"}}},
			"there":  {Self: "c2", Containers: []schema.Container{{ID: "c2", Project: "old-name"}, {ID: "c1", Project: "web"}}},
			"silent": {Containers: []schema.Container{{Project: "silent"}}},
		},
	}
	var targets []schema.Target
	for _, id := range []string{"agent", "renamed", "web", "gone", "silent", "deleted"} {
		targets = append(targets, schema.Target{Kind: "stack", ID: id, Name: id})
	}
	targets = append(targets, schema.Target{Kind: "repo", ID: "agent", Name: "agent"})
	list, err := d.lastOnes(t.Context(), targets)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range list {
		name := p.Kind + " " + p.Name
		if p.Last != "" {
			name += ": " + p.Last
		}
		got = append(got, name)
	}
	want := []string{"stack web", "stack gone", "stack silent", "stack deleted", "repo agent", "stack agent: " + lastWord, "stack renamed: " + lastWord}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
