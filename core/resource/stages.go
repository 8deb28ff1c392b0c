package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"berth/schema"
)

// stagesOf returns a setting that is the stages of a procedure; false for others.
func (k *Kind[C]) stagesOf(config C, name string) ([]schema.ProcedureStage, bool) {
	for _, s := range k.settings {
		if s.name == name {
			return reflect.TypeAssert[[]schema.ProcedureStage](reflect.ValueOf(config).Field(s.index))
		}
	}
	return nil, false
}

// stageChanges compares stages by name, and what they do one by one, so that people
// see what changes of a long list. Both are as a plan shows them.
func stageChanges(key string, before, after []schema.ProcedureStage) []FieldChange {
	olds, news := stageLabels(before), stageLabels(after)
	var out []FieldChange
	var kept, now []string
	for i, label := range olds {
		if slices.Contains(news, label) {
			kept = append(kept, label)
			continue
		}
		out = append(out, FieldChange{Key: at(key, label), Old: stageText(before[i])})
		out = append(out, executionChanges(at(key, label), before[i].Executions, nil)...)
	}
	for i, label := range news {
		if n := slices.Index(olds, label); n >= 0 {
			now = append(now, label)
			out = append(out, flagChanges(at(key, label), before[n], after[i])...)
			out = append(out, executionChanges(at(key, label), before[n].Executions, after[i].Executions)...)
			continue
		}
		out = append(out, FieldChange{Key: at(key, label), New: stageText(after[i])})
		out = append(out, executionChanges(at(key, label), nil, after[i].Executions)...)
	}
	if !slices.Equal(kept, now) {
		out = append(out, FieldChange{Key: key + "[order]", Old: strings.Join(kept, ", "), New: strings.Join(now, ", ")})
	}
	return out
}

func at(key, label string) string { return key + "[" + label + "]" }

// stageLabels names stages so that each is found again: by name, where there is one.
func stageLabels(list []schema.ProcedureStage) []string {
	seen := map[string]int{}
	var out []string
	for i, s := range list {
		label := s.Name
		if label == "" {
			label = fmt.Sprint(i)
		}
		if seen[label]++; seen[label] > 1 {
			label = fmt.Sprintf("%s #%d", label, seen[label])
		}
		out = append(out, label)
	}
	return out
}

// bound is one of the switches and bounds of a stage or an execution, as text.
type bound struct{ name, value string }

func stageFlags(s schema.ProcedureStage) []bound {
	return []bound{
		{"enabled", fmt.Sprint(s.Enabled)},
		{"approval", fmt.Sprint(s.Approval)},
		{"concurrency", fmt.Sprint(s.Concurrency)},
		{"continue_on_failure", fmt.Sprint(s.ContinueOnFailure)},
		{"timeout", s.Timeout.String()},
	}
}

func executionFlags(e schema.EnabledExecution) []bound {
	return []bound{
		{"enabled", fmt.Sprint(e.Enabled)},
		{"concurrency", fmt.Sprint(e.Concurrency)},
		{"timeout", e.Timeout.String()},
		{"retries", fmt.Sprint(e.Retries)},
		{"retry_delay", e.RetryDelay.String()},
		{"continue_on_failure", fmt.Sprint(e.ContinueOnFailure)},
	}
}

// flagTexts are the flags that are not as usual.
func flagTexts(list, usual []bound) []string {
	var out []string
	for i, f := range list {
		if f != usual[i] {
			out = append(out, f.name+"="+f.value)
		}
	}
	return out
}

func flagChanges(key string, before, after schema.ProcedureStage) []FieldChange {
	var out []FieldChange
	olds := stageFlags(before)
	for i, f := range stageFlags(after) {
		if f != olds[i] {
			out = append(out, FieldChange{Key: key + "." + f.name, Old: olds[i].value, New: f.value})
		}
	}
	return out
}

// stageText is a stage in a word: what it does is listed apart.
func stageText(s schema.ProcedureStage) string {
	n := fmt.Sprintf("stage with %d executions", len(s.Executions))
	if len(s.Executions) == 1 {
		n = "stage with 1 execution"
	}
	return strings.Join(append([]string{n}, flagTexts(stageFlags(s), stageFlags(schema.ProcedureStage{Enabled: true}))...), ", ")
}

// executionChanges compares what a stage does. What stays is found whatever its
// place; of the rest, those of one type in turn are taken for the same one, changed.
func executionChanges(key string, before, after []schema.EnabledExecution) []FieldChange {
	olds, news := executionTexts(before), executionTexts(after)
	from := pairs(len(olds), len(news),
		func(o, n int) bool { return olds[o] == news[n] },
		func(o, n int) bool { return before[o].Execution.Type == after[n].Execution.Type })
	var out []FieldChange
	for o := range olds {
		if !slices.Contains(from, o) {
			out = append(out, FieldChange{Key: fmt.Sprintf("%s.executions[%d]", key, o), Old: olds[o]})
		}
	}
	for n, o := range from {
		old := ""
		if o >= 0 {
			old = olds[o]
		}
		if old != news[n] {
			out = append(out, FieldChange{Key: fmt.Sprintf("%s.executions[%d]", key, n), Old: old, New: news[n]})
		}
	}
	if len(out) == 0 && !slices.Equal(olds, news) {
		out = append(out, FieldChange{Key: key + ".executions[order]", Old: strings.Join(olds, "; "), New: strings.Join(news, "; ")})
	}
	return out
}

// pairs finds for each of the new ones which old one it is, -1 for none: by the first
// likeness wherever there is one, what is left by the next.
func pairs(olds, news int, likeness ...func(o, n int) bool) []int {
	from := slices.Repeat([]int{-1}, news)
	for _, alike := range likeness {
		for n := range news {
			for o := range olds {
				if from[n] < 0 && !slices.Contains(from, o) && alike(o, n) {
					from[n] = o
				}
			}
		}
	}
	return from
}

func executionTexts(list []schema.EnabledExecution) []string {
	var out []string
	for _, e := range list {
		out = append(out, executionText(e))
	}
	return out
}

// executionText is an execution on a line: DeployStack stack=web, enabled=false.
func executionText(e schema.EnabledExecution) string {
	words := []string{e.Execution.Type}
	var params map[string]json.RawMessage
	_ = json.Unmarshal(e.Execution.Params, &params) // checked when it was read
	t, _ := schema.ExecutionByType(e.Execution.Type)
	for _, p := range t.Params {
		raw, given := params[p.Name]
		delete(params, p.Name)
		if given && !bytes.Equal(raw, jsonOf(p.Default)) {
			words = append(words, p.Name+"="+paramText(raw))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		words = append(words, name+"="+paramText(params[name]))
	}
	line := strings.Join(words, " ")
	return strings.Join(append([]string{line}, flagTexts(executionFlags(e), executionFlags(schema.EnabledExecution{Enabled: true}))...), ", ")
}

// paramText is a word as it is, and all else as JSON: on one line.
func paramText(raw json.RawMessage) string {
	s := text(raw)
	if s == "" || strings.ContainsAny(s, " \t\r\n\"") && raw[0] == '"' {
		return string(raw)
	}
	return s
}
