// Package compose deploys compose projects in-process: it loads them with
// compose-go and brings them up through Docker Compose's own SDK, so that a
// project deployed here and one brought up by hand with `docker compose` are the
// same thing and neither recreates the other's containers.
//
// The steps of a deploy are Load (files to a Plan, nothing touched), optionally
// Pull, Inputs and Compare (what changed since the last success), and Up (pull,
// build, down, up, health). A Deployer is safe for concurrent use; a Plan belongs
// to one goroutine at a time. The callback that receives output is called from
// one goroutine at a time and must not block for long: the deploy waits for it.
// Everything ends within a second of its context's end.
//
// Nothing here reads the environment of the process or starts one: variables,
// decrypted files and registry logins come with the Spec and stay in memory.
// Volumes are never deleted or recreated, whatever the compose file says.
package compose

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/config/configfile"
	clitypes "github.com/docker/cli/cli/config/types"
	clidocker "github.com/docker/cli/cli/context/docker"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/client"
	"github.com/sirupsen/logrus"

	"berth/periphery/docker"
	"berth/schema"
)

// Deployer deploys projects on one engine.
type Deployer struct {
	engine *docker.Client
	key    []byte
	keyID  string
	log    *slog.Logger
}

// New returns a deployer for an engine. The key makes digests of what may be
// secret useless to others; it must stay the same over restarts of the host's
// agent, or changes cannot be told.
func New(engine *docker.Client, key []byte, log *slog.Logger) *Deployer {
	id := sha256.Sum256(append([]byte("berth input digests\x00"), key...))
	return &Deployer{engine: engine, key: key, keyID: hex.EncodeToString(id[:4]), log: log}
}

// digest returns the keyed digest of parts as it is stored and labelled: the
// key's id, a dot, and 32 hex digits.
func (d *Deployer) digest(parts ...[]byte) string {
	mac := hmac.New(sha256.New, d.key)
	for _, p := range parts {
		var size [8]byte
		for i, n := 0, len(p); i < len(size); i, n = i+1, n>>8 {
			size[i] = byte(n)
		}
		mac.Write(size[:])
		mac.Write(p)
	}
	return d.keyID + "." + hex.EncodeToString(mac.Sum(nil)[:16])
}

// Auth is a login at a registry.
type Auth struct {
	User, Password string
}

// Spec is one deploy of one stack. Paths are absolute or relative to Dir.
type Spec struct {
	Project string   // compose project name: lower case letters, digits, dashes and underscores
	Dir     string   // run directory, absolute and stable: bind mounts resolve to it
	Files   []string // compose files, first to last; empty is compose.yaml
	Stack   string   // id of the stack, a label of its containers
	Run     string   // id of the run, a label of the containers it creates

	// EnvFiles are read for interpolation as with --env-file: later ones win. One
	// that is missing is an error. Empty means .env beside the first compose file,
	// if there is one.
	EnvFiles []string
	// Environment are further variables for interpolation; they win over EnvFiles.
	// Values are final: quotes are part of them.
	Environment map[string]string
	// Memory are files that exist only in memory, by absolute path, for instance
	// "<Dir>/.env" decrypted from ".sops.env". They are used wherever compose would
	// read that path: --env-file, env_file, the file of a secret or config, and a
	// bind mount of that very file.
	Memory map[string][]byte
	// Secrets are the values of which no error of Load may tell a part, by the names
	// it gives them, for instance "[[TOKEN]]". The variables of env files in Memory
	// are secret without being named here.
	Secrets map[string]string
	// Tracked says which files below a bind mount are the stack's own, such as those
	// git tracks; others are the containers' data. Nil takes what is mounted
	// read-only below Dir for the stack's own.
	Tracked func(path string) bool `json:"-"`
	// Within refuses a file that a link leads to where the stack's files have no
	// business; nil refuses none. What containers mount is theirs and not asked for.
	Within func(path string) error `json:"-"`
	// OnHost says that the files are the user's own to keep: what is mounted
	// read-only below Dir is the stack's own also where Tracked does not know it.
	OnHost bool

	Services       []string // empty is all
	Profiles       []string
	ExtraArgs      []string // of `up`; not all are understood, see Load
	BuildExtraArgs []string // of `build`
	IgnoreServices []string // whose state does not matter

	Pull            bool   // pull images even if they are here
	Build           bool   // build services with a build section even if their image is here
	DestroyBefore   bool   // down before up
	DeployedProject string // name under which the stack runs now, if another: it is taken down
	StopTimeout     *int   // seconds; nil is each service's own

	Registries map[string]Auth // by registry host, such as ghcr.io or docker.io

	Health        bool          // wait until containers run and health checks pass
	HealthTimeout time.Duration // 0 is 2 minutes
	// Settle is how long a container without a health check must have been running
	// to count; 0 is a second.
	Settle time.Duration

	// Before, if set, is called when all is ready and before the first container is
	// touched; its error ends the deploy there.
	Before func(Goal) error `json:"-"`

	// Last are the inputs of the last success, by service: how containers that
	// Berth did not create are judged. Nil adopts them as they are.
	Last map[string]Inputs

	override map[string]string // of variables for interpolation, over all else: see conceal
}

// session is one use of the SDK, with its own receiver of events. Making one
// costs microseconds.
func (d *Deployer) session(api client.APIClient, auths map[string]Auth, events api.EventProcessor, prompt compose.Prompt) (api.Compose, error) {
	base, err := command.NewDockerCli(command.WithAPIClient(api), command.WithCombinedStreams(io.Discard))
	if err != nil {
		return nil, schema.Wrap(schema.Internal, err, "open compose session")
	}
	service, err := compose.NewComposeService(&dockerCLI{Cli: base, api: api, config: config(auths)},
		compose.WithEventProcessor(events), compose.WithPrompt(prompt), compose.WithMaxConcurrency(-1))
	if err != nil {
		return nil, schema.Wrap(schema.Internal, err, "open compose session")
	}
	return service, nil
}

// dockerCLI is what the SDK sees of the Docker CLI: nothing that comes from the
// process's environment or home directory. All that would make the embedded one
// look there (and end the process where it finds nothing) is answered here.
type dockerCLI struct {
	command.Cli
	api    client.APIClient
	config *configfile.ConfigFile
}

func (c *dockerCLI) Client() client.APIClient           { return c.api }
func (c *dockerCLI) ConfigFile() *configfile.ConfigFile { return c.config }
func (c *dockerCLI) CurrentContext() string             { return command.DefaultContextName }
func (c *dockerCLI) CurrentVersion() string             { return c.api.ClientVersion() }
func (c *dockerCLI) ServerInfo() command.ServerInfo     { return command.ServerInfo{OSType: "linux"} }

func (c *dockerCLI) DockerEndpoint() clidocker.Endpoint {
	return clidocker.Endpoint{EndpointMeta: clidocker.EndpointMeta{Host: c.api.DaemonHost()}}
}

// BuildKitEnabled is false so that no buildx plugin is looked for, let alone run:
// images are built in build.go.
func (c *dockerCLI) BuildKitEnabled() (bool, error) { return false, nil }

// config is a Docker configuration file that exists in memory only.
func config(auths map[string]Auth) *configfile.ConfigFile {
	c := configfile.New("")
	for host, a := range auths {
		key := authKey(host)
		c.AuthConfigs[key] = clitypes.AuthConfig{Username: a.User, Password: a.Password, ServerAddress: key}
	}
	return c
}

// authKey is the name under which the CLI's configuration has a registry: Docker
// Hub has a historical one.
func authKey(host string) string {
	switch host {
	case "", "docker.io", "index.docker.io", "registry-1.docker.io":
		return "https://index.docker.io/v1/"
	}
	return host
}

// never answers the SDK's questions, all of which are whether data may be lost.
func never(asked func(question string)) compose.Prompt {
	return func(question string, _ bool) (bool, error) {
		asked(question)
		return false, nil
	}
}

// LogWarnings sends what the SDK and its loader tell to their process-wide logger
// to log instead of standard error. The program calls it once, at its start.
func LogWarnings(log *slog.Logger) {
	logrus.SetOutput(io.Discard)
	logrus.AddHook(warnings{log})
}

// warnings is a hook of the logger that the SDK uses.
type warnings struct{ log *slog.Logger }

func (warnings) Levels() []logrus.Level { return logrus.AllLevels[:logrus.InfoLevel+1] }

func (w warnings) Fire(e *logrus.Entry) error {
	text := e.Message
	if strings.Contains(text, "variable is not set") {
		text = "a variable is not set" // its name may be a piece of a secret with a $ in it
	}
	w.log.Debug("compose says", "text", text, "level", e.Level.String())
	return nil
}

// explain turns an error of the SDK into one with a code and a safe text.
func (d *Deployer) explain(ctx context.Context, err error, doing string) error {
	if err != nil && ctx.Err() != nil {
		err = ctx.Err() // whatever broke, broke because of that
	}
	return d.engine.Explain(err, doing)
}
