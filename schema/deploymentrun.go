package schema

import "time"

// What agents do for deployments.
var (
	// DeploymentUp puts a deployment's container in the place of the one before, or
	// says that nothing changed.
	DeploymentUp = Job[DeploymentUpReq, DeploymentUpResp]{Name: "deployment.up", Timeout: 30 * time.Minute, Repeatable: true}
	// DeploymentDo does a verb to a deployment's container, or pulls its image.
	DeploymentDo = Job[DeploymentDoReq, EngineResp]{Name: "deployment.do", Timeout: 30 * time.Minute, Repeatable: true}
	// ContainerLog reads the newest lines of one container, by name.
	ContainerLog = Query[ContainerLogReq, StackLogResp]{Name: "container.log"}
)

// DeploymentImageInput is the name under which Deployed.Inputs holds the image's id;
// prunes find it by its beginning.
const DeploymentImageInput = "image:id"

// DeploymentUpReq deploys a single container.
type DeploymentUpReq struct {
	ID     string           `json:"id"`
	Name   string           `json:"name"`
	Config DeploymentConfig `json:"config"` // as stored; not interpolated
	Image  string           `json:"image"`  // what runs, resolved by core
	// The account that pulls it, where one is needed.
	RegistryProvider string `json:"registry_provider,omitempty"`
	RegistryAccount  string `json:"registry_account,omitempty"`
	// Local says that no registry has the image: it is only on the server that
	// built it.
	Local    bool      `json:"local,omitempty"`
	Force    bool      `json:"force,omitempty"`     // replace the container even if nothing changed
	Adopt    bool      `json:"adopt,omitempty"`     // replace a container of that name that is not Berth's
	Signal   string    `json:"signal,omitempty"`    // that ends the container before
	StopTime *int      `json:"stop_time,omitempty"` // seconds
	Last     *Deployed `json:"last,omitempty"`
	// Core is the id of the container that core runs in, if it does.
	Core string `json:"core,omitempty"`
}

// Account is the account that pulls the image; its Account is empty for none.
func (r DeploymentUpReq) Account() AccountRef {
	return AccountRef{Provider: r.RegistryProvider, Account: r.RegistryAccount}
}

// Container is the name of the container.
func (r DeploymentUpReq) Container() string { return r.Config.Container(r.Name) }

// Container is the name of the container of a deployment of that name.
func (c DeploymentConfig) Container(name string) string {
	if c.CustomName != "" {
		return ContainerName(c.CustomName)
	}
	return name
}

// DeploymentUpResp is what became of it.
type DeploymentUpResp struct {
	Decision  Decision  `json:"decision"`
	Deployed  *Deployed `json:"deployed,omitempty"`
	Container string    `json:"container,omitempty"` // id
	Warnings  []string  `json:"warnings,omitempty"`
}

// DeploymentPull is the verb of DeploymentDoReq beside those of containers.
const DeploymentPull = "pull"

// DeploymentDoReq does a container's verb to the one that a deployment has.
type DeploymentDoReq struct {
	ID       string `json:"id"`
	Name     string `json:"name"` // of the container
	Verb     string `json:"verb"`
	Signal   string `json:"signal,omitempty"` // of stop and destroy
	StopTime *int   `json:"stop_time,omitempty"`
	Core     string `json:"core,omitempty"`
	// Up is set for pull.
	Up *DeploymentUpReq `json:"up,omitempty"`
}

// ContainerLogReq asks for log lines of a container.
type ContainerLogReq struct {
	Container  string `json:"container"`
	Tail       int    `json:"tail"`
	Timestamps bool   `json:"timestamps,omitempty"`
	// Search, if set, picks lines among the newest.
	Search *LogSearch `json:"search,omitempty"`
}

// DeploymentView is a deployment as it stands now.
type DeploymentView struct {
	Resource  Resource[DeploymentConfig] `json:"resource"`
	Server    Target                     `json:"server"`
	State     string                     `json:"state"`            // Komodo's word: running, not_deployed, ...
	Status    string                     `json:"status,omitempty"` // of the container, or why there is none
	Image     string                     `json:"image"`            // what it is to run, or runs
	Container *Container                 `json:"container,omitempty"`
	Deployed  *Deployed                  `json:"deployed,omitempty"`
	Update    bool                       `json:"update,omitempty"` // there is a newer image
	Latest    string                     `json:"latest,omitempty"` // image@sha256:… of the newest image that is known
	LastRun   *Run                       `json:"last_run,omitempty"`
}
