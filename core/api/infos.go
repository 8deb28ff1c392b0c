package api

import (
	"context"
	"slices"
	"strings"

	"berth/schema"
)

// infos returns what a kind shows beside its settings. A kind without a view of
// its own shows nothing.
func (a *API) infos(kind string) infoOf {
	switch kind {
	case "server":
		return a.serverInfos
	case "stack":
		return a.stackInfos
	case "deployment":
		return a.deploymentInfos
	case "repo":
		return a.repoInfos
	case "procedure":
		return a.procedureInfos
	case "action":
		return a.actionInfos
	case "build":
		return a.buildInfos
	case "resource_sync":
		return a.syncInfos
	case "builder":
		return a.builderInfos
	case "alerter":
		return a.alerterInfos
	case "swarm":
		return a.swarmInfos
	}
	return func(context.Context, []string) (map[string]info, error) { return map[string]info{}, nil }
}

// orNull is s, or null when it is empty.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

type serverInfo struct {
	AttemptedKey string `json:"attempted_public_key"`
	PublicKey    string `json:"public_key"`
}

// serverItem has the members of Komodo's list item. Figures of a host are null while
// its agent is not here, or where they are not wanted.
type serverItem struct {
	State       schema.ServerState `json:"state"`
	Err         *problem           `json:"err"`
	Stats       *minimalStats      `json:"stats"`
	Thresholds  thresholds         `json:"alerting_thresholds"`
	Cores       *int               `json:"core_count"`
	Logical     *int               `json:"logical_core_count"`
	Region      string             `json:"region"`
	Address     *string            `json:"address"`
	External    *string            `json:"external_address"`
	PublicIP    *string            `json:"public_ip"`
	Unreachable bool               `json:"send_unreachable_alerts"`
	CPU         bool               `json:"send_cpu_alerts"`
	Mem         bool               `json:"send_mem_alerts"`
	Disk        bool               `json:"send_disk_alerts"`
	Mismatch    bool               `json:"send_version_mismatch_alerts"`
	Version     *string            `json:"version"`
	PublicKey   *string            `json:"public_key"`
	Attempted   *string            `json:"attempted_public_key"`
	NoTerminals bool               `json:"terminals_disabled"`
	NoContainer bool               `json:"container_terminals_disabled"`
}

type thresholds struct {
	CPUWarning   float64 `json:"cpu_warning"`
	CPUCritical  float64 `json:"cpu_critical"`
	MemWarning   float64 `json:"mem_warning"`
	MemCritical  float64 `json:"mem_critical"`
	DiskWarning  float64 `json:"disk_warning"`
	DiskCritical float64 `json:"disk_critical"`
}

func (a *API) serverInfos(ctx context.Context, _ []string) (map[string]info, error) {
	list, err := a.deps.Views.Servers(ctx)
	out := make(map[string]info, len(list))
	for _, v := range list {
		c := v.Resource.Config
		item := serverItem{
			State: v.State, Region: c.Region, External: orNull(c.ExternalAddress), Address: orNull(v.Address),
			Unreachable: c.SendUnreachableAlerts, CPU: c.SendCPUAlerts, Mem: c.SendMemAlerts, Disk: c.SendDiskAlerts,
			Mismatch: c.SendVersionMismatchAlerts, NoTerminals: true, NoContainer: true,
			PublicKey: orNull(v.Key), Attempted: orNull(v.Other),
			Thresholds: thresholds{c.CPUWarning, c.CPUCritical, c.MemWarning, c.MemCritical, c.DiskWarning, c.DiskCritical},
		}
		if v.Online && v.Status != nil {
			item.Version, item.Stats = orNull(v.Status.Version), minimal(v.Status.Stats)
			if h := v.Status.Host; h != nil {
				item.Cores, item.Logical = h.Cores, h.Logical
			}
		}
		if v.State == schema.ServerNotOk {
			item.Err = &problem{Error: serverTrouble(v), Trace: []string{}, Code: schema.Unavailable}
		}
		one := info{full: serverInfo{AttemptedKey: v.Other, PublicKey: v.Key}, item: item, state: string(v.State)}
		if v.State == schema.ServerOk && item.Version != nil && *item.Version != a.deps.Version {
			one.bucket = "warning" // its agent is of another version
		}
		out[v.Resource.ID] = one
	}
	return out, err
}

func serverTrouble(v schema.ServerView) string {
	switch {
	case !v.Joined:
		return "no agent has joined yet: make a join token"
	case !v.Online:
		return "the agent is not connected"
	case v.Status != nil && v.Status.Engine.Error != "":
		return v.Status.Engine.Error
	}
	return "not ok"
}

type serviceNames struct {
	Service   string  `json:"service_name"`
	Container string  `json:"container_name"`
	Image     string  `json:"image"`
	Digest    *string `json:"image_digest"` // image@sha256:…; null when it is not known
}

type stackInfo struct {
	MissingFiles     []string       `json:"missing_files"`
	Project          *string        `json:"deployed_project_name"`
	DeployedHash     *string        `json:"deployed_hash"`
	DeployedMessage  *string        `json:"deployed_message"`
	DeployedContents []fileContents `json:"deployed_contents" null:"true"`
	DeployedServices []serviceNames `json:"deployed_services" null:"true"`
	DeployedConfig   *string        `json:"deployed_config"`
	LatestServices   []serviceNames `json:"latest_services"`
	RemoteContents   []remoteFile   `json:"remote_contents" null:"true"`
	RemoteErrors     []fileContents `json:"remote_errors" null:"true"`
	LatestHash       *string        `json:"latest_hash"`
	LatestMessage    *string        `json:"latest_message"`
}

type serviceUpdate struct {
	Service   string  `json:"service"`
	Image     string  `json:"image"`
	Latest    *string `json:"latest_image"`
	Available bool    `json:"update_available"`
}

type stackItem struct {
	SwarmID      string            `json:"swarm_id"`
	SwarmName    string            `json:"swarm_name"`
	ServerID     string            `json:"server_id"`
	ServerName   string            `json:"server_name"`
	FilesOnHost  bool              `json:"files_on_host"`
	FileContents bool              `json:"file_contents"`
	LinkedRepo   string            `json:"linked_repo"`
	LinkedName   string            `json:"linked_repo_name"`
	Provider     string            `json:"git_provider"`
	Repo         string            `json:"repo"`
	Branch       string            `json:"branch"`
	RepoLink     string            `json:"repo_link"`
	State        schema.StackState `json:"state"`
	Status       *string           `json:"status"`
	Services     []serviceUpdate   `json:"services"`
	UpdateAll    bool              `json:"auto_update_all_services"`
	NoProject    bool              `json:"project_missing"`
	Missing      []string          `json:"missing_files"`
	DeployedHash *string           `json:"deployed_hash"`
	LatestHash   *string           `json:"latest_hash"`
}

func (a *API) stackInfos(ctx context.Context, ids []string) (map[string]info, error) {
	list, err := a.deps.Views.Stacks(ctx, ids...)
	if err != nil {
		return nil, err
	}
	repos, err := a.deps.Kinds.Kind("repo")
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, v := range list {
		if id := v.Resource.Config.LinkedRepo; id != "" {
			t, _ := repos.Find(id) // one that is gone has no name
			names[id] = t.Name
		}
	}
	out := make(map[string]info, len(list))
	for _, v := range list {
		out[v.Resource.ID] = info{full: stackInfoOf(v), item: stackItemOf(v, names), state: string(v.State)}
	}
	return out, nil
}

func stackInfoOf(v schema.StackView) stackInfo {
	i := stackInfo{
		MissingFiles: []string{}, LatestServices: []serviceNames{},
		LatestHash: orNull(short(v.Latest.Commit)), LatestMessage: orNull(v.Latest.Message),
	}
	for _, s := range v.Services {
		one := serviceNames{Service: s.Name, Container: containerName(s), Image: s.Image}
		if u := foundFor(v, s.Name); u != nil {
			one.Digest = orNull(schema.ImageRef(u.Image, u.Latest))
		}
		i.LatestServices = append(i.LatestServices, one)
	}
	if d := v.Deployed; d != nil {
		i.Project, i.DeployedHash, i.DeployedMessage = orNull(d.Project), orNull(short(d.Commit)), orNull(d.Message)
		i.DeployedServices = []serviceNames{}
		for _, s := range d.Services {
			one := serviceNames{Service: s.Name, Container: s.Container, Image: s.Image}
			if u := foundFor(v, s.Name); u != nil {
				one.Digest = orNull(schema.ImageRef(u.Image, u.Running))
			}
			if one.Digest == nil {
				one.Digest = orNull(runningDigest(v, s.Name))
			}
			i.DeployedServices = append(i.DeployedServices, one)
		}
	}
	i.showSources(v)
	return i
}

// runningDigest is the digest of the image that a service runs, if somebody looked
// since it was started.
func runningDigest(v schema.StackView, service string) string {
	at := slices.IndexFunc(v.Services, func(s schema.ServiceView) bool { return s.Name == service && len(s.Containers) > 0 })
	if at < 0 || v.Seen == nil {
		return ""
	}
	return v.Seen.Images[v.Services[at].Containers[0].ImageID]
}

// foundFor is what the last look for newer images found for a service, if it still
// holds.
func foundFor(v schema.StackView, service string) *schema.ServiceUpdate {
	if v.Update == nil {
		return nil
	}
	i := slices.IndexFunc(v.Update.Services, func(u schema.ServiceUpdate) bool { return u.Service == service })
	if i < 0 {
		return nil
	}
	return &v.Update.Services[i]
}

func containerName(s schema.ServiceView) string {
	if len(s.Containers) == 0 {
		return ""
	}
	return s.Containers[0].Name
}

func stackItemOf(v schema.StackView, repos map[string]string) stackItem {
	c := v.Resource.Config
	i := stackItem{
		ServerID: c.ServerID, ServerName: v.Server.Name, FilesOnHost: c.FilesOnHost, FileContents: c.FileContents != "",
		LinkedRepo: c.LinkedRepo, LinkedName: repos[c.LinkedRepo], Provider: c.GitProvider, Repo: c.Repo, Branch: c.Branch,
		RepoLink: repoLink(c.GitProvider, c.GitHTTPS, c.Repo, c.Branch), State: v.State, Status: orNull(v.Status),
		Services: []serviceUpdate{}, UpdateAll: c.AutoUpdateAllServices, NoProject: v.State == schema.StackDown,
		Missing: missing(v), LatestHash: orNull(short(v.Latest.Commit)),
	}
	if v.Deployed != nil {
		i.DeployedHash = orNull(short(v.Deployed.Commit))
	}
	for _, s := range v.Services {
		one := serviceUpdate{Service: s.Name, Image: s.Image}
		if u := foundFor(v, s.Name); u != nil {
			one = serviceUpdateOf(*u)
		}
		i.Services = append(i.Services, one)
	}
	return i
}

// short is a commit as Komodo shows it.
func short(commit string) string {
	if len(commit) > 7 {
		return commit[:7]
	}
	return commit
}

func repoLink(provider string, https bool, repo, branch string) string {
	if repo == "" {
		return ""
	}
	link := "https://" + provider + "/" + repo
	if !https {
		link = "http://" + provider + "/" + repo
	}
	if strings.EqualFold(provider, "github.com") {
		link += "/tree/" + branch
	}
	return link
}

type repoInfo struct {
	Pulled        int64   `json:"last_pulled_at"`
	Built         int64   `json:"last_built_at"`
	BuiltHash     *string `json:"built_hash"`
	BuiltMessage  *string `json:"built_message"`
	LatestHash    *string `json:"latest_hash"`
	LatestMessage *string `json:"latest_message"`
}

type repoItem struct {
	ServerID   string  `json:"server_id"`
	ServerName string  `json:"server_name"`
	BuilderID  string  `json:"builder_id"`
	Pulled     int64   `json:"last_pulled_at"`
	Built      int64   `json:"last_built_at"`
	Provider   string  `json:"git_provider"`
	Repo       string  `json:"repo"`
	Branch     string  `json:"branch"`
	RepoLink   string  `json:"repo_link"`
	State      string  `json:"state"`
	Hash       *string `json:"cloned_hash"`
	Message    *string `json:"cloned_message"`
	BuiltHash  *string `json:"built_hash"`
	LatestHash *string `json:"latest_hash"`
}

func (a *API) repoInfos(ctx context.Context, _ []string) (map[string]info, error) {
	list, err := a.deps.Views.Repos(ctx)
	out := make(map[string]info, len(list))
	for _, v := range list {
		c, hash := v.Resource.Config, orNull(short(v.Cloned.Commit))
		out[v.Resource.ID] = info{
			full: repoInfo{
				Pulled: v.PulledAt, LatestHash: orNull(short(v.Latest.Commit)), LatestMessage: orNull(v.Latest.Message),
				Built: v.BuiltAt, BuiltHash: orNull(short(v.Built.Commit)), BuiltMessage: orNull(v.Built.Message),
			},
			item: repoItem{
				ServerID: c.ServerID, ServerName: v.Server.Name, BuilderID: c.BuilderID, Pulled: v.PulledAt, Provider: c.GitProvider,
				Repo: c.Repo, Branch: c.Branch, RepoLink: repoLink(c.GitProvider, c.GitHTTPS, c.Repo, c.Branch),
				State: v.State, Hash: hash, Message: orNull(v.Cloned.Message), LatestHash: orNull(short(v.Latest.Commit)),
				Built: v.BuiltAt, BuiltHash: orNull(short(v.Built.Commit)),
			},
			state: v.State,
		}
	}
	return out, err
}

type procedureItem struct {
	Stages  int     `json:"stages"`
	State   string  `json:"state"`
	LastRun *int64  `json:"last_run_at"`
	NextRun *int64  `json:"next_scheduled_run"`
	BadTime *string `json:"schedule_error"`
}

func (a *API) procedureInfos(ctx context.Context, _ []string) (map[string]info, error) {
	list, err := a.deps.Views.Procedures(ctx)
	out := make(map[string]info, len(list))
	times := a.scheduled("procedure")
	for _, v := range list {
		t := times[v.Resource.ID]
		item := procedureItem{Stages: len(v.Resource.Config.Stages), State: v.State, NextRun: orNone(t.Next), BadTime: orNull(t.Problem)}
		if v.LastRun != nil {
			item.LastRun = &v.LastRun.Queued
		}
		out[v.Resource.ID] = info{item: item, state: v.State}
	}
	return out, err
}

type actionItem struct {
	State   string  `json:"state"`
	LastRun *int64  `json:"last_run_at"`
	NextRun *int64  `json:"next_scheduled_run"`
	BadTime *string `json:"schedule_error"`
}

func (a *API) actionInfos(ctx context.Context, _ []string) (map[string]info, error) {
	k, err := a.deps.Kinds.Kind("action")
	if schema.CodeOf(err) == schema.NotFound {
		return map[string]info{}, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := k.List(ctx)
	if err != nil {
		return nil, err
	}
	times := a.scheduled("action")
	out := make(map[string]info, len(list))
	for _, raw := range list {
		r, err := readResource(raw)
		if err != nil {
			return nil, err
		}
		t := times[r.ID]
		item := actionItem{State: "Unknown", NextRun: orNone(t.Next), BadTime: orNull(t.Problem)}
		if last, err := a.deps.Engine.List(ctx, schema.RunFilter{Target: r.ID, Action: "RunAction", Limit: 1}); err == nil && len(last) > 0 {
			item.LastRun, item.State = &last[0].Queued, lastState(last[0])
		}
		out[r.ID] = info{item: item, state: item.State}
	}
	return out, nil
}

// lastState is Komodo's word for how an action's last run stands.
func lastState(rec *schema.Run) string {
	switch {
	case !rec.State.Terminal():
		return "Running"
	case rec.State.Good():
		return "Ok"
	}
	return "Failed"
}
