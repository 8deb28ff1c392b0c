package page

import (
	"strings"

	"berth/schema"
	"berth/ui/part"
)

// DeploymentPageView is a deployment with its container.
type DeploymentPageView struct {
	ThingView
	Deployment schema.DeploymentView
}

// Deployment is the page of a deployment.
func Deployment(v DeploymentPageView) View {
	return thing(v.ThingView, Section{"deployment-main", deploymentMain(v)})
}

// DeploymentMark returns the mark of a deployment: what its last run says, when
// that needs attention, else what its container says.
func DeploymentMark(v schema.DeploymentView) part.Mark {
	if r := v.LastRun; r != nil {
		switch {
		case !r.State.Terminal():
			return part.RunMark(r.State)
		case r.State == schema.StateFailed:
			return part.Mark{State: part.Bad, Word: "last run failed"}
		}
	}
	word := strings.ReplaceAll(v.State, "_", " ")
	if v.State == "not_deployed" {
		return part.Mark{State: part.Idle, Word: word}
	}
	if v.Container != nil {
		return part.ContainerMark(*v.Container)
	}
	m := part.ServiceMark(v.State)
	m.Word = word
	return m
}

func deploymentEmpty(v DeploymentPageView) string {
	if v.Deployment.Status != "" {
		return v.Deployment.Status
	}
	return "A deploy creates it: the image is pulled first, and the container before stays until the new one starts."
}
