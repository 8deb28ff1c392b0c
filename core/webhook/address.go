package webhook

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"strings"

	"berth/schema"
)

// action is what an address does.
type action struct {
	run    string // the execution
	forced string // instead, when the target wants it
	branch string // of the address of a procedure or action
}

// lookup reads the parts of an address; ok is false for one that leads nowhere.
func lookup(provider, kind, option string) (action, bool) {
	if provider != "github" && provider != "gitlab" || (option == "") != (kind == "build") {
		return action{}, false
	}
	switch kind {
	case "procedure":
		return action{run: "RunProcedure", branch: option}, true
	case "action":
		return action{run: "RunAction", branch: option}, true
	}
	if kind == "resource_sync" { // as stored deliveries name it
		kind = "sync"
	}
	a, ok := map[string]action{
		"stack/deploy":  {run: "DeployStackIfChanged", forced: "DeployStack"},
		"stack/refresh": {run: refresh},
		"repo/pull":     {run: "PullRepo"},
		"repo/clone":    {run: "CloneRepo"},
		"repo/build":    {run: "BuildRepo"},
		"build/":        {run: "RunBuild"},
		"sync/sync":     {run: "RunSync"},
		"sync/refresh":  {run: "RefreshResourceSyncPending"},
	}[kind+"/"+option]
	return a, ok
}

func errAddress(path string) error {
	return schema.Errorf(schema.NotFound, "no webhook address %q: it is /listener/github|gitlab/procedure|action/NAME/BRANCH, …/stack/NAME/deploy|refresh, …/repo/NAME/pull|clone|build, …/sync/NAME/sync|refresh or …/build/NAME", clip(path, 200))
}

// refresh is what stack/refresh asks for. There is nothing to do: commits are
// looked up whenever a stack is deployed or shown.
const refresh = "RefreshStackCache"

// ignore says why an authentic delivery means nothing here, or nothing.
func ignore(t Target, p push, run, branch string) string {
	switch {
	case p.Event == "ping":
		return "ping: the address and the secret are right"
	case !t.Enabled:
		return "disabled: webhook_enabled of " + t.Kind + " " + t.Name + " is false"
	case p.Deleted:
		return "deleted: " + p.Ref + " is gone, there is nothing to deploy"
	case branch == AnyBranch && (t.Kind == "procedure" || t.Kind == "action" && p.Ref != ""):
		return ""
	case p.Event != "push" && p.Event != "tag":
		return "event: " + cmp.Or(p.Event, "unknown") + " is not a push; send push events only"
	case strings.HasPrefix(p.Ref, "refs/tags/") || p.Event == "tag":
		return "tag: " + p.Ref + " is not a branch"
	case p.Ref == "":
		return "branch: the push names no ref"
	case p.Branch() != branch:
		return "branch: pushed " + cmp.Or(p.Branch(), p.Ref) + ", listening to " + branch
	case run == refresh:
		return "refresh: nothing to do, Berth looks commits up by itself; use …/deploy to deploy"
	}
	return ""
}

// readBody reads at most limit bytes; a longer body is TooLarge and not read to
// its end.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	tooLarge := schema.Errorf(schema.TooLarge, "the body is larger than %d MB", limit>>20)
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close")
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err == nil {
		return body, nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	return nil, schema.Wrap(schema.Invalid, err, "the body ended early")
}
