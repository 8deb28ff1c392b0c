// Package composetest is the floor that deploys are measured against, and the
// other one that uses a project: what `docker compose up -d` does, by the SDK
// alone, without any of our code.
package composetest

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/flags"
	"github.com/docker/compose/v5/pkg/api"
	sdk "github.com/docker/compose/v5/pkg/compose"

	"berth/periphery/docker"
)

// Up loads a project as the CLI does and brings it up. Files are relative to dir;
// none is compose.yaml.
func Up(ctx context.Context, engine *docker.Client, project, dir string, files ...string) error {
	base, err := command.NewDockerCli(command.WithAPIClient(engine.API()), command.WithCombinedStreams(io.Discard))
	if err != nil {
		return err
	}
	if err := base.Initialize(flags.NewClientOptions()); err != nil {
		return err
	}
	service, err := sdk.NewComposeService(base)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		files = []string{"compose.yaml"}
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = filepath.Join(dir, f)
	}
	loaded, err := service.LoadProject(ctx, api.ProjectLoadOptions{
		ProjectName: project, ConfigPaths: paths, Offline: true,
		ProjectOptionsFns: []cli.ProjectOptionsFn{cli.WithoutEnvironmentResolution},
	})
	if err != nil {
		return err
	}
	if loaded, err = loaded.WithServicesEnvironmentResolved(true); err != nil {
		return err
	}
	return service.Up(ctx, loaded, api.UpOptions{
		Create: api.CreateOptions{Recreate: api.RecreateDiverged, RecreateDependencies: api.RecreateDiverged, Inherit: true},
		Start:  api.StartOptions{Project: loaded},
	})
}

// Services writes a compose file with n plain services s00, s01 … of an image.
// They differ by the variable NAME, which holds the service's name.
func Services(image string, n int) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&b, "  s%02d:\n    image: %s\n    init: false\n    environment: { NAME: s%02d }\n", i, image, i)
	}
	return b.String()
}
