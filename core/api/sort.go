package api

import (
	"cmp"
	"slices"
	"strings"
)

// sortKeys are what lists of a kind can be sorted by beside Name and, where the kind
// has one, State: the member of the list item, the first of several that says
// something, or a quotient of two.
func sortKeys(kind string) map[string]string {
	source := "linked_repo_name|repo"
	switch kind {
	case "server":
		return map[string]string{
			"Region": "region", "Version": "version", "State": "state", "Cpu": "stats.cpu_perc", "Memory": "stats.mem_used_gb/stats.mem_total_gb",
			"Disk": "stats.disk_used_gb/stats.disk_total_gb", "LoadAverage": "stats.load_average.one", "Network": "stats.network_ingress_bytes",
		}
	case "stack":
		return map[string]string{"Source": source, "Host": "swarm_name|server_name", "State": "state"}
	case "deployment":
		return map[string]string{"Image": "image", "Host": "swarm_name|server_name", "State": "state"}
	case "build":
		return map[string]string{"Source": source, "State": "state"}
	case "repo":
		return map[string]string{"Repo": "repo", "Branch": "branch", "State": "state"}
	case "procedure", "action":
		return map[string]string{"State": "state", "NextRun": "next_scheduled_run"}
	case "resource_sync":
		return map[string]string{"Source": source, "Branch": "branch", "State": "state"}
	case "builder":
		return map[string]string{"Provider": "builder_type", "InstanceType": "instance_type"}
	case "alerter":
		return map[string]string{"Type": "endpoint_type", "Enabled": "enabled"}
	case "swarm":
		return map[string]string{"State": "state"}
	}
	return map[string]string{}
}

// sortBy sorts a list that is sorted by name.
func sortBy(kind, by string, desc bool, list []rawResource, infos map[string]info) error {
	keys := sortKeys(kind)
	words := []string{"Name"}
	for w := range keys {
		words = append(words, w)
	}
	slices.Sort(words)
	if err := oneOf("sort_by", by, words...); err != nil {
		return err
	}
	if path := keys[by]; path != "" {
		values := make(map[string]any, len(list))
		for _, r := range list {
			values[r.ID] = sortValue(document(infos[r.ID].item), path)
		}
		slices.SortStableFunc(list, func(x, y rawResource) int { return compareValues(values[x.ID], values[y.ID]) })
	}
	if desc {
		slices.Reverse(list)
	}
	return nil
}

func sortValue(doc map[string]any, path string) any {
	if over, under, ok := strings.Cut(path, "/"); ok {
		x, isX := lookupPath(doc, over).(float64)
		y, isY := lookupPath(doc, under).(float64)
		if !isX || !isY || y == 0 {
			return nil
		}
		return x / y
	}
	for one := range strings.SplitSeq(path, "|") {
		if v := lookupPath(doc, one); v != nil && v != "" {
			return v
		}
	}
	return nil
}

// compareValues puts what is not there last.
func compareValues(x, y any) int {
	switch a := x.(type) {
	case float64:
		if b, ok := y.(float64); ok {
			return cmp.Compare(a, b)
		}
	case string:
		if b, ok := y.(string); ok {
			return cmp.Compare(strings.ToLower(a), strings.ToLower(b))
		}
	case bool:
		if b, ok := y.(bool); ok && a != b {
			return map[bool]int{true: -1, false: 1}[a] // what is on comes first
		}
	}
	switch {
	case x == nil && y != nil:
		return 1
	case x != nil && y == nil:
		return -1
	}
	return 0
}
