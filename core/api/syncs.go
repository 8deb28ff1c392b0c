package api

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"berth/core/access"
	"berth/schema"
)

// Syncs are the resource syncs as they stand.
type Syncs interface {
	// State says how a sync stands, by name or id, as it was looked at last.
	State(key string) (schema.SyncState, error)
	// Refresh looks at its source and keeps what is pending.
	Refresh(ctx context.Context, key string) (schema.SyncState, error)
	// Plan says what a run would do, of everything or of a selection.
	Plan(ctx context.Context, key string, q schema.SyncRequest) (schema.SyncPlan, error)
}

// syncInfo has the members of Komodo's sync, with what is pending as texts.
type syncInfo struct {
	LastSync     int64          `json:"last_sync_ts"`
	LastHash     *string        `json:"last_sync_hash"`
	LastMessage  *string        `json:"last_sync_message"`
	Resources    []resourceDiff `json:"resource_updates"`
	Variables    []diffData     `json:"variable_updates"`
	Groups       []diffData     `json:"user_group_updates"`
	Deploys      []syncDeploy   `json:"pending_deploys"`
	Error        *string        `json:"pending_error"`
	DeployError  *string        `json:"pending_deploy_error"`
	Hash         *string        `json:"pending_hash"`
	Message      *string        `json:"pending_message"`
	RemoteFiles  []syncFile     `json:"remote_contents"`
	RemoteErrors []syncFile     `json:"remote_errors"`
	Guard        *string        `json:"guard"`      // ours: why deletes need a confirmation
	Decisions    []string       `json:"decisions"`  // ours: why what is not pending is not
	CheckedAt    int64          `json:"checked_at"` // ours
}

type resourceDiff struct {
	Target target   `json:"target"`
	Data   diffData `json:"data"`
}

// diffData is {type, data}: Create, Update or Delete with TOML texts.
type diffData struct {
	Type string            `json:"type"`
	Data map[string]string `json:"data"`
}

type syncDeploy struct {
	Target target   `json:"target"`
	Reason string   `json:"reason"`
	After  []target `json:"after"`
}

type syncFile struct {
	Entry    string `json:"resource_path"`
	Path     string `json:"path"`
	Contents string `json:"contents"`
}

type syncItem struct {
	LastSync    int64    `json:"last_sync_ts"`
	OnHost      bool     `json:"files_on_host"`
	Contents    bool     `json:"file_contents"`
	Managed     bool     `json:"managed"`
	Path        []string `json:"resource_path"`
	Linked      string   `json:"linked_repo"`
	LinkedName  string   `json:"linked_repo_name"`
	Provider    string   `json:"git_provider"`
	Repo        string   `json:"repo"`
	Branch      string   `json:"branch"`
	RepoLink    string   `json:"repo_link"`
	LastHash    *string  `json:"last_sync_hash"`
	LastMessage *string  `json:"last_sync_message"`
	State       string   `json:"state"`
}

// syncInfos shows how every sync stands.
func (a *API) syncInfos(ctx context.Context, _ []string) (map[string]info, error) {
	out := map[string]info{}
	if a.deps.Syncs == nil {
		return out, nil
	}
	k, err := a.deps.Kinds.Kind("resource_sync")
	if err != nil {
		return nil, err
	}
	list, err := k.List(ctx)
	if err != nil {
		return nil, err
	}
	runs, err := a.deps.Engine.List(ctx, schema.RunFilter{Kind: "resource_sync", Action: "RunSync", Pending: true, Limit: 1000})
	if err != nil {
		return nil, err
	}
	for _, raw := range list {
		var r schema.Resource[schema.SyncConfig]
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, err
		}
		st, err := a.deps.Syncs.State(r.ID)
		if schema.CodeOf(err) == schema.NotFound {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		state := string(st.Status)
		if slices.ContainsFunc(runs, func(x *schema.Run) bool { return x.Target.ID == r.ID && !x.State.Terminal() }) {
			state = string(schema.SyncSyncing)
		}
		out[r.ID] = info{full: syncInfoOf(st), item: a.syncItemOf(r, st, state), state: state}
	}
	return out, nil
}

func (a *API) syncItemOf(r schema.Resource[schema.SyncConfig], st schema.SyncState, state string) syncItem {
	c := r.Config
	i := syncItem{
		OnHost: c.FilesOnHost, Contents: c.FileContents != "", Managed: c.Managed, Path: c.ResourcePath, Linked: c.LinkedRepo,
		Provider: c.GitProvider, Repo: c.Repo, Branch: c.Branch, RepoLink: repoLink(c.GitProvider, c.GitHTTPS, c.Repo, c.Branch), State: state,
	}
	if i.Path == nil {
		i.Path = []string{}
	}
	if c.LinkedRepo != "" {
		if k, err := a.deps.Kinds.Kind("repo"); err == nil {
			if t, err := k.Find(c.LinkedRepo); err == nil {
				i.LinkedName = t.Name
			}
		}
	}
	if l := st.Last; l != nil {
		i.LastSync, i.LastHash, i.LastMessage = l.At, orNull(short(l.Commit)), orNull(l.Message)
	}
	return i
}

func syncInfoOf(st schema.SyncState) syncInfo {
	p := st.Plan
	i := syncInfo{
		Resources: []resourceDiff{}, Variables: []diffData{}, Groups: []diffData{}, Deploys: []syncDeploy{}, RemoteFiles: []syncFile{},
		RemoteErrors: []syncFile{}, Decisions: []string{}, Hash: orNull(short(p.Commit)), Message: orNull(p.Message), Guard: orNull(p.Guard), CheckedAt: st.CheckedAt,
	}
	if l := st.Last; l != nil {
		i.LastSync, i.LastHash, i.LastMessage = l.At, orNull(short(l.Commit)), orNull(l.Message)
	}
	if p.Problem != nil {
		i.Error = orNull(p.Problem.Text)
	}
	for _, f := range p.Files {
		if f.Problem != "" {
			i.RemoteErrors = append(i.RemoteErrors, syncFile{f.Entry, f.Path, f.Problem})
		} else {
			i.RemoteFiles = append(i.RemoteFiles, syncFile{f.Entry, f.Path, f.Text})
		}
	}
	for _, c := range p.Changes {
		i.change(c)
	}
	i.deploys(p.Deploys)
	return i
}

func (i *syncInfo) change(c schema.SyncChange) {
	if !c.Pending() {
		if c.Op == "keep" {
			i.Decisions = append(i.Decisions, c.Kind+" "+c.Name+": "+c.Reason)
		}
		return
	}
	d := diffData{Type: typeName(c.Op), Data: map[string]string{}}
	switch c.Op {
	case "create":
		d.Data["name"], d.Data["proposed"] = c.Name, c.Proposed
	case "update":
		d.Data["proposed"], d.Data["current"] = c.Proposed, c.Current
	default:
		d.Data["current"] = c.Current
	}
	id := c.ID
	if c.Op == "create" {
		id = ""
	}
	switch c.Kind {
	case "variable":
		i.Variables = append(i.Variables, d)
	case "user_group":
		i.Groups = append(i.Groups, d)
	default:
		i.Resources = append(i.Resources, resourceDiff{target{typeName(c.Kind), id}, d})
	}
}

func (i *syncInfo) deploys(list []schema.SyncDeploy) {
	var failed []string
	for _, d := range list {
		switch {
		case d.Pending():
			x := syncDeploy{Target: target{typeName(d.Kind), d.Name}, Reason: d.Reason, After: []target{}}
			for _, t := range d.After {
				x.After = append(x.After, target{typeName(t.Kind), t.Name})
			}
			i.Deploys = append(i.Deploys, x)
		case d.What == "unchanged":
			i.Decisions = append(i.Decisions, d.Kind+" "+d.Name+": "+d.Reason)
		default:
			failed = append(failed, d.Name+": "+d.Reason)
		}
	}
	i.DeployError = orNull(strings.Join(failed, "; "))
}

type syncRef struct {
	Sync string `json:"sync" alias:"id,name" doc:"Name or id."`
}

type planSync struct {
	Sync      string   `json:"sync" alias:"id,name" doc:"Name or id."`
	Commit    string   `json:"commit,omitempty" doc:"This commit instead of the branch's newest."`
	Type      string   `json:"resource_type,omitempty" doc:"Only resources of this type."`
	Resources []string `json:"resources,omitempty" doc:"Only these, by name or id."`
}

// SyncPlanned is a plan with its text.
type SyncPlanned struct {
	schema.SyncPlan
	Text string `json:"text"`
}

type writeSyncFile struct {
	Sync         string `json:"sync" alias:"id,name" doc:"Name or id."`
	ResourcePath string `json:"resource_path,omitempty" doc:"The entry of resource_path that the file belongs to."`
	FilePath     string `json:"file_path" doc:"The file, relative to the source's root, or to resource_path where that is a folder."`
	Contents     string `json:"contents" doc:"What is to be in it."`
}

// syncRows are the requests about resource syncs beyond those of every kind.
func (a *API) syncRows() []Row {
	if a.deps.Syncs == nil {
		return nil
	}
	example := map[string]any{"sync": "my-sync"}
	file := map[string]any{"sync": "my-sync", "resource_path": "berth", "file_path": "stacks.toml", "contents": "[[stack]]\nname = \"web\"\n"}
	return []Row{
		a.summary("GetResourceSyncsSummary", "resource_sync", strings.ToLower, "total", "ok", "syncing", "pending", "failed", "unknown"),
		Read(spec{name: "PlanSync", own: true, doc: "Say what a run of a sync would do, and why.", needs: access.CanRead, kind: "resource_sync", example: example}, a.planSync),
		Write(spec{name: "RefreshResourceSyncPending", doc: "Look at a sync's source and keep what is pending.", needs: access.CanExec, kind: "resource_sync", example: example},
			func(ctx context.Context, p syncRef) (envelope, error) {
				if _, err := a.deps.Syncs.Refresh(ctx, p.Sync); err != nil {
					return envelope{}, err
				}
				return a.showSync(ctx, p.Sync)
			}),
		Write(spec{name: "CommitSync", doc: "Write what is stored back to a sync's files.", needs: access.CanEdit, kind: "resource_sync", example: example},
			func(ctx context.Context, p syncRef) (Update, error) { return a.startSync(ctx, "CommitSync", p.Sync, p) }),
		Write(spec{name: "WriteSyncFileContents", doc: "Write one file of a sync's source.", needs: access.CanEdit, kind: "resource_sync", example: file},
			func(ctx context.Context, p writeSyncFile) (Update, error) {
				return a.startSync(ctx, "WriteSyncFileContents", p.Sync, p)
			}),
	}
}

func (a *API) planSync(ctx context.Context, p planSync) (SyncPlanned, error) {
	q := schema.SyncRequest{Commit: p.Commit, Names: p.Resources}
	if p.Type != "" {
		k, err := a.kindOf(p.Type)
		if err != nil {
			return SyncPlanned{}, err
		}
		q.Kind = k.Name()
	}
	plan, err := a.deps.Syncs.Plan(ctx, p.Sync, q)
	return SyncPlanned{plan, plan.Text()}, err
}

func (a *API) showSync(ctx context.Context, key string) (envelope, error) {
	k, err := a.deps.Kinds.Kind("resource_sync")
	if err != nil {
		return envelope{}, err
	}
	raw, err := k.Show(ctx, key)
	if err != nil {
		return envelope{}, err
	}
	return kindAPI{a: a, k: k, name: typeName(k.Name()), info: a.syncInfos}.show(ctx, raw)
}

// startSync starts a run of what is a write to Komodo's clients.
func (a *API) startSync(ctx context.Context, action, key string, params any) (Update, error) {
	k, err := a.deps.Kinds.Kind("resource_sync")
	if err != nil {
		return Update{}, err
	}
	t, err := k.Find(key)
	if err != nil {
		return Update{}, err
	}
	raw, err := json.Marshal(params)
	if err != nil {
		return Update{}, err
	}
	r, err := a.startOn(ctx, action, t, raw)
	if err != nil {
		return Update{}, err
	}
	return updateOf(r), nil
}
