package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/pflag"

	"berth/core/api"
	"berth/schema"
)

// offered is a request as core describes it.
type offered struct {
	Group   api.Group
	Name    string
	Aliases []string
	Doc     string
	Needs   string
	Params  []api.Param
	Example map[string]any
}

// ofExecution describes an execution as the reference does.
func ofExecution(e schema.ExecutionType) offered {
	r := offered{Group: api.GroupExecute, Name: e.Type, Doc: e.Doc}
	if e.Type == "CommitSync" {
		r.Group = api.GroupWrite
	}
	for _, q := range e.Params {
		r.Params = append(r.Params, api.Param{Name: q.Name, Aliases: q.Aliases, Type: jsonType(q.Type), Required: q.Required || e.Type == "Sleep", Doc: paramDoc(q)})
	}
	return r
}

// jsonType is the type of a parameter as requests have it; what is left are texts.
func jsonType(typ string) string {
	switch typ {
	case "int":
		return "integer"
	case "bool":
		return "boolean"
	case "list<str>":
		return "array"
	case "map<str,str>", "table":
		return "object"
	}
	return "string"
}

func paramDoc(q schema.Param) string {
	switch {
	case q.Ref != "":
		return "name or id of " + aOrAn(strings.ReplaceAll(q.Ref, "_", " "))
	case q.Type == "pattern":
		return "names; * and ? stand for anything, a comma between several"
	}
	text, known := map[string]string{
		"services": "only these services", "stop_time": "seconds until what does not stop is killed", "time": "seconds until what does not stop is killed",
		"signal": "asks it to stop: SIGTERM, SIGINT, SIGQUIT or SIGHUP", "stop_signal": "asks it to stop: SIGTERM, SIGINT, SIGQUIT or SIGHUP",
		"tags": "only resources with these tags", "command": "instead of the service's own", "no_tty": "without a terminal",
		"no_deps": "without the services it depends on", "detach": "do not wait for its end", "service_ports": "publish the service's ports",
		"env": "variables, as A=1&B=2 or JSON", "args": "arguments, as A=1&B=2 or JSON", "workdir": "working directory in the container",
		"user": "user in the container", "entrypoint": "instead of the image's", "pull": "pull the image first",
		"remove_orphans": "also containers of services that are no longer declared", "update_id": "only this run", "level": "OK, WARNING or CRITICAL",
		"resource_type": "only resources of this type, such as Stack", "resources": "only these, by name or id",
		"skip_auto_update": "only look, deploy nothing", "force": "also where something speaks against it", "container": "name of the container",
		"duration_ms": "how long, in milliseconds", "service": "name of the service", "message": "what is said", "details": "what is said beyond that",
	}[q.Name]
	if known {
		return text
	}
	return strings.ReplaceAll(q.Name, "_", " ")
}

func aOrAn(noun string) string {
	if strings.ContainsAny(noun[:1], "aeiou") {
		return "an " + noun
	}
	return "a " + noun
}

// word is how km writes a parameter.
type word struct {
	letter string
	names  []string // besides its own
	flag   bool     // never an argument
}

// wordFor is how km writes a parameter of a request: by a letter, and only so, or as
// everything else.
func wordFor(request, param string) word {
	return map[string]word{
		"SendAlert.level": {"l", nil, true}, "SendAlert.details": {"d", nil, true}, "SendAlert.alerters": {"a", []string{"alerter"}, true},
		"CancelProcedure.update_id": {"u", nil, true}, "GlobalAutoUpdate.skip_auto_update": {"s", nil, true}, "RotateCoreKeys.force": {"f", nil, true},
		"RemoveSwarmNodes.force": {"f", nil, true}, "UpdateSwarmNode.availability": {"a", nil, true}, "UpdateSwarmNode.role": {"r", nil, true},
		"UpdateSwarmNode.label_add": {"l", []string{"label"}, true}, "UpdateSwarmNode.label_rm": {"", []string{"lr"}, true},
		"RunStackService.env": {"e", nil, true}, "RunStackService.workdir": {"", nil, true}, "RunStackService.user": {"", nil, true},
		"RunStackService.entrypoint": {"", nil, true},
	}[request+"."+param]
}

// executionAlias returns the execution that km's short name stands for.
func executionAlias(name string) string {
	long, ok := map[string]string{
		"stack": "deploy-stack", "st": "deploy-stack", "dp": "deploy", "deployment": "deploy", "build": "run-build", "bd": "run-build",
		"clone": "clone-repo", "procedure": "run-procedure", "pr": "run-procedure", "action": "run-action", "ac": "run-action",
		"sync": "run-sync", "sn": "run-sync", "commit": "commit-sync", "alert": "send-alert",
		"backup": "backup-core-database", "backup-db": "backup-core-database", "backup-database": "backup-core-database",
		"auto-update": "global-auto-update", "rotate-keys": "rotate-all-server-keys",
	}[name]
	if ok {
		return long
	}
	return name
}

// execution finds an execution by its name in kebab-case, its own, or an alias.
func execution(name string) (schema.ExecutionType, bool) {
	name = executionAlias(name)
	for _, e := range schema.Executions() {
		if kebab(e.Type) == name || e.Type == name {
			return e, true
		}
	}
	return schema.ExecutionType{}, false
}

// kebab turns DeployStack into deploy-stack.
func kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func kebabParam(name string) string { return strings.ReplaceAll(name, "_", "-") }

// offers lists what core offers.
func (p *program) offers(ctx context.Context) ([]offered, error) {
	var rows []offered
	err := p.call(ctx, api.GroupRead, "ListRequests", nil, &rows)
	return rows, err
}

// request finds what was asked for. Executions have the reference's parameters, in its
// order, and then what core offers beside them; without core, the former are told.
func (p *program) request(ctx context.Context, name string, args []string) (offered, error) {
	e, known := execution(name)
	helps := slices.Contains(args, "--help") || slices.Contains(args, "-h")
	if known && helps {
		return ofExecution(e), nil
	}
	fs := p.flagSet(nil, &typed{named: map[string][]string{}})
	if known {
		r := ofExecution(e)
		fs = p.flagSet(&r, &typed{named: map[string][]string{}})
	}
	fs.ParseErrorsAllowlist.UnknownFlags = true
	_ = fs.Parse(args) // only whom to ask is wanted here
	rows, err := p.offers(ctx)
	if err != nil {
		return offered{}, err
	}
	found, err := findRequest(rows, executionAlias(name))
	if err != nil || !known {
		return found, err
	}
	r := ofExecution(e)
	for _, q := range found.Params {
		if !slices.ContainsFunc(r.Params, func(have api.Param) bool { return have.Name == q.Name }) {
			r.Params = append(r.Params, q)
		}
	}
	r.Group, r.Name, r.Needs, r.Doc = found.Group, found.Name, found.Needs, found.Doc
	return r, nil
}

func findRequest(rows []offered, name string) (offered, error) {
	var names []string
	for _, r := range rows {
		if kebab(r.Name) == name || r.Name == name {
			return r, nil
		}
		names = append(names, kebab(r.Name))
		for _, a := range r.Aliases {
			if kebab(a) == name || a == name {
				return r, nil
			}
		}
	}
	if e, known := execution(name); known {
		return offered{}, schema.Errorf(schema.Unsupported, "%s is not in this version: `berth execute` lists what is", e.Type)
	}
	if near := schema.Nearest(name, names); near != "" {
		return offered{}, schema.Errorf(schema.Invalid, "unknown request %q: did you mean %s?", name, near)
	}
	return offered{}, schema.Errorf(schema.Invalid, "unknown request %q: `berth execute` lists all", name)
}

func (p *program) usage(r offered) string {
	parts := []string{p.programName(), "execute", kebab(r.Name)}
	for _, q := range inOrder(r) {
		name := strings.ToUpper(q.Name)
		if q.Type == "array" {
			name += "…"
		}
		if !q.Required {
			name = "[" + name + "]"
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, " ")
}

func (p *program) explain(r offered, fs *pflag.FlagSet) {
	fmt.Fprintf(p.out, "%s\n\n%s\n", r.Doc, p.usage(r))
	if r.Needs != "" {
		fmt.Fprintf(p.out, "Needs: %s\n", r.Needs)
	}
	fmt.Fprintf(p.out, "\n%s", fs.FlagUsages())
}

func (p *program) listRequests(rows []offered) error {
	if p.asJSON {
		return p.printJSON(rows)
	}
	var lines [][]string
	for _, g := range []api.Group{api.GroupExecute, api.GroupRead, api.GroupWrite} {
		for _, r := range rows {
			if r.Group == g {
				lines = append(lines, []string{kebab(r.Name), string(r.Group), r.Doc})
			}
		}
	}
	return p.table([]string{"Request", "Group", "What it does"}, lines)
}
